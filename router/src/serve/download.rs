//! The response body on its way to the client: it holds all that the request holds, until it ends.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::{expiry::Expiry, flight::Flight};
use crate::{Body, BoxError, Cause, Error, observe::Ended};

/// The response body as hyper sends it. Its fields drop in order: the backend's body ends (and with it the call) before
/// the permit is given back.
pub(crate) struct Download {
    body: Body,
    expiry: Expiry,
    /// What `Content-Length` says, if anything.
    promised: Option<u64>,
    failed: Option<BoxError>,
    flight: Box<Flight>,
}

// === impl Download ===

impl Download {
    pub(crate) fn new(body: Body, promised: Option<u64>, mut flight: Box<Flight>) -> Self {
        if body.is_end_stream() {
            flight.ended = Ended::Complete;
        } else if let Some(stall) = &flight.stall {
            stall.wait(flight.body_timeout);
        }
        let at = match (flight.body_timeout, flight.first_byte) {
            (Some(timeout), Some(first_byte)) => flight.started.checked_add(first_byte + timeout),
            _ => None,
        };
        Self { body, expiry: Expiry::at(at), promised, failed: None, flight }
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let flight = &mut this.flight;
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(stall) = &flight.stall {
            stall.clear();
        }
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut this.body).poll_frame(cx)));
        let error = match polled {
            Ok(Poll::Ready(None)) => {
                flight.ended = Ended::Complete;
                return Poll::Ready(None);
            }
            Ok(Poll::Ready(Some(Ok(frame)))) => {
                flight.bytes_out += frame.data_ref().map_or(0, |data| data.len() as u64);
                // hyper drops a body, without asking again, after its trailers and after all that was promised.
                let last = frame.is_trailers()
                    || this.body.is_end_stream()
                    || this.promised.is_some_and(|promised| flight.bytes_out >= promised);
                if last {
                    flight.ended = Ended::Complete;
                } else {
                    this.expiry.restart(flight.body_timeout);
                    if let Some(stall) = &flight.stall {
                        stall.wait(flight.body_timeout);
                    }
                }
                return Poll::Ready(Some(Ok(frame)));
            }
            Ok(Poll::Ready(Some(Err(error)))) => {
                // Who made the body may have said what is wrong with it.
                let cause = error.downcast_ref::<Error>().map_or(Cause::GuestError, |error| error.cause);
                flight.cause.get_or_insert(cause);
                error
            }
            Ok(Poll::Pending) => {
                std::task::ready!(this.expiry.poll_expired(cx));
                flight.cause = Some(Cause::Deadline);
                Box::new(Error::new(Cause::Deadline, "The response's next byte did not come in time"))
            }
            Err(panic) => {
                super::report_panic(&panic, flight);
                flight.cause = Some(Cause::Internal);
                Box::new(Error::new(Cause::Internal, "The response body panicked"))
            }
        };
        flight.ended = Ended::Error;
        // The call ends now, whenever hyper lets go of the rest.
        this.body = Body::empty();
        // hyper's HTTP/1 throws away what it has not yet written when it gets an error. Being asked to wait it writes,
        // so that the client sees a response that was cut, and not a connection that closed without one.
        this.failed = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.failed.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
