//! A response's body with the guest that is writing it inside.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use penstock_router::{BoxError, Cause, Error};
use wasmtime_wasi_http::WasiBody;

use super::call::Running;

/// How much of a body is passed on before other connections get their turn. A guest that writes without end to a client that reads as
/// fast would keep its thread for megabytes.
const TURN: usize = 256 * 1024;

/// How much of a body has been passed on in this turn.
#[derive(Debug, Default)]
pub(super) struct Turn(usize);

impl Turn {
    /// Whether others are to be let go first; the task is called again after them.
    pub(super) fn is_over(&mut self, cx: &Context<'_>) -> bool {
        let over = self.0 >= TURN;
        if over {
            self.0 = 0;
            cx.waker().wake_by_ref();
        }
        over
    }

    pub(super) fn pass(&mut self, frame: &Frame<Bytes>) {
        self.0 += frame.data_ref().map_or(0, Bytes::len);
    }
}

/// Passes on what the guest writes, and lets the guest run when there is nothing to pass on.
pub(crate) struct GuestBody {
    /// Read already, to be passed on first.
    first: Bytes,
    trailers: Option<Frame<Bytes>>,
    /// `None` once the body has ended.
    inner: Option<WasiBody>,
    running: Running,
    /// Bytes that the head promises and that have not been passed on yet.
    owed: Option<u64>,
    /// Bytes that it may still send.
    left: u64,
    turn: Turn,
}

impl GuestBody {
    pub(crate) fn new(inner: WasiBody, running: Running, length: Option<u64>) -> Self {
        let left = running.response_limit();
        Self {
            first: Bytes::new(),
            trailers: None,
            inner: Some(inner),
            running,
            owed: length,
            left,
            turn: Turn::default(),
        }
    }

    /// Puts bytes back that were read by [`Self::poll_guest`].
    pub(crate) fn prepend(&mut self, first: Bytes) {
        self.first = first;
    }

    /// Puts trailers back that were read by [`Self::poll_guest`].
    pub(crate) fn unread(&mut self, trailers: Frame<Bytes>) {
        self.trailers = Some(trailers);
    }

    /// The next frame that the guest has ready. The guest runs only when all that it wrote has been taken, which is the
    /// back-pressure.
    pub(crate) fn poll_guest(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut ran = false;
        loop {
            let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
            match Pin::new(inner).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let len = frame.data_ref().map_or(0, |data| data.len() as u64);
                    let Some(left) = self.left.checked_sub(len) else {
                        self.inner = None;
                        return Poll::Ready(Some(Err(self.running.cut())));
                    };
                    self.left = left;
                    return Poll::Ready(Some(Ok(frame)));
                }
                Poll::Ready(None) => {
                    self.inner = None;
                    self.running.finish(Some(cx));
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(error))) => {
                    self.inner = None;
                    let error = if self.running.is_working() {
                        Error::new(Cause::GuestNoResponse, format!("the component broke off its response: {error}"))
                    } else {
                        self.running.failure("broke off its response")
                    };
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Pending if !self.running.is_working() => {
                    // Nobody is left to write the rest (`wasi:http` calls such a body corrupted).
                    self.inner = None;
                    return Poll::Ready(Some(Err(self.running.failure("left its response unfinished"))));
                }
                Poll::Pending if ran => return Poll::Pending,
                Poll::Pending => {
                    self.running.poll(cx);
                    ran = true;
                }
            }
        }
    }
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if this.turn.is_over(cx) {
            return Poll::Pending;
        }
        let frame = if !this.first.is_empty() {
            Some(Ok(Frame::data(std::mem::take(&mut this.first))))
        } else if let Some(trailers) = this.trailers.take() {
            Some(Ok(trailers))
        } else {
            match this.poll_guest(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => return Poll::Pending,
            }
        };
        if let Some(Ok(frame)) = &frame {
            this.turn.pass(frame);
            if let (Some(owed), Some(data)) = (&mut this.owed, frame.data_ref()) {
                *owed = owed.saturating_sub(data.len() as u64);
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn size_hint(&self) -> SizeHint {
        self.owed.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for GuestBody {
    fn drop(&mut self) {
        // A connection stops asking once it has sent as many bytes as the head promised.
        if self.inner.is_some() && self.owed == Some(0) {
            self.inner = None;
            self.running.finish(None);
        }
    }
}
