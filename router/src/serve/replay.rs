//! A request body that can be sent to a backend more than once, as long as all that was read of it is kept.
//!
//! Nothing is read ahead: the body streams to the first backend as any other does, and what that one read is copied. The
//! next backend gets the copy and then the rest from the client. Once more was read than is kept, the copy is given up, and
//! the call can no longer be repeated.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;

use crate::{Body, BoxError};

/// The longest copy. Bodies of calls that are safe to repeat are mostly empty, and forms are smaller than this.
pub(crate) const KEPT_AT_MOST: usize = 64 * 1024;

/// A request body for several attempts.
pub(crate) enum Replay {
    /// There is none: nothing to keep.
    Empty,
    /// Some, shared by what the attempts read.
    Kept(Arc<Mutex<Source>>),
}

/// Where the bytes come from. The lock is held for one poll, and only one attempt polls.
pub(crate) struct Source {
    body: Body,
    /// All that was read so far, while that is little enough: one piece, since a list of a client's tiny chunks would take
    /// many times their length.
    copy: Option<Vec<u8>>,
    /// How much of the copy the current attempt has.
    given: usize,
    trailers: Option<HeaderMap>,
    /// Whether the current attempt has the trailers, if there are any.
    trailers_given: bool,
    ended: bool,
    /// Whether there may be another attempt.
    keeping: bool,
    /// The attempt that may read.
    attempt: u32,
}

/// What one attempt reads.
struct Reader {
    source: Arc<Mutex<Source>>,
    attempt: u32,
}

/// Why a body cannot be read: its call was repeated meanwhile.
#[derive(Debug, thiserror::Error)]
#[error("the call that this request body belongs to is over")]
struct Over;

// === impl Replay ===

impl Replay {
    pub(crate) fn new(body: Body) -> Self {
        if body.is_end_stream() {
            return Self::Empty;
        }
        Self::Kept(Arc::new(Mutex::new(Source {
            body,
            copy: Some(Vec::new()),
            given: 0,
            trailers: None,
            trailers_given: false,
            ended: false,
            keeping: true,
            attempt: 0,
        })))
    }

    /// The body of the next attempt. What the one before still holds can no longer be read.
    pub(crate) fn next(&self) -> Body {
        let Self::Kept(source) = self else { return Body::empty() };
        let attempt = {
            let mut source = source.lock();
            (source.given, source.trailers_given) = (0, false);
            source.attempt += 1;
            source.attempt
        };
        Body::boxed(Reader { source: Arc::clone(source), attempt })
    }

    /// Whether all that was read is still there.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Kept(source) => source.lock().copy.is_some(),
        }
    }

    /// There will be no other attempt: the current one, which may go on reading, needs no copy made.
    pub(crate) fn settle(&self) {
        if let Self::Kept(source) = self {
            let mut source = source.lock();
            source.keeping = false;
            source.forget_given();
        }
    }
}

// === impl Source ===

impl Source {
    fn forget_given(&mut self) {
        if !self.keeping && self.copy.as_ref().is_some_and(|copy| self.given == copy.len()) {
            self.copy = None;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(rest) = self.copy.as_ref().and_then(|copy| copy.get(self.given..)).filter(|rest| !rest.is_empty()) {
            let rest = Bytes::copy_from_slice(rest);
            self.given += rest.len();
            self.forget_given();
            return Poll::Ready(Some(Ok(Frame::data(rest))));
        }
        if self.ended {
            let given = std::mem::replace(&mut self.trailers_given, true);
            let trailers = self.trailers.as_ref().filter(|_| !given);
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers.clone()))));
        }
        let frame = match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                self.copy = None;
                return Poll::Ready(Some(Err(error)));
            }
            None => {
                self.ended = true;
                return Poll::Ready(None);
            }
        };
        if let Some(data) = frame.data_ref() {
            self.keep(data);
        } else if let Some(trailers) = frame.trailers_ref() {
            (self.ended, self.trailers_given) = (true, true);
            self.trailers = self.keeping.then(|| trailers.clone());
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn keep(&mut self, data: &Bytes) {
        match &mut self.copy {
            Some(copy) if self.keeping && copy.len() + data.len() <= KEPT_AT_MOST => {
                copy.extend_from_slice(data);
                self.given = copy.len();
            }
            _ => self.copy = None,
        }
    }

    /// What of the copy is still to be given.
    fn ungiven(&self) -> u64 {
        self.copy.as_ref().map_or(0, |copy| copy.len().saturating_sub(self.given) as u64)
    }
}

// === impl Reader ===

impl HttpBody for Reader {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut source = self.source.lock();
        if source.attempt != self.attempt {
            return Poll::Ready(Some(Err(Box::new(Over))));
        }
        source.poll(cx)
    }

    fn is_end_stream(&self) -> bool {
        let source = self.source.lock();
        let trailers = source.trailers.is_some() && !source.trailers_given;
        source.ungiven() == 0 && !trailers && (source.ended || source.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let source = self.source.lock();
        let (ungiven, rest) = (source.ungiven(), source.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(ungiven));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(ungiven));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http::HeaderValue;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    /// A body of these pieces, and a trailer.
    fn body(pieces: &[usize]) -> Body {
        let pieces: Vec<_> = pieces.iter().map(|size| Frame::data(Bytes::from(vec![b'x'; *size]))).collect();
        let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("end"))]);
        let frames = pieces.into_iter().chain([Frame::trailers(trailers)]).map(Ok::<_, Infallible>);
        Body::boxed(StreamBody::new(stream::iter(frames)))
    }

    /// Reads so many frames and forgets the rest.
    async fn read(replay: &Replay, frames: usize) -> usize {
        let mut body = replay.next();
        let mut bytes = 0;
        for _ in 0..frames {
            bytes += body.frame().await.unwrap().unwrap().data_ref().map_or(0, Bytes::len);
        }
        bytes
    }

    async fn all(replay: &Replay) -> (usize, bool) {
        let collected = replay.next().collect().await.unwrap();
        let trailers = collected.trailers().is_some();
        (collected.to_bytes().len(), trailers)
    }

    #[tokio::test]
    async fn what_was_read_is_there_again_and_then_the_rest() {
        for (name, pieces, frames, whole) in [
            ("nothing read", &[40_000, 40_000][..], 0, true),
            ("some", &[10, 20, 30], 2, true),
            ("all and the trailers", &[10, 20, 30], 4, true),
            ("as much as is kept", &[65_535, 1, 1], 2, true),
            ("one more", &[65_535, 1, 1], 3, false),
            ("one piece that is too large", &[65_537], 1, false),
            ("tiny pieces", &[1; 1000], 999, true),
        ] {
            let replay = Replay::new(body(pieces));
            read(&replay, frames).await;
            assert_eq!(replay.is_whole(), whole, "{name}");
            if whole {
                read(&replay, 1).await;
                assert_eq!(all(&replay).await, (pieces.iter().sum(), true), "{name}");
            }
        }
    }

    #[tokio::test]
    async fn an_attempt_that_is_over_reads_nothing() {
        let replay = Replay::new(body(&[1, 2]));
        let mut old = replay.next();
        assert!(old.frame().await.unwrap().is_ok());
        assert_eq!(all(&replay).await, (3, true));
        assert!(old.frame().await.unwrap().unwrap_err().to_string().contains("is over"));
        assert!(replay.is_whole());
    }

    #[tokio::test]
    async fn nothing_is_copied_once_the_answer_is_there() {
        let replay = Replay::new(body(&[10, 20, 30]));
        let mut body = replay.next();
        assert!(body.frame().await.unwrap().is_ok());
        replay.settle();
        assert!(!replay.is_whole());
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 50);

        // A second attempt that answers before it has read what the first one had.
        let replay = Replay::new(self::body(&[10, 20, 30]));
        read(&replay, 2).await;
        let body = replay.next();
        replay.settle();
        let collected = body.collect().await.unwrap();
        assert!(collected.trailers().is_some());
        assert_eq!(collected.to_bytes().len(), 60);
        assert!(!replay.is_whole());
    }

    #[tokio::test]
    async fn sizes_are_those_of_what_is_left() {
        let replay = Replay::new(Body::from("twelve bytes"));
        assert_eq!(replay.next().size_hint().exact(), Some(12));
        read(&replay, 1).await;
        let mut again = replay.next();
        assert_eq!((again.size_hint().exact(), again.is_end_stream()), (Some(12), false));
        assert!(again.frame().await.unwrap().is_ok());
        assert_eq!((again.size_hint().exact(), again.is_end_stream()), (Some(0), true));
        assert!(matches!(Replay::new(Body::empty()), Replay::Empty));
    }

    #[tokio::test]
    async fn a_body_that_failed_is_not_whole() {
        let broken = stream::iter([Ok(Frame::data(Bytes::from_static(b"x"))), Err("broken")]);
        let replay = Replay::new(Body::boxed(StreamBody::new(broken)));
        assert!(replay.next().collect().await.is_err());
        assert!(!replay.is_whole());
    }
}
