//! How many requests those of one key may send: a bucket for each key, on this host.
//!
//! Memory is bounded, and so is what a flood of keys that were never seen before gets through: see [`keys`].

mod gcra;
mod header;
mod keys;

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use self::{
    gcra::{Bucket, Cell, Verdict},
    header::Allowance,
    keys::Keys,
};
use crate::{Cause, Error, kept::Kept};

/// Keys of one rule that are told apart, at most: 2 MiB of them.
const KEYS: usize = 65_536;

/// Which requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateKey {
    /// Those of one client: of an IPv4 address, or of an IPv6 network of 64 bits, which is what one client has.
    Client,
    /// Those with the same values of a header. Those without it are counted together.
    Header(HeaderName),
    /// All.
    All,
}

/// So many requests in a time, and so many at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many in the time of `per`. None counts as one.
    pub requests: u32,
    /// The time.
    pub per: Duration,
    /// How many at once after a pause. None counts as one.
    pub burst: u32,
    /// Which requests are counted together.
    pub by: RateKey,
}

/// Counts the requests of one rule.
#[derive(Debug)]
pub struct RateLimiter {
    rate: Rate,
    started: Instant,
    bucket: Bucket,
    counts: Counts,
    /// The header `RateLimit-Policy`, which is always the same.
    policy: HeaderValue,
}

#[derive(Debug)]
enum Counts {
    All(Cell),
    /// By a hash that nobody outside can aim at: two keys of one hash would be counted together.
    Each(RandomState, Box<Keys>),
}

/// Limiters by the name of their rule. A new table of the same rule with the same limit goes on counting where the old one
/// was: it must not be a way around a limit that routes change often.
#[derive(Debug, Default)]
pub struct RateLimiters(Kept<String, RateLimiter>);

// === impl RateLimiter ===

impl RateLimiter {
    /// Nobody has sent anything yet.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let bucket = Bucket::new(rate.requests, rate.per, rate.burst);
        let counts = match rate.by {
            RateKey::All => Counts::All(Cell::default()),
            RateKey::Client | RateKey::Header(_) => Counts::Each(RandomState::new(), Box::new(Keys::new(KEYS))),
        };
        let policy = header::policy(rate.requests, rate.per);
        Self { rate, started: Instant::now(), bucket, counts, policy }
    }

    /// Takes a request that came at `now`, or refuses it.
    ///
    /// # Errors
    /// [`Cause::RateLimited`], which says when to come again.
    pub(crate) fn take(&self, client: IpAddr, headers: &HeaderMap, now: Instant) -> Result<Allowance, Error> {
        let now = u64::try_from(now.saturating_duration_since(self.started).as_nanos()).unwrap_or(u64::MAX);
        let verdict = match &self.counts {
            Counts::All(cell) => cell.take(self.bucket, now),
            Counts::Each(hashes, keys) => {
                keys.take(self.rate.by.hash(hashes.build_hasher(), client, headers), self.bucket, now)
            }
        };
        let allowance = |remaining, reset| Allowance { policy: self.policy.clone(), remaining, reset };
        match verdict {
            Verdict::Taken { remaining, full_in } => Ok(allowance(remaining, full_in)),
            Verdict::Refused { wait, full_in } => {
                let Rate { requests, per, .. } = &self.rate;
                let detail = format!("Here {requests} requests are taken in {per:?}, and no more; come again later");
                let error = Error::new(Cause::RateLimited, detail).retry_after(Duration::from_nanos(wait));
                Err(error.with(|headers| allowance(0, full_in).tell(headers)))
            }
        }
    }
}

// === impl RateKey ===

impl RateKey {
    /// A number for those that are counted together, by a hash that nobody outside can aim at.
    pub(super) fn hash(&self, mut hasher: impl Hasher, client: IpAddr, headers: &HeaderMap) -> u64 {
        match (self, client.to_canonical()) {
            (Self::All, _) => {}
            (Self::Header(name), _) => {
                for value in headers.get_all(name) {
                    // With its length, so that two values are not one.
                    hasher.write_usize(value.len());
                    hasher.write(value.as_bytes());
                }
            }
            (Self::Client, IpAddr::V4(address)) => hasher.write_u32(address.into()),
            (Self::Client, IpAddr::V6(address)) => hasher.write_u64((u128::from(address) >> 64) as u64),
        }
        hasher.finish()
    }
}

// === impl RateLimiters ===

impl RateLimiters {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Kept::new())
    }

    /// The limiter of this rule: the one that some table still holds if its limit is the same, or a new one.
    #[must_use]
    pub fn of(&self, rule: &str, rate: &Rate) -> Arc<RateLimiter> {
        self.0.of(rule.to_owned(), |it| it.rate == *rate, || RateLimiter::new(rate.clone()))
    }
}

#[cfg(test)]
mod tests;
