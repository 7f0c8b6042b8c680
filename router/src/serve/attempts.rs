//! The way of a request whose rule repeats calls, keeps sessions or copies requests: the last steps of [`request`](super::request), as often
//! as need be. Rules with none of these do not come here.
//!
//! Each attempt picks its backend anew and is admitted anew, and holds nothing of the one before: that one's response was
//! read to its end, if that came soon, or dropped (which ends its call), and its permit given back before the pause. Only a
//! response whose head has not gone to the client can be given up, and this is where that is so: once it is returned from
//! here it is sent.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    Action, Peer, Retry, Target,
    call::Sender,
    finish,
    flight::Routed,
    mirror::Copies,
    origin::Origin,
    place::{Waiting, run},
    replay::Replay,
    request::{answered, no_backend, non_zero, take_body},
    retry::Repeat,
    session::{Visit, another},
    upload::Upload,
};
use crate::{Body, CallContext, Error, admit::Permit, filter::CorsAnswer, policy::Outliers};

/// How much of a response that is given up is read, and for how long.
const READ_OUT_BYTES: usize = 64 * 1024;
const READ_OUT_TIME: Duration = Duration::from_millis(10);

/// What the flight is told of its attempts.
pub(crate) struct Held<'f> {
    pub(crate) target: &'f mut Option<u32>,
    pub(crate) cors: &'f mut Option<Box<CorsAnswer>>,
    pub(crate) upload: &'f mut Option<Arc<Upload>>,
    pub(crate) body_timeout: &'f mut Option<Duration>,
    pub(crate) permit: &'f mut Option<Permit>,
    pub(crate) queue_wait: &'f mut Duration,
    pub(crate) retries: &'f mut u32,
    pub(crate) origin: &'f Origin,
}

/// Answers a request whose rule's own filters are through.
pub(crate) async fn answer(
    peer: &Peer,
    routed: &Routed,
    visit: Option<Visit>,
    started: Instant,
    parts: Parts,
    incoming: Incoming,
    held: Held<'_>,
) -> Result<Response<Body>, Error> {
    let action = routed.action();
    let limits = &peer.shared.config.limits;
    let Held { target, cors, upload, body_timeout, permit, queue_wait, retries, origin } = held;
    let timeout = non_zero(action.timeouts.request.unwrap_or(limits.request_timeout));
    let deadline = timeout.and_then(|timeout| started.checked_add(timeout));
    *body_timeout = timeout;
    let context = CallContext { client: origin.client, tls: origin.tls, deadline };
    let of_rule = action.policy.as_deref().and_then(|policy| policy.request_body);
    let most = [limits.body_bytes, of_rule].into_iter().flatten().min();
    let body = take_body(incoming, most, started, upload)?;
    let upload = upload.as_deref();

    let retry = action.retry.as_deref().filter(|retry| retry.attempts > 0);
    let Some(retry) = retry else {
        let (place, picked) = pick(action, visit.as_ref(), None)?;
        *target = u32::try_from(place).ok();
        if let Some(answer) = answered(picked.filters.as_deref(), &parts, routed, peer, cors) {
            return answer;
        }
        let attempt = Attempt { peer, routed, picked, place, context, upload, timeout };
        let response = attempt.make(parts, body, permit, queue_wait, &mut false).await?;
        return Ok(attempt.finish(response, place, visit.as_ref()));
    };
    retry.budget.earn();
    let replay = Replay::new(body);
    let of_rule = cors.is_some();
    let (mut failed, mut copied) = (None, false);
    loop {
        let (place, picked) = pick(action, visit.as_ref(), failed)?;
        *target = u32::try_from(place).ok();
        if !of_rule {
            // What the backend before wanted.
            *cors = None;
        }
        if let Some(answer) = answered(picked.filters.as_deref(), &parts, routed, peer, cors) {
            return answer;
        }
        let attempt = Attempt { peer, routed, picked, place, context, upload, timeout };
        let outcome = attempt.make(parts.clone(), replay.next(), permit, queue_wait, &mut copied).await;
        let again = again(retry, *retries, &outcome, &parts, &replay, upload);
        let pause = again
            .filter(|repeat| *repeat == Repeat::Anywhere || has_another(action, visit.as_ref(), place))
            .map(|_| retry.pause(*retries, fastrand::u32(..)))
            .filter(|pause| fits(*pause, until(deadline, upload, timeout)))
            // The last question, since a yes is paid for.
            .filter(|_| retry.budget.spend());
        let Some(pause) = pause else {
            replay.settle();
            return Ok(attempt.finish(outcome?, place, visit.as_ref()));
        };
        let next = Instant::now().checked_add(pause);
        if let Ok(given_up) = outcome {
            read_out(given_up.into_body()).await;
        }
        *permit = None;
        if let Some(next) = next {
            sleep_until(next).await;
        }
        *retries += 1;
        failed = Some(place);
    }
}

fn pick<'a>(action: &'a Action, visit: Option<&Visit>, failed: Option<usize>) -> Result<(usize, &'a Target), Error> {
    let picked = match (action.sessions.as_deref(), visit) {
        (Some(sessions), Some(visit)) => sessions.pick(visit, &action.backends, failed),
        _ => another(&action.backends, failed),
    };
    let (place, target) = picked.ok_or_else(no_backend)?;
    let Some(outliers) = outliers(action) else { return Ok((place, target)) };
    let place = outliers.instead(&action.backends, place, failed);
    action.backends.get(place).map(|target| (place, target)).ok_or_else(no_backend)
}

fn outliers(action: &Action) -> Option<&Outliers> {
    action.policy.as_deref()?.outliers.as_ref()
}

fn has_another(action: &Action, visit: Option<&Visit>, place: usize) -> bool {
    pick(action, visit, Some(place)).is_ok_and(|(other, _)| other != place)
}

/// Whether the outcome is worth another call and the request is still all there to be sent.
fn again(
    retry: &Retry,
    retries: u32,
    outcome: &Result<Response<Body>, Error>,
    parts: &Parts,
    replay: &Replay,
    upload: Option<&Upload>,
) -> Option<Repeat> {
    if retries >= retry.attempts || upload.is_some_and(|upload| upload.failure().is_some()) || !replay.is_whole() {
        return None;
    }
    retry.repeats(outcome, &parts.method)
}

/// Reads the body of a response that is given up, if it is short and comes at once, as errors are and do. An instance that was
/// cut off in the middle of an answer cannot serve again, and a warm one is worth more than this.
async fn read_out(mut body: Body) {
    let short = async {
        let mut left = READ_OUT_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let read = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(read) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // What takes longer is cut off.
    let _ = timeout(READ_OUT_TIME, short).await;
}

/// When the request must have been answered: as `call` has it, a client that still sends has more time.
fn until(deadline: Option<Instant>, upload: Option<&Upload>, timeout: Option<Duration>) -> Option<Instant> {
    let sending = upload.zip(timeout).and_then(|(upload, timeout)| upload.last().checked_add(timeout));
    deadline.map(|deadline| sending.map_or(deadline, |sending| deadline.max(sending)))
}

/// Whether there is still time after the pause.
fn fits(pause: Duration, until: Option<Instant>) -> bool {
    match (Instant::now().checked_add(pause), until) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(then), Some(until)) => then < until,
    }
}

/// One call of one backend.
struct Attempt<'a> {
    peer: &'a Peer,
    routed: &'a Routed,
    picked: &'a Target,
    place: usize,
    context: CallContext,
    upload: Option<&'a Upload>,
    timeout: Option<Duration>,
}

// === impl Attempt ===

impl Attempt<'_> {
    async fn make(
        &self,
        mut parts: Parts,
        body: Body,
        permit: &mut Option<Permit>,
        queue_wait: &mut Duration,
        copied: &mut bool,
    ) -> Result<Response<Body>, Error> {
        let action = self.routed.action();
        let copies = if *copied { None } else { Copies::choose(&action.mirrors, self.place, &parts) };
        if let Some(filters) = &self.picked.filters {
            filters.apply_request(&mut parts, self.routed.matched())?;
        }
        let sender = Sender { peer: self.peer, upload: self.upload, timeout: self.timeout };
        let timeouts = &action.timeouts;
        let waiting = Waiting { permit, queue_wait };
        let copying = |body| {
            // Once, whatever becomes of this attempt: who has no place for the request itself makes no copies of it either.
            *copied = true;
            match copies {
                Some(copies) => copies.follow(body, self.context, self.timeout, &self.peer.shared),
                None => body,
            }
        };
        let request = Request::from_parts(parts, body);
        let outcome = run(self.picked, request, self.context, timeouts, sender, waiting, copying).await;
        let outcome = outcome.and_then(|mut response| finish::check(&mut response).map(|()| response));
        // How a response goes on is told at its end, by the flight.
        if let (Err(error), Some(outliers)) = (&outcome, outliers(self.routed.action())) {
            outliers.failed(self.place, error.cause);
        }
        outcome
    }

    /// The response that goes to the client: through the filters, and with what it needs to come back here.
    fn finish(&self, mut response: Response<Body>, place: usize, visit: Option<&Visit>) -> Response<Body> {
        let action = self.routed.action();
        for filters in self.picked.filters.as_deref().into_iter().chain(action.filters.as_deref()) {
            filters.apply_response(response.headers_mut());
        }
        if let (Some(sessions), Some(visit)) = (action.sessions.as_deref(), visit) {
            sessions.mark(visit, place, self.context.tls, response.headers_mut());
        }
        response
    }
}
