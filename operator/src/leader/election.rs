//! When to take a Lease, when to renew it, and when to stop acting on it. Pure: times are given.

use std::{fmt, time::Duration};

use tokio::time::Instant;

/// The least pause between two tries to take or renew.
const RETRY: Duration = Duration::from_millis(500);

/// What the Lease says about this operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Leadership {
    /// Not known (yet).
    #[default]
    Unknown,
    /// This operator leads. The term changes when somebody else has led in between.
    Leading {
        /// Counts the changes of leaders.
        term: i32,
    },
    /// This operator held the Lease last and cannot renew it.
    Suspended {
        /// Counts the changes of leaders.
        term: i32,
        /// For so long that its hosts should look for another leader.
        over: bool,
    },
    /// Another leads.
    Following {
        /// Its pod.
        leader: String,
        /// Where hosts find it.
        address: Option<String>,
    },
}

impl fmt::Display for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Leading { term } => write!(f, "leading (term {term})"),
            Self::Suspended { over, .. } => {
                write!(f, "suspended: the Lease cannot be renewed{}", if *over { ", and has ended" } else { "" })
            }
            Self::Following { leader, .. } => write!(f, "following {leader}"),
        }
    }
}

/// A Lease as it was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) version: Option<String>,
    pub(super) holder: Option<String>,
    pub(super) address: Option<String>,
    pub(super) duration: Duration,
    pub(super) term: i32,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing until the Lease changes.
    Watch,
    /// Ask again at that time.
    At(Instant),
    /// Take or renew it now.
    Take,
}

/// One candidate's view.
#[derive(Debug)]
pub(super) struct Election {
    name: String,
    duration: Duration,
    seen: Option<(Seen, Instant)>,
    /// When the last renewal that succeeded was begun.
    renewed: Option<Instant>,
    /// No try before that.
    pause: Option<Instant>,
}

impl Election {
    pub(super) fn new(name: &str, duration: Duration) -> Self {
        Self { name: name.to_owned(), duration, seen: None, renewed: None, pause: None }
    }

    /// How long one request may take.
    pub(super) fn patience(&self) -> Duration {
        self.duration / 3
    }

    /// The Lease as it is now. An old copy that a watch brings late is told by its version only, which is enough: at worst
    /// a write with it is refused.
    pub(super) fn see(&mut self, now: Instant, seen: Seen) {
        if self.seen.as_ref().is_none_or(|(it, _)| *it != seen) {
            if seen.holder.as_deref() != Some(&self.name) {
                self.renewed = None;
            }
            self.seen = Some((seen, now));
        }
    }

    /// A write succeeded that was begun at that time.
    pub(super) fn renewed(&mut self, begun: Instant) {
        self.renewed = Some(begun);
        self.pause = None;
    }

    /// A write failed.
    pub(super) fn failed(&mut self, now: Instant) {
        self.pause = Some(now + RETRY.max(self.duration / 15));
    }

    /// Whether this candidate is the holder, as far as is known.
    pub(super) fn holds(&self) -> bool {
        self.renewed.is_some() && self.seen.as_ref().is_some_and(|(it, _)| it.holder.as_deref() == Some(&self.name))
    }

    /// Where things stand, and what to do next.
    pub(super) fn decide(&self, now: Instant) -> (Leadership, Decision) {
        let Some((seen, at)) = &self.seen else { return (Leadership::Unknown, Decision::Watch) };
        let leadership = self.leadership(seen, now);
        let due = match (&seen.holder, self.renewed) {
            (Some(holder), Some(renewed)) if *holder == self.name => renewed + self.duration / 5,
            // Its own from before a restart: nobody else acts on it, so it need not be waited for.
            (Some(holder), None) if *holder == self.name => now,
            (Some(_), _) => *at + seen.duration,
            (None, _) => now,
        };
        let due = self.pause.map_or(due, |pause| due.max(pause));
        // A suspended leader says so on time even while it waits for its next try.
        let next = match (&leadership, self.renewed) {
            (Leadership::Leading { .. }, Some(renewed)) => due.min(renewed + self.deadline()),
            (Leadership::Suspended { over: false, .. }, Some(renewed)) => due.min(renewed + self.duration * 2),
            _ => due,
        };
        let decision = if due <= now { Decision::Take } else { Decision::At(next) };
        (leadership, decision)
    }

    fn leadership(&self, seen: &Seen, now: Instant) -> Leadership {
        match (&seen.holder, self.renewed) {
            (Some(holder), Some(renewed)) if *holder == self.name => {
                let since = now.saturating_duration_since(renewed);
                if since < self.deadline() {
                    Leadership::Leading { term: seen.term }
                } else {
                    Leadership::Suspended { term: seen.term, over: since >= self.duration * 2 }
                }
            }
            (Some(holder), _) if *holder != self.name => {
                Leadership::Following { leader: holder.clone(), address: seen.address.clone() }
            }
            _ => Leadership::Unknown,
        }
    }

    /// A leader that has not renewed for so long acts no more: before others may take the Lease.
    fn deadline(&self) -> Duration {
        self.duration * 2 / 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: Duration = Duration::from_secs(15);

    fn seen(version: &str, holder: Option<&str>) -> Seen {
        Seen {
            version: Some(version.into()),
            holder: holder.map(Into::into),
            address: Some("10.0.0.1:9443".into()),
            duration: TERM,
            term: 3,
        }
    }

    #[test]
    fn a_free_lease_is_taken_at_once() {
        let now = Instant::now();
        let mut election = Election::new("a", TERM);
        assert_eq!(election.decide(now), (Leadership::Unknown, Decision::Watch));
        election.see(now, Seen::default());
        assert_eq!(election.decide(now), (Leadership::Unknown, Decision::Take));
        election.failed(now);
        assert_eq!(election.decide(now).1, Decision::At(now + Duration::from_secs(1)));
        election.see(now, seen("1", Some("a")));
        election.renewed(now);
        assert_eq!(election.decide(now), (Leadership::Leading { term: 3 }, Decision::At(now + TERM / 5)));
        assert_eq!(election.decide(now + TERM / 5).1, Decision::Take);
    }

    #[test]
    fn anothers_lease_is_taken_when_it_has_not_changed_for_its_duration() {
        let now = Instant::now();
        let mut election = Election::new("a", TERM);
        election.see(now, seen("1", Some("b")));
        let following = Leadership::Following { leader: "b".into(), address: Some("10.0.0.1:9443".into()) };
        assert_eq!(election.decide(now), (following.clone(), Decision::At(now + TERM)));
        election.see(now + TERM / 2, seen("2", Some("b")));
        assert_eq!(election.decide(now + TERM), (following.clone(), Decision::At(now + TERM / 2 + TERM)));
        assert_eq!(election.decide(now + TERM * 2), (following, Decision::Take));
        // It was given back.
        election.see(now + TERM, seen("3", None));
        assert_eq!(election.decide(now + TERM).1, Decision::Take);
    }

    #[test]
    fn a_leader_that_cannot_renew_stops_before_others_may_begin() {
        let now = Instant::now();
        let mut election = Election::new("a", TERM);
        election.see(now, seen("1", Some("a")));
        election.renewed(now);
        let late = now + TERM * 2 / 3;
        election.failed(late - Duration::from_millis(100));
        assert_eq!(
            election.decide(late - Duration::from_millis(1)),
            (Leadership::Leading { term: 3 }, Decision::At(late))
        );
        assert_eq!(election.decide(late).0, Leadership::Suspended { term: 3, over: false });
        assert_eq!(election.decide(now + TERM * 2).0, Leadership::Suspended { term: 3, over: true });
        // It can again, and nobody else has led.
        election.renewed(now + TERM * 3);
        assert_eq!(election.decide(now + TERM * 3).0, Leadership::Leading { term: 3 });
        // Another was faster.
        election.see(now + TERM * 3, seen("2", Some("b")));
        assert!(matches!(election.decide(now + TERM * 3).0, Leadership::Following { .. }));
        assert!(!election.holds());
    }

    #[test]
    fn its_own_lease_from_before_a_restart_is_taken_again_at_once() {
        let now = Instant::now();
        let mut election = Election::new("a", TERM);
        election.see(now, seen("1", Some("a")));
        assert_eq!(election.decide(now), (Leadership::Unknown, Decision::Take));
    }
}
