//! Admission under many threads, with cancelled waits and changing limits: bounds, order and conservation of permits.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};

use parking_lot::Mutex;
use penstock_router::{
    Cause,
    admit::{Admission, Limits},
};
use tokio::{
    sync::oneshot,
    task::{JoinSet, yield_now},
    time::{Instant, timeout},
};

const FOREVER: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(60);

fn limits(concurrency: usize, queue_depth: usize) -> Limits {
    Limits { concurrency, queue_depth, queue_timeout: FOREVER }
}

/// What the test itself counts, beside the admission's own numbers.
#[derive(Default)]
struct Ledger {
    inside: AtomicUsize,
    most: AtomicUsize,
    admitted: AtomicUsize,
    refused: AtomicUsize,
}

impl Ledger {
    async fn inside(&self, hold: bool) {
        let now = self.inside.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(now, SeqCst);
        self.admitted.fetch_add(1, SeqCst);
        if hold {
            yield_now().await;
        }
        self.inside.fetch_sub(1, SeqCst);
    }
}

async fn poll_once<F: Future>(future: &mut Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

async fn visit(admission: &Arc<Admission>, ledger: &Ledger) {
    let hold = fastrand::bool();
    match fastrand::u32(..10) {
        // Takes what is free.
        0..3 => {
            if let Some(permit) = admission.try_admit() {
                ledger.inside(hold).await;
                drop(permit);
            }
        }
        // Waits and goes away after a few looks, perhaps with the permit in hand.
        3..6 => {
            let mut admit = pin!(admission.admit(None));
            for _ in 0..fastrand::u32(1..4) {
                match poll_once(&mut admit).await {
                    Poll::Ready(Ok(permit)) => {
                        ledger.inside(hold).await;
                        return drop(permit);
                    }
                    Poll::Ready(Err(error)) => {
                        assert_eq!(error.cause, Cause::QueueFull);
                        ledger.refused.fetch_add(1, SeqCst);
                        return;
                    }
                    Poll::Pending => yield_now().await,
                }
            }
        }
        // Waits until a deadline that passes soon.
        6 => {
            let deadline = Instant::now() + Duration::from_micros(fastrand::u64(..2000));
            if let Ok(permit) = admission.admit(Some(deadline)).await {
                ledger.inside(hold).await;
                drop(permit);
            }
        }
        // Waits for as long as it takes.
        _ => match admission.admit(None).await {
            Ok(permit) => {
                ledger.inside(hold).await;
                drop(permit);
            }
            Err(error) => {
                assert_eq!(error.cause, Cause::QueueFull);
                ledger.refused.fetch_add(1, SeqCst);
            }
        },
    }
}

/// Runs visitors until all are done, which also shows that no wake-up was lost.
async fn run(admission: &Arc<Admission>, ledger: &Arc<Ledger>, tasks: usize, visits: usize) {
    let mut set = JoinSet::new();
    for _ in 0..tasks {
        let (admission, ledger) = (Arc::clone(admission), Arc::clone(ledger));
        set.spawn(async move {
            for _ in 0..visits {
                visit(&admission, &ledger).await;
            }
        });
    }
    timeout(PATIENCE, set.join_all()).await.expect("somebody waits for ever: a permit or a wake-up was lost");
}

fn nothing_left(admission: &Arc<Admission>, ledger: &Ledger) {
    let stats = admission.stats();
    assert_eq!((stats.in_flight, stats.queued, ledger.inside.load(SeqCst)), (0, 0, 0));
    // A grant that its waiter never took is not an admission, so the two counts agree.
    assert_eq!(stats.admitted, ledger.admitted.load(SeqCst) as u64);
    assert_eq!(stats.wait.buckets.iter().sum::<u64>(), stats.admitted);
    let places: Vec<_> = (0..stats.limits.concurrency).map(|_| admission.try_admit().expect("conserved")).collect();
    assert!(admission.try_admit().is_none(), "not one place more than at the start");
    drop(places);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn steady_limits_hold_exactly() {
    for (concurrency, depth) in [(1, 1), (1, 64), (3, 5), (8, 2)] {
        let (admission, ledger) = (Admission::new(limits(concurrency, depth)), Arc::default());
        let stop = Arc::new(AtomicBool::new(false));
        let watcher = tokio::task::spawn_blocking({
            let (admission, stop) = (Arc::clone(&admission), Arc::clone(&stop));
            move || {
                while !stop.load(SeqCst) {
                    let stats = admission.stats();
                    assert!(stats.in_flight <= concurrency && stats.queued <= depth, "{stats:?}");
                    std::thread::yield_now();
                }
            }
        });
        run(&admission, &ledger, 64, 4000).await;
        stop.store(true, SeqCst);
        watcher.await.expect("bounds seen from outside");
        assert!(ledger.most.load(SeqCst) <= concurrency, "seen from inside");
        nothing_left(&admission, &ledger);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changing_limits_lose_nothing() {
    let (admission, ledger) = (Admission::new(limits(4, 64)), Arc::default());
    let stop = Arc::new(AtomicBool::new(false));
    let changer = tokio::spawn({
        let (admission, stop) = (Arc::clone(&admission), Arc::clone(&stop));
        async move {
            while !stop.load(SeqCst) {
                admission.set_limits(limits(fastrand::usize(..9), fastrand::usize(..65)));
                yield_now().await;
            }
            admission.set_limits(limits(4, 64));
        }
    });
    let watcher = tokio::spawn({
        let (admission, stop) = (Arc::clone(&admission), Arc::clone(&stop));
        async move {
            while !stop.load(SeqCst) {
                let _maybe = timeout(Duration::from_micros(300), admission.idle()).await;
                yield_now().await;
            }
        }
    });
    run(&admission, &ledger, 64, 10_000).await;
    stop.store(true, SeqCst);
    changer.await.expect("changed the limits to the end");
    watcher.await.expect("watched to the end");
    assert!(ledger.most.load(SeqCst) <= 8, "never over the largest limit");
    timeout(PATIENCE, admission.idle()).await.expect("idle at the end");
    nothing_left(&admission, &ledger);
}

/// Each asker stands in line before the next one asks, so the order of asking is known.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn order_of_asking_is_order_of_entering() {
    const ASKERS: usize = 400;
    let admission = Admission::new(limits(1, ASKERS));
    let permit = admission.try_admit().expect("free");
    let entered = Arc::new(Mutex::new(Vec::new()));
    let mut set = JoinSet::new();
    for number in 0..ASKERS {
        let (admission, entered) = (Arc::clone(&admission), Arc::clone(&entered));
        let (in_line, stands) = oneshot::channel();
        set.spawn(async move {
            let mut admit = pin!(admission.admit(None));
            assert!(poll_once(&mut admit).await.is_pending(), "the one place is taken");
            in_line.send(()).expect("the test waits for it");
            let enter = async {
                let permit = admit.await.expect("waits for ever");
                entered.lock().push(number);
                yield_now().await;
                drop(permit);
            };
            if number % 3 == 1 {
                let _gone = timeout(Duration::from_micros(fastrand::u64(..20_000)), enter).await;
            } else {
                enter.await;
            }
        });
        stands.await.expect("in line");
    }
    drop(permit);
    timeout(PATIENCE, set.join_all()).await.expect("all are served");
    let entered = entered.lock();
    assert!(entered.is_sorted(), "{entered:?}");
    let patient = (0..ASKERS).filter(|number| number % 3 != 1).count();
    assert!(entered.len() >= patient, "every patient one was served: {}", entered.len());
    assert_eq!((admission.stats().in_flight, admission.stats().queued), (0, 0));
}
