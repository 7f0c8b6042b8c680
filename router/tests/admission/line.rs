//! Admission on one thread with a stopped clock: who gets in, in which order, and how waits end.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use penstock_router::{
    Cause, Error,
    admit::{Admission, Limits, Permit},
};
use tokio::time::{Instant, advance, timeout};

type Asking<'a> = Pin<Box<dyn Future<Output = Result<Permit, Error>> + 'a>>;

const SECOND: Duration = Duration::from_secs(1);

fn admission(concurrency: usize, queue_depth: usize) -> Arc<Admission> {
    Admission::new(limits(concurrency, queue_depth))
}

fn limits(concurrency: usize, queue_depth: usize) -> Limits {
    Limits { concurrency, queue_depth, queue_timeout: 5 * SECOND }
}

/// Asks and polls once, so that the asker stands in line.
fn ask(admission: &Arc<Admission>) -> Asking<'_> {
    let mut asking: Asking<'_> = Box::pin(admission.admit(None));
    assert!(look(&mut asking).is_none(), "must wait");
    asking
}

fn look(asking: &mut Asking<'_>) -> Option<Result<Permit, Error>> {
    match asking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

fn granted(asking: &mut Asking<'_>) -> Permit {
    look(asking).expect("its turn has come").expect("admitted")
}

fn cause(result: Result<Permit, Error>) -> Cause {
    result.expect_err("refused").cause
}

fn counts(admission: &Admission) -> (usize, usize) {
    let stats = admission.stats();
    (stats.in_flight, stats.queued)
}

#[tokio::test(start_paused = true)]
async fn bounds_are_exact() {
    for (concurrency, depth) in [(1, 0), (1, 1), (3, 0), (3, 2), (100, 100), (0, 0), (0, 4)] {
        let admission = admission(concurrency, depth);
        let permits: Vec<_> = (0..concurrency).map(|_| admission.try_admit().expect("a free place")).collect();
        assert!(admission.try_admit().is_none(), "{concurrency}/{depth}: one too many");
        let waiting: Vec<_> = (0..depth).map(|_| ask(&admission)).collect();
        assert_eq!(counts(&admission), (concurrency, depth));
        assert_eq!(cause(admission.admit(None).await), Cause::QueueFull, "{concurrency}/{depth}");
        drop(waiting);
        assert_eq!(counts(&admission), (concurrency, 0), "leaving the line gives the place in it back");
        drop(permits);
        assert_eq!(counts(&admission), (0, 0));
        assert_eq!(admission.try_admit().is_some(), concurrency > 0, "{concurrency}/{depth}: free again");
    }
}

#[tokio::test(start_paused = true)]
async fn first_come_first_served_and_nobody_overtakes() {
    let admission = admission(1, 10);
    let permit = admission.try_admit().expect("free");
    let (mut first, mut second, mut third) = (ask(&admission), ask(&admission), ask(&admission));

    drop(permit);
    assert!(admission.try_admit().is_none(), "the free place is the first waiter's already");
    assert!(look(&mut third).is_none() && look(&mut second).is_none());
    let permit = granted(&mut first);

    drop(second);
    drop(permit);
    let permit = granted(&mut third);
    drop(permit);
    assert_eq!(counts(&admission), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_dropped_with_the_permit_in_hand_passes_it_on() {
    let admission = admission(1, 10);
    let permit = admission.try_admit().expect("free");
    let (first, mut second) = (ask(&admission), ask(&admission));
    drop(permit);
    assert_eq!(counts(&admission), (1, 1), "the first has been handed the place");
    drop(first);
    drop(granted(&mut second));
    assert_eq!(counts(&admission), (0, 0));

    let permit = admission.try_admit().expect("free");
    let only = ask(&admission);
    drop(permit);
    drop(only);
    assert_eq!(counts(&admission), (0, 0), "with nobody behind, the place is free");
    assert!(admission.try_admit().is_some());
}

#[tokio::test(start_paused = true)]
async fn waits_end_by_the_earlier_of_time_out_and_deadline() {
    let table = [
        ("no deadline", None, 5 * SECOND, Cause::QueueTimeout),
        ("a later deadline", Some(7 * SECOND), 5 * SECOND, Cause::QueueTimeout),
        ("both together", Some(5 * SECOND), 5 * SECOND, Cause::QueueTimeout),
        ("an earlier deadline", Some(2 * SECOND), 2 * SECOND, Cause::Deadline),
        ("a deadline of now", Some(Duration::ZERO), Duration::ZERO, Cause::Deadline),
    ];
    for (name, deadline, wait, wanted) in table {
        let admission = admission(1, 10);
        let _permit = admission.try_admit().expect("free");
        let start = Instant::now();
        let error = admission.admit(deadline.map(|after| start + after)).await.expect_err(name);
        assert_eq!(error.cause, wanted, "{name}");
        let late = start.elapsed() - wait;
        assert!(late <= Duration::from_millis(1), "{name}: {late:?} late (the timer's tick is 1 ms)");
        assert_eq!(error.retry_after.is_some(), wanted == Cause::QueueTimeout, "{name}");
        assert_eq!(counts(&admission), (1, 0), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_out_too_long_for_the_clock_is_none() {
    let admission = Admission::new(Limits { concurrency: 0, queue_depth: 1, queue_timeout: Duration::MAX });
    assert!(timeout(1_000_000 * SECOND, admission.admit(None)).await.is_err(), "still waiting");
    assert_eq!(counts(&admission), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_grant_at_the_last_moment_counts() {
    let admission = admission(1, 10);
    let permit = admission.try_admit().expect("free");
    let mut waiting = ask(&admission);
    drop(permit);
    advance(10 * SECOND).await;
    assert_eq!(granted(&mut waiting).waited(), 10 * SECOND, "both the turn and the time-out came before the look");
}

#[tokio::test(start_paused = true)]
async fn growing_wakes_in_order_and_shrinking_lets_finish() {
    let admission = admission(0, 10);
    let mut waiting: Vec<_> = (0..4).map(|_| ask(&admission)).collect();
    admission.set_limits(limits(2, 10));
    let mut permits: Vec<_> = waiting.drain(..2).map(|mut asking| granted(&mut asking)).collect();
    assert!(waiting.iter_mut().all(|asking| look(asking).is_none()));

    admission.set_limits(limits(4, 10));
    permits.extend(waiting.drain(..).map(|mut asking| granted(&mut asking)));
    assert_eq!(counts(&admission), (4, 0));

    admission.set_limits(limits(1, 10));
    let mut last = ask(&admission);
    for permit in permits.drain(1..) {
        drop(permit);
        assert!(look(&mut last).is_none(), "over or at the new limit");
    }
    drop(permits);
    drop(granted(&mut last));
}

#[tokio::test(start_paused = true)]
async fn a_shorter_line_keeps_those_in_it() {
    let admission = admission(1, 3);
    let permit = admission.try_admit().expect("free");
    let mut waiting: Vec<_> = (0..3).map(|_| ask(&admission)).collect();
    admission.set_limits(limits(1, 1));
    assert_eq!(cause(admission.admit(None).await), Cause::QueueFull);
    drop(permit);
    waiting.iter_mut().for_each(|asking| drop(granted(asking)));
    assert_eq!(counts(&admission), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn closing_refuses_all_but_those_in_flight() {
    let admission = admission(1, 10);
    let permit = admission.try_admit().expect("free");
    let (mut first, mut second) = (ask(&admission), ask(&admission));
    drop(permit);
    admission.close();
    assert_eq!(look(&mut second).map(cause), Some(Cause::Draining));
    let permit = granted(&mut first);
    assert_eq!(cause(admission.admit(None).await), Cause::Draining);
    drop(permit);
    assert!(admission.try_admit().is_none());
    admission.set_limits(limits(10, 10));
    assert_eq!(cause(admission.admit(None).await), Cause::Draining, "closed for good");
    assert_eq!(counts(&admission), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn idle_means_none_in_flight_and_none_waiting() {
    let admission = admission(1, 10);
    admission.idle().await;

    let permit = admission.try_admit().expect("free");
    let mut waiting = ask(&admission);
    let mut idle = pin!(admission.idle());
    let (abandoned, mut cx) = (admission.idle(), Context::from_waker(Waker::noop()));
    assert!(pin!(abandoned).poll(&mut cx).is_pending(), "a watcher that goes away again");
    assert!(idle.as_mut().poll(&mut cx).is_pending());
    drop(permit);
    assert!(idle.as_mut().poll(&mut cx).is_pending(), "the waiter is in now");
    drop(granted(&mut waiting));
    assert!(admission.try_admit().is_some(), "watching closes nothing");
    assert!(idle.as_mut().poll(&mut cx).is_ready(), "it was idle for a moment");

    admission.set_limits(limits(0, 10));
    let waiting = ask(&admission);
    let watching = tokio::spawn({
        let admission = Arc::clone(&admission);
        async move { admission.idle().await }
    });
    advance(SECOND).await;
    assert!(!watching.is_finished(), "somebody waits");
    drop(waiting);
    watching.await.expect("told when the last one left the line");
}

#[tokio::test(start_paused = true)]
async fn statistics_add_up() {
    let admission = admission(1, 2);
    let full = |admission: &Arc<Admission>| {
        let admission = Arc::clone(admission);
        async move { admission.admit(None).await.expect_err("full") }
    };
    let permit = admission.try_admit().expect("free");
    let (mut first, gone) = (ask(&admission), ask(&admission));
    let hint = full(&admission).await.retry_after;
    assert_eq!(hint, Some(SECOND), "nobody has waited yet: the least that Retry-After can say");
    advance(Duration::from_millis(30)).await;
    drop(permit);
    let permit = granted(&mut first);
    drop(gone);
    assert_eq!(cause(admission.admit(Some(Instant::now() + SECOND)).await), Cause::Deadline);
    assert_eq!(cause(admission.admit(None).await), Cause::QueueTimeout);
    drop(permit);
    admission.close();
    assert_eq!(cause(admission.admit(None).await), Cause::Draining);

    let stats = admission.stats();
    assert_eq!((stats.limits, stats.in_flight, stats.queued, stats.left), (limits(1, 2), 0, 0, 1));
    let shed = stats.shed;
    assert_eq!((shed.queue_full, shed.queue_timeout, shed.deadline, shed.draining, shed.total()), (1, 1, 1, 1, 4));
    assert_eq!((stats.admitted, stats.wait.count, stats.wait.sum), (2, 2, Duration::from_millis(30)));
    let cumulative: Vec<_> = stats.wait.cumulative().map(|(_, count)| count).collect();
    assert_eq!(cumulative, [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2], "one at once, one within 50 ms");
}

#[tokio::test(start_paused = true)]
async fn the_hint_follows_the_recent_wait() {
    let admission = Admission::new(Limits { concurrency: 1, queue_depth: 1, queue_timeout: 120 * SECOND });
    for (wait, least, most) in [(4, 4, 4), (20, 5, 8), (119, 15, 30), (119, 20, 30), (119, 30, 30)] {
        let permit = admission.try_admit().expect("free");
        let mut waiting = ask(&admission);
        advance(wait * SECOND).await;
        drop(permit);
        let permit = granted(&mut waiting);
        let _waiting = ask(&admission);
        let hint = admission.admit(None).await.expect_err("full").retry_after.expect("a hint");
        assert!(hint >= least * SECOND && hint <= most * SECOND, "{hint:?} after {wait} s");
        drop(permit);
    }
}
