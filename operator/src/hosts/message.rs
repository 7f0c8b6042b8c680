//! From messages of the wire to what the controllers read.

use std::{collections::BTreeSet, sync::Arc};

use penstock_api::control::{self, share_report::State};

use crate::signals::Counters;

use super::{Hello, Identity, ListenerReport, MachineSignal, Report, ShareReport, ShareSignal, ShareState};

/// Who it is by its token, and what it says of itself.
pub(super) fn hello(identity: Identity, said: control::Hello) -> Hello {
    Hello {
        host: identity.pod,
        pod_uid: identity.pod_uid,
        node: identity.node,
        version: said.version,
        engine: said.engine,
        instances: said.instances,
        memory_bytes: said.memory_bytes,
        os_name: said.os_name,
        os_arch: said.os_arch,
        os_kernel: said.os_kernel,
        snapshot_version: said.snapshot_version,
        peer_port: u16::try_from(said.peer_port).ok().filter(|it| *it > 0),
        certificate_request: said.certificate_request.into(),
    }
}

/// Applies what has changed to what was known; returns the ids of the shares that it is about.
pub(super) fn fold(known: &mut Arc<Report>, change: control::Report) -> Vec<String> {
    // No copy unless a controller still looks at the one before.
    let report = Arc::make_mut(known);
    (report.version, report.follows, report.leaving) = (change.version, change.follows, change.leaving);
    report.refused = said(change.refused);
    let mut changed = BTreeSet::new();
    for id in change.gone_shares {
        report.shares.remove(&id);
        changed.insert(id);
    }
    for share in change.shares {
        let state = match State::try_from(share.state) {
            Ok(State::Ready) => ShareState::Ready,
            Ok(State::Failed) => ShareState::Failed,
            Ok(State::Draining) => ShareState::Draining,
            // What a newer host may have come to say: it does not answer yet.
            Ok(State::Loading | State::Unspecified) | Err(_) => ShareState::Loading,
        };
        changed.insert(share.id.clone());
        let now = ShareReport { state, message: said(share.message), replicas: share.replicas };
        report.shares.insert(share.id, now);
    }
    for name in change.gone_listeners {
        report.listeners.remove(&name);
    }
    for listener in change.listeners {
        let address = listener.address.parse().ok();
        let now = ListenerReport { bound: address.is_some(), address, errors: listener.errors };
        report.listeners.insert(listener.name, now);
    }
    changed.into_iter().collect()
}

pub(super) fn signals(load: control::Load) -> (MachineSignal, Vec<ShareSignal>) {
    let machine =
        MachineSignal { cpu_percent: load.cpu_percent, memory_total: load.memory_total, memory_free: load.memory_free };
    let shares = load.shares.into_iter().map(|share| ShareSignal {
        share: share.id,
        counters: Counters {
            capacity: share.capacity,
            in_flight: share.in_flight,
            queued: share.queued,
            admitted: share.admitted,
            shed: share.shed,
            waited_ms: share.waited_ms,
            served: share.served,
            served_ms: share.served_ms,
        },
        cpu_ms: share.cpu_ms,
        lent: share.lent,
    });
    (machine, shares.collect())
}

/// In proto3 what is not said is empty.
fn said(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(id: &str, state: State, message: &str) -> control::ShareReport {
        control::ShareReport { id: id.into(), state: state.into(), message: message.into(), replicas: 2 }
    }

    #[test]
    fn a_report_changes_what_it_names_and_nothing_else() {
        let mut known = Arc::new(Report::default());
        let listener = control::ListenerReport { name: "l".into(), address: "10.0.0.1:80".into(), errors: vec![] };
        let first = control::Report {
            version: 1,
            follows: 2,
            shares: vec![share("a", State::Ready, ""), share("b", State::Loading, "")],
            listeners: vec![listener],
            ..control::Report::default()
        };
        assert_eq!(fold(&mut known, first), ["a", "b"]);
        let held = known.clone();
        let second = control::Report {
            version: 2,
            follows: 2,
            shares: vec![share("b", State::Failed, "no such image")],
            gone_shares: vec!["a".into()],
            ..control::Report::default()
        };
        assert_eq!(fold(&mut known, second), ["a", "b"]);
        assert_eq!(known.shares.len(), 1);
        assert_eq!(known.shares["b"].state, ShareState::Failed);
        assert_eq!(known.shares["b"].message.as_deref(), Some("no such image"));
        assert!(known.listeners["l"].bound);
        assert_eq!((known.version, held.version, held.shares.len()), (2, 1, 2));
    }

    #[test]
    fn a_state_of_a_newer_host_is_not_ready() {
        let mut known = Arc::new(Report::default());
        let odd = control::ShareReport { state: 77, ..share("a", State::Ready, "") };
        fold(&mut known, control::Report { shares: vec![odd], ..control::Report::default() });
        assert_eq!(known.shares["a"].state, ShareState::Loading);
    }
}
