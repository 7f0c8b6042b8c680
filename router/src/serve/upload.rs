//! The request body on its way to the backend: counted, limited, and watched for the client's pauses.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::hop;
use crate::{BoxError, Cause, Error};

/// What the request's steps know of a body that the backend is reading.
pub(crate) struct Upload {
    started: Instant,
    bytes: AtomicU64,
    /// Milliseconds from `started` to the last byte.
    last: AtomicU64,
    /// Whether the backend waits for the client, rather than the other way round.
    waiting: AtomicBool,
    failure: AtomicU8,
    waker: AtomicWaker,
}

/// The body that the backend reads.
pub(crate) struct UploadBody {
    incoming: Incoming,
    left: u64,
    upload: Arc<Upload>,
}

/// Why the backend's read of the request body failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UploadFailure {
    TooLarge,
    Broken,
}

// === impl Upload ===

impl Upload {
    /// Wraps a body that may hold at most `limit` bytes.
    pub(crate) fn wrap(incoming: Incoming, limit: Option<u64>, started: Instant) -> (Arc<Self>, UploadBody) {
        let upload = Arc::new(Self {
            started,
            bytes: AtomicU64::new(0),
            last: AtomicU64::new(0),
            waiting: AtomicBool::new(false),
            failure: AtomicU8::new(0),
            waker: AtomicWaker::new(),
        });
        (Arc::clone(&upload), UploadBody { incoming, left: limit.unwrap_or(u64::MAX), upload })
    }

    /// Bytes read so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// When the last byte came; the request's start, if none did.
    pub(crate) fn last(&self) -> Instant {
        self.started + std::time::Duration::from_millis(self.last.load(Relaxed))
    }

    /// Whether the backend waits for the client's next byte.
    pub(crate) fn waiting(&self) -> bool {
        self.waiting.load(Relaxed)
    }

    /// What went wrong with the body, if anything did.
    pub(crate) fn failure(&self) -> Option<UploadFailure> {
        match self.failure.load(Relaxed) {
            0 => None,
            1 => Some(UploadFailure::TooLarge),
            _ => Some(UploadFailure::Broken),
        }
    }

    /// The same, waking `cx` when something goes wrong later: a backend may take its time to report it, or never do.
    pub(crate) fn poll_failure(&self, cx: &Context<'_>) -> Option<UploadFailure> {
        self.waker.register(cx.waker());
        self.failure()
    }

    fn fail(&self, failure: UploadFailure) {
        self.failure.store(if failure == UploadFailure::TooLarge { 1 } else { 2 }, Relaxed);
        self.waker.wake();
    }
}

// === impl UploadBody ===

impl HttpBody for UploadBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.incoming).poll_frame(cx);
        let waiting = polled.is_pending();
        if waiting != this.upload.waiting.load(Relaxed) {
            this.upload.waiting.store(waiting, Relaxed);
        }
        let Some(frame) = std::task::ready!(polled) else { return Poll::Ready(None) };
        let mut frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                this.upload.fail(UploadFailure::Broken);
                return Poll::Ready(Some(Err(error.into())));
            }
        };
        if let Some(data) = frame.data_ref() {
            let size = data.len() as u64;
            if size > this.left {
                this.left = 0;
                this.upload.fail(UploadFailure::TooLarge);
                return Poll::Ready(Some(Err(UploadFailure::TooLarge.into())));
            }
            this.left -= size;
            this.upload.bytes.fetch_add(size, Relaxed);
            let elapsed = this.upload.started.elapsed().as_millis();
            this.upload.last.store(u64::try_from(elapsed).unwrap_or(u64::MAX), Relaxed);
        }
        if let Some(trailers) = frame.trailers_mut() {
            hop::remove_from_trailers(trailers);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

// === impl UploadFailure ===

impl std::error::Error for UploadFailure {}

impl fmt::Display for UploadFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the request body is larger than is allowed here",
            Self::Broken => "the request body ended before it was complete",
        })
    }
}

impl From<UploadFailure> for Error {
    fn from(failure: UploadFailure) -> Self {
        let cause = match failure {
            UploadFailure::TooLarge => Cause::BodyTooLarge,
            UploadFailure::Broken => Cause::Malformed,
        };
        Self::new(cause, failure.to_string())
    }
}
