//! The call of a backend, within its deadline and with an eye on the request body.

use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use tokio::time::Instant;

use super::{
    Peer, Timeouts,
    expiry::Expiry,
    upload::{Upload, UploadFailure},
};
use crate::{Backend, Body, CallContext, Cause, Error};

/// Who sends the request's body, and how patient a call is with them.
#[derive(Clone, Copy)]
pub(crate) struct Sender<'r> {
    pub(crate) peer: &'r Peer,
    pub(crate) upload: Option<&'r Upload>,
    /// The gap that the body may leave between two of its bytes.
    pub(crate) timeout: Option<Duration>,
}

/// Calls the backend and waits for its response headers. Dropping the future drops the call.
pub(crate) async fn call(
    backend: &dyn Backend,
    request: Request<Body>,
    context: CallContext,
    timeouts: &Timeouts,
    sender: Sender<'_>,
) -> Result<Response<Body>, Error> {
    let mut patience = Patience {
        deadline: context.deadline,
        backend: timeouts.backend.filter(|timeout| !timeout.is_zero()).map(|timeout| Instant::now() + timeout),
        timeout: sender.timeout,
        upload: sender.upload,
    };
    let mut expiry = Expiry::at(patience.next());
    let mut call = backend.call(request, context);
    let mut told = patience.upload.is_none();
    poll_fn(|cx| {
        if let Poll::Ready(result) = call.as_mut().poll(cx) {
            return Poll::Ready(patience.settle(result));
        }
        if !told {
            told = true;
            sender.peer.leaves_unread(true);
        }
        if let Some(failure) = patience.failure(cx) {
            return Poll::Ready(Err(failure.into()));
        }
        loop {
            std::task::ready!(expiry.poll_expired(cx));
            match patience.after(Instant::now()) {
                Ok(later) => expiry.move_to(later),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    })
    .await
}

/// Until when a call is waited for.
struct Patience<'r> {
    deadline: Option<Instant>,
    backend: Option<Instant>,
    /// The gap that the request body may leave between two of its bytes.
    timeout: Option<Duration>,
    upload: Option<&'r Upload>,
}

// === impl Patience ===

impl Patience<'_> {
    fn next(&self) -> Option<Instant> {
        self.deadline.into_iter().chain(self.backend).min()
    }

    /// A time that has come: what it means, or until when to wait instead, since the client is still sending.
    fn after(&mut self, now: Instant) -> Result<Instant, Error> {
        if self.backend.is_some_and(|backend| now >= backend) {
            return Err(Error::new(Cause::Deadline, "The backend did not answer within its timeout"));
        }
        let mut waiting = false;
        if let (Some(upload), Some(timeout)) = (self.upload, self.timeout) {
            self.deadline = self.deadline.max(Some(upload.last() + timeout));
            waiting = upload.waiting();
        }
        match self.next() {
            Some(next) if next > now => Ok(next),
            _ if waiting => Err(Error::new(Cause::RequestTimeout, "The request body's next byte did not come in time")),
            _ => Err(Error::new(Cause::Deadline, "The request was not answered within its deadline")),
        }
    }

    fn failure(&self, cx: &Context<'_>) -> Option<UploadFailure> {
        self.upload.and_then(|upload| upload.poll_failure(cx))
    }

    /// What the backend's result means if the body that it read had failed.
    fn settle(&self, result: Result<Response<Body>, Error>) -> Result<Response<Body>, Error> {
        match self.upload.and_then(Upload::failure) {
            Some(failure @ UploadFailure::TooLarge) => Err(failure.into()),
            Some(failure @ UploadFailure::Broken) if result.is_err() => Err(failure.into()),
            _ => result,
        }
    }
}
