//! What responses say of a limit: `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

static POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// What is left to whom a request was taken from, or refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(super) policy: HeaderValue,
    /// How many more could come at once.
    pub(super) remaining: u64,
    /// Nanoseconds until all could.
    pub(super) reset: u64,
}

// === impl Allowance ===

impl Allowance {
    /// Puts it into a response, in place of whatever the component said: it is about another limit than this one.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        let Self { policy, remaining, reset } = self;
        let limit = value(format!("\"default\";r={remaining};t={}", reset.div_ceil(1_000_000_000)));
        // A response of 24,000 headers goes on as it is.
        let _full = headers.try_insert(POLICY.clone(), policy.clone());
        let _full = headers.try_insert(LIMIT.clone(), limit);
    }
}

/// The policy: so many requests (`q`) in a window of seconds (`w`).
pub(super) fn policy(requests: u32, per: Duration) -> HeaderValue {
    value(format!("\"default\";q={requests};w={}", per.as_millis().div_ceil(1000)))
}

fn value(text: String) -> HeaderValue {
    // Digits and these few signs: there is no such text that is no value.
    HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or(HeaderValue::from_static("\"default\""))
}
