//! How many requests those of one key may have at once. Those beyond it are refused: waiting is what the workload's own queue
//! is for.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use foldhash::fast::FixedState;
use http::{HeaderMap, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;

use super::RateKey;
use crate::{Body, BoxError, Cause, Error, kept::Kept};

/// Locks that requests of different keys share.
const SHARDS: usize = 16;

/// So many requests at once for each key. It remembers only keys that have some, and so is bounded as those are.
#[derive(Debug)]
pub struct Concurrency {
    most: u32,
    by: RateKey,
    hashes: RandomState,
    shards: [Mutex<HashMap<u64, u32, FixedState>>; SHARDS],
}

/// Counts by the name of their rule: a new table goes on with those of the old one, as requests do.
#[derive(Debug, Default)]
pub struct Concurrencies(Kept<String, Concurrency>);

/// One of a key's places, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    of: Arc<Concurrency>,
    key: u64,
}

/// A response's body that holds its request's place.
struct Held {
    body: Body,
    _place: Place,
}

// === impl Concurrency ===

impl Concurrency {
    /// `most` (none counts as one) for each key.
    #[must_use]
    pub fn new(most: u32, by: RateKey) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { most: most.max(1), by, hashes: RandomState::new(), shards }
    }

    /// A place, until the response has ended.
    ///
    /// # Errors
    /// [`Cause::ConcurrencyLimited`].
    pub(crate) fn enter(self: &Arc<Self>, client: IpAddr, headers: &HeaderMap) -> Result<Place, Error> {
        let key = self.by.hash(self.hashes.build_hasher(), client, headers);
        let entered = {
            let mut counts = self.shard(key).lock();
            let count = counts.entry(key).or_insert(0);
            let free = *count < self.most;
            *count += u32::from(free);
            free
        };
        if entered {
            return Ok(Place { of: Arc::clone(self), key });
        }
        let detail = format!("Here {} requests are taken at once, and no more; wait for their answers", self.most);
        Err(Error::new(Cause::ConcurrencyLimited, detail).retry_after(Duration::from_secs(1)))
    }

    fn shard(&self, key: u64) -> &Mutex<HashMap<u64, u32, FixedState>> {
        // Always one of them.
        &self.shards[key as usize % SHARDS]
    }
}

// === impl Place ===

impl Place {
    /// Has the response hold it until its end.
    pub(crate) fn hold(self, response: Response<Body>) -> Response<Body> {
        if response.body().is_end_stream() {
            return response;
        }
        response.map(|body| Body::boxed(Held { body, _place: self }))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.of.shard(self.key).lock();
        match counts.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&self.key)),
        }
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl Concurrencies ===

impl Concurrencies {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Kept::new())
    }

    /// The count of this rule: the one that some table or request still holds if its limit is the same, or a new one.
    #[must_use]
    pub fn of(&self, rule: &str, most: u32, by: &RateKey) -> Arc<Concurrency> {
        let same = |it: &Concurrency| it.most == most.max(1) && it.by == *by;
        self.0.of(rule.to_owned(), same, || Concurrency::new(most, by.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_and_keys_are_forgotten() {
        let all = Concurrencies::new();
        let limit = all.of("r", 2, &RateKey::Client);
        let enter = |last: u8| limit.enter([192, 0, 2, last].into(), &HeaderMap::new());
        let (one, two) = (enter(1).unwrap(), enter(1).unwrap());
        assert_eq!(enter(1).unwrap_err().cause, Cause::ConcurrencyLimited);
        let other = enter(2).unwrap();
        drop(one);
        let one = enter(1).unwrap();
        assert!(enter(1).is_err());
        assert!(
            all.of("r", 2, &RateKey::Client).enter([192, 0, 2, 1].into(), &HeaderMap::new()).is_err(),
            "the next table"
        );
        assert!(
            all.of("r", 3, &RateKey::Client).enter([192, 0, 2, 1].into(), &HeaderMap::new()).is_ok(),
            "another limit"
        );
        drop((one, two, other));
        assert!(limit.shards.iter().all(|it| it.lock().is_empty()));
    }
}
