//! Whether a call is repeated: Gateway API's `HTTPRouteRetry` (GEP-1731), narrowed to what is safe.
//!
//! Repeated is what surely never reached a component, whatever the method, and otherwise only a request whose method is
//! idempotent (RFC 9110 section 9.2.2): the rule's codes alone say nothing of what the component has done already.
//!
//! A rule without `retry` repeats nothing, not even a call that was not started and that another of its backends could
//! take. The weights are the user's: who gives a canary 1% does not want it to get the rest when the stable version is
//! full, and Gateway API wants a backend that is not there to fail in proportion to its weight. A refusal at once with the
//! not-started marker serves the client better than a second queue: whoever stands in front knows other hosts, which
//! have room when this one has not. So the marker is passed on, and a rule that wants more says `retry: {}`.

use std::{sync::Arc, time::Duration};

use http::{Method, Response, StatusCode};

use super::budget::Budget;
use crate::{Body, Cause, Error, Source};

/// The pause grows up to so many times its first length.
const LONGEST_PAUSE: u32 = 10;

/// When a rule's calls are repeated, and how often.
#[derive(Clone, Debug)]
pub struct Retry {
    /// Statuses of a response, or of what would be one, that are worth another call. What was not started, and a backend
    /// that did not answer within its timeout, is worth one without being named.
    pub codes: Vec<StatusCode>,
    /// Calls after the first one, at most. Zero: none.
    pub attempts: u32,
    /// The shortest pause before the second call; it doubles with every further one.
    pub backoff: Duration,
    /// What bounds the repeated calls of all requests of the rule.
    pub budget: Arc<Budget>,
}

/// Where a call may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// At any of the rule's backends, the same one included.
    Anywhere,
    /// Only at another one: this one will not take it, however long one waits.
    Elsewhere,
}

// === impl Retry ===

impl Retry {
    /// How many further calls Gateway API 1.7 sees if the rule does not say.
    pub const ATTEMPTS: u32 = 1;
    /// The pause if the rule does not say.
    pub const BACKOFF: Duration = Duration::from_millis(25);

    /// Whether this outcome is worth another call. Of its own faults Penstock repeats no configuration's (a reference
    /// that leads nowhere gets its 500 in proportion to its weight) and nothing that the client did.
    pub(crate) fn repeats(&self, outcome: &Result<Response<Body>, Error>, method: &Method) -> Option<Repeat> {
        let wanted = match outcome {
            Err(error) if error.cause.not_started() => {
                let stays = matches!(error.cause, Cause::NotReady | Cause::Draining);
                return Some(if stays { Repeat::Elsewhere } else { Repeat::Anywhere });
            }
            _ if !method.is_idempotent() => false,
            // If there is time left it was the backend's own timeout, after which Gateway API wants the next attempt.
            Err(Error { cause: Cause::Deadline, .. }) => true,
            Err(Error { cause, .. }) => {
                let shape = cause.shape();
                (shape.source == Source::Guest || *cause == Cause::Internal) && self.codes.contains(&shape.status)
            }
            Ok(response) => self.codes.contains(&response.status()),
        };
        wanted.then_some(Repeat::Anywhere)
    }

    /// The pause before the next call when `repeated` were repeated already: doubled each time, and up to half as long
    /// again at random, so that those who failed together do not come back together. `random` is even over all `u32`.
    pub(crate) fn pause(&self, repeated: u32, random: u32) -> Duration {
        let factor = 1_u32.checked_shl(repeated).unwrap_or(LONGEST_PAUSE).clamp(1, LONGEST_PAUSE);
        let least = self.backoff.saturating_mul(factor);
        least.saturating_add(least.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(codes: &[u16]) -> Retry {
        let codes = codes.iter().map(|code| StatusCode::from_u16(*code).unwrap()).collect();
        Retry { codes, attempts: 1, backoff: Retry::BACKOFF, budget: Arc::default() }
    }

    fn answered(status: u16) -> Result<Response<Body>, Error> {
        Ok(Response::builder().status(status).body(Body::empty()).unwrap())
    }

    #[tokio::test]
    async fn what_is_repeated() {
        use Repeat::{Anywhere, Elsewhere};
        let failed = |cause| Err(Error::new(cause, ""));
        for (name, codes, outcome, get, post) in [
            ("a code", &[500, 502][..], answered(500), Some(Anywhere), None),
            ("another code", &[502], answered(500), None, None),
            ("no codes", &[], answered(503), None, None),
            ("fine", &[500], answered(200), None, None),
            ("a 400 if one insists", &[429], answered(429), Some(Anywhere), None),
            ("a trap, which is a 502", &[502], failed(Cause::GuestTrap), Some(Anywhere), None),
            ("a trap, unless it is named", &[500], failed(Cause::GuestTrap), None, None),
            ("a backend's timeout", &[], failed(Cause::Deadline), Some(Anywhere), None),
            ("a fault of the host", &[500], failed(Cause::Internal), Some(Anywhere), None),
            ("a full queue", &[], failed(Cause::QueueFull), Some(Anywhere), Some(Anywhere)),
            ("no instance", &[], failed(Cause::GuestStart), Some(Anywhere), Some(Anywhere)),
            ("no room", &[], failed(Cause::HostFull), Some(Anywhere), Some(Anywhere)),
            ("not ready", &[503], failed(Cause::NotReady), Some(Elsewhere), Some(Elsewhere)),
            ("going away", &[503], failed(Cause::Draining), Some(Elsewhere), Some(Elsewhere)),
            ("a bad reference", &[500], failed(Cause::NoBackend), None, None),
            ("the client's doing", &[408, 413, 400], failed(Cause::RequestTimeout), None, None),
            ("the client's doing", &[408, 413, 400], failed(Cause::BodyTooLarge), None, None),
        ] {
            let retry = retry(codes);
            for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE, Method::TRACE] {
                assert_eq!(retry.repeats(&outcome, &method), get, "{method}: {name}");
            }
            for method in [Method::POST, Method::PATCH, Method::from_bytes(b"LOCK").unwrap()] {
                assert_eq!(retry.repeats(&outcome, &method), post, "{method}: {name}");
            }
        }
    }

    #[tokio::test]
    async fn pauses_grow_and_differ() {
        let retry = retry(&[]);
        for (repeated, least) in [(0, 25), (1, 50), (2, 100), (3, 200), (4, 250), (31, 250), (1000, 250)] {
            assert_eq!(retry.pause(repeated, 0), Duration::from_millis(least), "{repeated}");
            assert_eq!(retry.pause(repeated, u32::MAX), Duration::from_millis(least).mul_f64(1.5), "{repeated}");
        }
        let none = Retry { backoff: Duration::ZERO, ..retry.clone() };
        assert_eq!(none.pause(3, u32::MAX), Duration::ZERO);
        let forever = Retry { backoff: Duration::MAX, ..retry };
        assert_eq!(forever.pause(3, 0), Duration::MAX);
    }
}
