//! Many who want the same thing at the same time get it from one piece of work.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use parking_lot::Mutex;

/// Work under way by key. The work is driven by those who wait for it: it goes on as long as one of them is left, and is
/// dropped with the last.
pub(super) struct SingleFlight<K, V: Clone> {
    flights: Arc<Mutex<HashMap<K, WeakShared<BoxFuture<'static, V>>>>>,
}

// === impl SingleFlight ===

impl<K: Clone + Eq + Hash, V: Clone + Send + Sync + 'static> SingleFlight<K, V> {
    pub(super) fn new() -> Self {
        Self { flights: Arc::default() }
    }

    /// The outcome of the work under way for `key`, or of `start` if there is none.
    pub(super) async fn run<F>(&self, key: K, start: impl FnOnce() -> F) -> V
    where
        F: Future<Output = V> + Send + 'static,
    {
        let flight: Shared<BoxFuture<'static, V>> = {
            let mut flights = self.flights.lock();
            match flights.get(&key).and_then(WeakShared::upgrade) {
                Some(flight) => flight,
                None => {
                    let flight = start().boxed().shared();
                    // A flight ends by being finished or abandoned; entries of either kind are taken out here, so that
                    // the map is never larger than what is under way, and twice that.
                    if flights.len() >= 2 * flights.values().filter(|f| f.upgrade().is_some()).count() {
                        flights.retain(|_, flight| flight.upgrade().is_some());
                    }
                    if let Some(weak) = flight.downgrade() {
                        flights.insert(key, weak);
                    }
                    flight
                }
            }
        };
        flight.await
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_piece_of_work_for_all_who_wait() {
        let flights = SingleFlight::<&str, usize>::new();
        let started = Arc::new(AtomicUsize::new(0));
        let work = || {
            let started = started.clone();
            || async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                started.fetch_add(1, Ordering::Relaxed)
            }
        };
        let (a, b, c) = tokio::join!(flights.run("k", work()), flights.run("k", work()), flights.run("other", work()));
        assert_eq!(a, b);
        assert_ne!(a, c);
        assert_eq!(started.load(Ordering::Relaxed), 2);
        // What has ended is not remembered.
        flights.run("k", work()).await;
        assert_eq!(started.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_does_not_stop_the_others_and_the_last_stops_all() {
        let flights = Arc::new(SingleFlight::<&str, usize>::new());
        let ended = Arc::new(AtomicUsize::new(0));
        let wait = |flights: Arc<SingleFlight<&'static str, usize>>, ended: Arc<AtomicUsize>| async move {
            flights
                .run("k", || async move {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    ended.fetch_add(1, Ordering::Relaxed)
                })
                .await
        };
        let first = tokio::spawn(wait(flights.clone(), ended.clone()));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let second = tokio::spawn(wait(flights.clone(), ended.clone()));
        tokio::time::sleep(Duration::from_millis(100)).await;
        first.abort();
        assert_eq!(second.await.unwrap(), 0);

        let alone = tokio::spawn(wait(flights.clone(), ended.clone()));
        tokio::time::sleep(Duration::from_millis(100)).await;
        alone.abort();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(ended.load(Ordering::Relaxed), 1, "abandoned work went on");
    }
}
