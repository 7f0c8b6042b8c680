//! Every interleaving of a few threads at the gate: the source of the router itself, over loom's atomics and mutex.
//!
//! A lost wake-up shows as a deadlock, which loom reports; a lost or doubled place shows in the counts at the end.

#![allow(dead_code, reason = "not every part of the gate is modelled")]

#[path = "../../src/admit/gate.rs"]
mod gate;
#[path = "../../src/admit/word.rs"]
mod word;

mod sync {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering};

    /// loom's mutex behind the face of parking_lot's.
    pub(super) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(super) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(super) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("no thread panics with the lock in hand")
        }
    }
}

use std::{future::poll_fn, time::Duration};

use loom::{
    future::block_on,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use gate::{Entry, Gate, Turn};

fn gate(limit: usize, depth: usize) -> Arc<Gate> {
    Arc::new(Gate::new(limit, depth, Duration::ZERO))
}

fn explore(body: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    // More switches than this inside one run find no new fault in practice and take very long.
    model.preemption_bound = Some(3);
    model.check(body);
}

/// Enters, waiting if need be. False if the gate is closed.
fn enter(gate: &Gate) -> bool {
    if gate.try_enter() {
        return true;
    }
    match gate.enter_or_queue() {
        Entry::In => true,
        Entry::Queued { ticket, .. } => turn(gate, ticket) == Turn::Granted,
        Entry::Closed => false,
        Entry::Full { .. } => panic!("there is room in the queue"),
    }
}

fn turn(gate: &Gate, ticket: u64) -> Turn {
    block_on(poll_fn(|cx| gate.poll_turn(ticket, cx)))
}

fn queue(gate: &Gate) -> u64 {
    match gate.enter_or_queue() {
        Entry::Queued { ticket, .. } => ticket,
        other => panic!("must wait: {other:?}"),
    }
}

fn assert_empty(gate: &Gate) {
    let counts = gate.counts();
    assert_eq!((counts.in_flight, counts.waiting), (0, 0));
}

#[test]
fn one_place_for_two() {
    explore(|| {
        let (gate, inside) = (gate(1, 2), Arc::new(AtomicUsize::new(0)));
        let visit = |gate: Arc<Gate>, inside: Arc<AtomicUsize>| {
            move || {
                assert!(enter(&gate));
                assert_eq!(inside.fetch_add(1, SeqCst), 0, "two inside");
                inside.fetch_sub(1, SeqCst);
                gate.leave();
            }
        };
        let other = thread::spawn(visit(gate.clone(), inside.clone()));
        visit(gate.clone(), inside)();
        other.join().unwrap();
        assert_empty(&gate);
        assert!(gate.try_enter(), "the place is free again");
    });
}

#[test]
fn a_waiter_leaves_while_it_is_handed_the_place() {
    explore(|| {
        let gate = gate(1, 2);
        assert!(gate.try_enter());
        let (first, second) = (queue(&gate), queue(&gate));
        let leaver = thread::spawn({
            let gate = gate.clone();
            move || gate.leave()
        });
        let impatient = thread::spawn({
            let gate = gate.clone();
            move || {
                if gate.abandon(first) {
                    gate.leave();
                }
            }
        });
        assert_eq!(turn(&gate, second), Turn::Granted, "the place is passed on");
        gate.leave();
        leaver.join().unwrap();
        impatient.join().unwrap();
        assert_empty(&gate);
    });
}

#[test]
fn the_limit_grows_while_somebody_queues() {
    explore(|| {
        let gate = gate(0, 1);
        let grower = thread::spawn({
            let gate = gate.clone();
            move || gate.set_limits(1, 1, Duration::ZERO)
        });
        assert!(enter(&gate));
        gate.leave();
        grower.join().unwrap();
        assert_empty(&gate);
    });
}

#[test]
fn the_limit_shrinks_while_somebody_enters() {
    explore(|| {
        let gate = gate(2, 2);
        assert!(gate.try_enter());
        let shrinker = thread::spawn({
            let gate = gate.clone();
            move || {
                gate.set_limits(1, 2, Duration::ZERO);
                gate.leave();
            }
        });
        assert!(enter(&gate));
        assert!(gate.counts().in_flight <= 2);
        gate.leave();
        shrinker.join().unwrap();
        assert_empty(&gate);
        assert!(gate.try_enter() && !gate.try_enter(), "one place is left");
    });
}

#[test]
fn the_gate_closes_while_somebody_queues() {
    explore(|| {
        let gate = gate(1, 1);
        assert!(gate.try_enter());
        let closer = thread::spawn({
            let gate = gate.clone();
            move || {
                gate.close();
                gate.leave();
            }
        });
        if enter(&gate) {
            gate.leave();
        }
        closer.join().unwrap();
        assert_empty(&gate);
        assert!(!gate.try_enter());
    });
}

#[test]
fn the_last_one_leaves_while_somebody_watches() {
    explore(|| {
        let gate = gate(1, 1);
        assert!(gate.try_enter());
        let leaver = thread::spawn({
            let gate = gate.clone();
            move || {
                gate.leave();
                if gate.try_enter() {
                    gate.leave();
                }
            }
        });
        let mut watcher = None;
        block_on(poll_fn(|cx| gate.poll_idle(&mut watcher, cx)));
        leaver.join().unwrap();
        if let Some(watcher) = watcher {
            gate.unwatch(watcher);
        }
        assert_empty(&gate);
    });
}
