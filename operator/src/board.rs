//! How loaded workloads are: written by the task that decides, read by whoever asks.
//!
//! Only the operator that leads knows: hosts speak to no other. One that does not lead says so instead of saying zero.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    hosts::ShareSignal,
    plan::{Name, names},
    scaler::Source,
    signals::{Counters, Samples, WorkloadSignals},
};

/// The load of all workloads, for everybody.
#[derive(Clone, Debug)]
pub struct Board(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    origin: Instant,
    leads: AtomicBool,
    state: Mutex<State>,
    /// Counts what has been written.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    samples: Samples,
    /// Replicas that serve, of every workload that there is.
    serving: HashMap<Name, u32>,
}

impl Default for Board {
    fn default() -> Self {
        let (changes, _) = watch::channel(0);
        Self(Arc::new(Inner {
            origin: Instant::now(),
            leads: AtomicBool::new(false),
            state: Mutex::default(),
            changes,
        }))
    }
}

impl Board {
    /// This operator leads from now on, or no longer; what was known before is worth nothing then.
    pub(crate) fn lead(&self, leads: bool) {
        self.0.leads.store(leads, Relaxed);
        *self.0.state.lock() = State::default();
        self.changed();
    }

    /// Whether this operator knows the load.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.0.leads.load(Relaxed)
    }

    /// The time that samples are taken by.
    pub(crate) fn now(&self) -> Duration {
        self.0.origin.elapsed()
    }

    /// Takes in what a host says.
    pub(crate) fn heard(&self, host: &str, signals: &[ShareSignal]) {
        let named: Vec<(Name, &str, Counters)> = signals.iter().filter_map(counted).collect();
        let now = self.now();
        self.0.state.lock().samples.report(now, host, named.iter().map(|(name, id, counters)| (name, *id, *counters)));
        self.changed();
    }

    /// Forgets a host whose stream has ended or begins anew.
    pub(crate) fn forget_host(&self, host: &str) {
        self.0.state.lock().samples.forget_host(host);
        self.changed();
    }

    /// Forgets a share that a host no longer has.
    pub(crate) fn forget_share(&self, host: &str, share: &str) {
        self.0.state.lock().samples.forget_share(host, share);
    }

    /// A workload is there, and so many of its replicas serve.
    pub(crate) fn serving(&self, workload: &Name, replicas: u32) {
        self.0.state.lock().serving.insert(workload.clone(), replicas);
    }

    /// A workload is gone.
    pub(crate) fn forget(&self, workload: &Name) {
        self.0.state.lock().serving.remove(workload);
    }

    /// How loaded a workload is; none: there is no such workload.
    #[must_use]
    pub fn signals(&self, workload: &Name) -> Option<WorkloadSignals> {
        let now = self.now();
        let state = self.0.state.lock();
        let replicas = *state.serving.get(workload)?;
        Some(state.samples.signals(workload, replicas, now))
    }

    /// All of them, by name.
    #[must_use]
    pub fn all(&self) -> Vec<(Name, WorkloadSignals)> {
        let now = self.now();
        let state = self.0.state.lock();
        let one = |(name, replicas): (&Name, &u32)| (name.clone(), state.samples.signals(name, *replicas, now));
        let mut all: Vec<_> = state.serving.iter().map(one).collect();
        drop(state);
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// Moves on whenever something is known that was not before.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    fn changed(&self) {
        self.0.changes.send_modify(|it| *it = it.wrapping_add(1));
    }
}

impl Source for Board {
    fn signals(&self, workload: &Name) -> Option<WorkloadSignals> {
        Self::signals(self, workload)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        Self::changes(self)
    }

    fn ready(&self) -> bool {
        self.leads() && !self.0.state.lock().serving.is_empty()
    }
}

/// A share's workload, its id and its counters; none if the id is not `namespace/name@revision`.
fn counted(it: &ShareSignal) -> Option<(Name, &str, Counters)> {
    Some((names::deployment_of(&it.share)?, &it.share, it.counters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_lead_knows_nothing() {
        let board = Board::default();
        let name = Name::new("default", "app");
        assert!(!board.leads());
        board.lead(true);
        board.serving(&name, 2);
        let counters = Counters { capacity: 10, in_flight: 4, ..Counters::default() };
        let signal = |share: &str| ShareSignal { share: share.into(), counters, ..ShareSignal::default() };
        let before = *board.changes().borrow();
        board.heard("h", &[signal("default/app@r1"), signal("default/other@r1"), signal("no name")]);
        assert!(*board.changes().borrow() > before);
        let signals = board.signals(&name).unwrap();
        assert_eq!((signals.replicas, signals.capacity, signals.in_flight), (2, 10, 4));
        assert_eq!(board.signals(&Name::new("default", "other")), None, "nobody has said that there is one");
        assert_eq!(board.all().len(), 1);
        board.forget_share("h", "default/app@r1");
        assert_eq!(board.signals(&name).unwrap().capacity, 0);
        board.lead(false);
        assert_eq!((board.signals(&name), board.leads()), (None, false));
    }
}
