//! How a share leaves a host: endpoint first, then the share, then nothing is left of either.

use std::time::Duration;

use jiff::Timestamp;

/// How far a share is on its way out. It begins anew after a restart of the operator, which is always safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leaving {
    /// It is to stay.
    #[default]
    No,
    /// Its endpoints say `terminating`, or are about to: clients learn that it leaves. It is in the host's snapshot still.
    Announced,
    /// It is to be left out of the host's snapshot.
    Released,
    /// The host follows a snapshot without it: the Workload is to be deleted, and the endpoint leaves its slice.
    Gone,
}

impl Leaving {
    /// Whether the host's snapshot has the share.
    #[must_use]
    pub const fn in_snapshot(self) -> bool {
        matches!(self, Self::No | Self::Announced)
    }
}

/// What decides about the next step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeavingFacts {
    /// Whether it is wanted (again): it is among [`super::DeploymentStep::workloads`].
    pub wanted: bool,
    /// Whether it serves, no other ready share of its deployment stays on the host, and some Service is routed to that
    /// deployment: then clients have to learn first that the host leaves.
    pub last_behind_a_service: bool,
    /// Since when the slices of all of those Services have been written with this host `terminating` or without it; none: they
    /// are not written yet.
    pub announced: Option<Timestamp>,
    /// The version of the first snapshot pushed to the host without it; none: none was pushed yet.
    pub left_out_in: Option<u64>,
    /// The version that the host follows.
    pub acked: u64,
    /// Whether nothing of the host counts any more.
    pub host_lost: bool,
}

/// The next step, and after how long to ask again if nothing else happens before. Ask until it does not change.
#[must_use]
pub fn next(now: Timestamp, delay: Duration, before: Leaving, facts: &LeavingFacts) -> (Leaving, Option<Duration>) {
    if facts.wanted {
        return (Leaving::No, None);
    }
    if facts.host_lost {
        return (Leaving::Gone, None);
    }
    match before {
        Leaving::No | Leaving::Announced if facts.last_behind_a_service => {
            let Some(announced) = facts.announced else { return (Leaving::Announced, None) };
            let passed = Duration::try_from(now.duration_since(announced)).unwrap_or(Duration::ZERO);
            match delay.checked_sub(passed) {
                Some(rest) if !rest.is_zero() => (Leaving::Announced, Some(rest)),
                _ => (Leaving::Released, None),
            }
        }
        Leaving::No | Leaving::Announced => (Leaving::Released, None),
        Leaving::Released if facts.left_out_in.is_some_and(|it| it <= facts.acked) => (Leaving::Gone, None),
        Leaving::Released | Leaving::Gone => (before, None),
    }
}
