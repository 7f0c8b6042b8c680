//! Backends that fail are left out for a while: Envoy's outlier detection, of which this is the part about errors in a row.
//!
//! What is known of a backend is kept by the names of its rule and its own, and outlives tables.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{Cause, kept::Kept, serve::Weighted};

/// The longest ejection.
const LONGEST: Duration = Duration::from_secs(300);

/// When a backend is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutlierConfig {
    /// Failures in a row. None counts as one.
    pub consecutive_errors: u32,
    /// For each such time without another ejection the next one is shorter by one step again.
    pub interval: Duration,
    /// How long the first ejection is; each further one in a row is longer by as much.
    pub base_ejection: Duration,
    /// How many of the rule's backends may be left out, in percent. One always may, and never all.
    pub max_percent: u32,
}

/// The backends of one rule in one table.
#[derive(Debug)]
pub struct Outliers {
    config: OutlierConfig,
    /// By their places; those that cannot fail have none.
    healths: Vec<Option<Arc<Health>>>,
}

/// How one backend of a rule does. All are numbers that nothing else hangs on, hence `Relaxed`: of two failures at once either may
/// be the last of a row.
#[derive(Debug, Default)]
struct Health {
    failures: AtomicU32,
    /// How many steps the last ejection had.
    steps: AtomicU32,
    ejections: AtomicU64,
    /// Milliseconds; zero: it never was left out.
    ejected_until: AtomicU64,
}

/// Healths by the names of rule and backend.
#[derive(Debug, Default)]
pub struct Healths(Kept<(String, String), Health>);

/// What is known of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthStatus {
    /// The rule's name.
    pub rule: String,
    /// The backend's own name.
    pub backend: String,
    /// How often it was left out.
    pub ejections: u64,
    /// Whether it is.
    pub ejected: bool,
}

/// Milliseconds since this was first asked for; never zero, which means "not".
fn now() -> u64 {
    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
    millis(STARTED.elapsed()).saturating_add(1)
}

/// Whether a call that ended by this cause ended by its component's own fault.
const fn is_fault(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::GuestTrap
            | Cause::GuestMemory
            | Cause::GuestTable
            | Cause::GuestCpu
            | Cause::GuestOutbound
            | Cause::GuestNoResponse
            | Cause::GuestError
            | Cause::GuestStart
            | Cause::Deadline
    )
}

// === impl Outliers ===

impl Outliers {
    /// Instead of the backend at `place`, which was picked: another one if that one is left out. `failed`: where this request's last
    /// attempt failed, which is the last choice.
    pub(crate) fn instead(&self, backends: &Weighted, place: usize, failed: Option<usize>) -> usize {
        let now = now();
        if !self.is_ejected(place, now) {
            return place;
        }
        // References that lead nowhere keep their own share, no more.
        let fits = |it: usize| self.health(it).is_some_and(|health| !health.is_ejected(now)) && failed != Some(it);
        backends.pick_among(fits).unwrap_or(place)
    }

    /// A response went to its end.
    pub(crate) fn succeeded(&self, place: usize) {
        if let Some(health) = self.health(place)
            && health.failures.load(Relaxed) > 0
        {
            health.failures.store(0, Relaxed);
        }
    }

    /// A call ended by this cause, which may be its component's own fault.
    pub(crate) fn failed(&self, place: usize, cause: Cause) {
        if is_fault(cause) {
            self.failed_at(place, now());
        }
    }

    fn failed_at(&self, place: usize, now: u64) {
        let Some(health) = self.health(place) else { return };
        let failures = health.failures.fetch_add(1, Relaxed).saturating_add(1);
        if failures < self.config.consecutive_errors.max(1) || health.is_ejected(now) || !self.may_eject(now) {
            return;
        }
        health.failures.store(0, Relaxed);
        let until = health.ejected_until.load(Relaxed);
        let peace = now.saturating_sub(until) / millis(self.config.interval).max(1);
        let forgiven = u32::try_from(peace).unwrap_or(u32::MAX);
        let before = if until == 0 { 0 } else { health.steps.load(Relaxed).saturating_sub(forgiven) };
        let steps = before.saturating_add(1);
        let base = self.config.base_ejection;
        let length = base.saturating_mul(steps).min(LONGEST.max(base));
        health.steps.store(steps, Relaxed);
        health.ejections.fetch_add(1, Relaxed);
        health.ejected_until.store(now.saturating_add(millis(length)), Relaxed);
    }

    /// Whether one more may be left out.
    fn may_eject(&self, now: u64) -> bool {
        let known: Vec<bool> = self.healths.iter().flatten().map(|it| it.is_ejected(now)).collect();
        let ejected = known.iter().filter(|it| **it).count();
        let most = (known.len() * self.config.max_percent as usize / 100).max(1).min(known.len().saturating_sub(1));
        ejected < most
    }

    fn is_ejected(&self, place: usize, now: u64) -> bool {
        self.health(place).is_some_and(|it| it.is_ejected(now))
    }

    fn health(&self, place: usize) -> Option<&Health> {
        self.healths.get(place)?.as_deref()
    }
}

// === impl Health ===

impl Health {
    fn is_ejected(&self, now: u64) -> bool {
        now < self.ejected_until.load(Relaxed)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

// === impl Healths ===

impl Healths {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Kept::new())
    }

    /// The backends of a rule, by their own names in the order of their places ([`Backend::id`](crate::Backend::id)).
    #[must_use]
    pub fn of(&self, rule: &str, config: OutlierConfig, names: &[Option<&str>]) -> Outliers {
        let health = |name: &&str| self.0.of((rule.to_owned(), (*name).to_owned()), |_| true, Health::default);
        Outliers { config, healths: names.iter().map(|name| name.as_ref().map(health)).collect() }
    }

    /// All that is known, for metrics.
    #[must_use]
    pub fn status(&self) -> Vec<HealthStatus> {
        let now = now();
        self.0.map(|(rule, backend), health| HealthStatus {
            rule: rule.clone(),
            backend: backend.clone(),
            ejections: health.ejections.load(Relaxed),
            ejected: health.is_ejected(now),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn config() -> OutlierConfig {
        OutlierConfig { consecutive_errors: 3, interval: 10 * SECOND, base_ejection: 30 * SECOND, max_percent: 50 }
    }

    fn fail(outliers: &Outliers, place: usize, times: u32, now: u64) {
        (0..times).for_each(|_| outliers.failed_at(place, now));
    }

    fn until(outliers: &Outliers, place: usize) -> u64 {
        outliers.healths[place].as_ref().unwrap().ejected_until.load(Relaxed)
    }

    #[test]
    fn failures_in_a_row_bring_ejections_that_grow_and_shrink() {
        let healths = Healths::new();
        let outliers = healths.of("r", config(), &[Some("a"), Some("b"), None]);
        fail(&outliers, 0, 2, 1);
        outliers.succeeded(0);
        fail(&outliers, 0, 2, 1);
        assert_eq!(until(&outliers, 0), 0, "a success was in between");
        fail(&outliers, 0, 1, 1);
        assert_eq!(until(&outliers, 0), 30_001);
        fail(&outliers, 0, 10, 2);
        assert_eq!(until(&outliers, 0), 30_001, "calls that were under way");
        outliers.succeeded(0);
        fail(&outliers, 0, 3, 30_001);
        assert_eq!(until(&outliers, 0), 90_001, "the second in a row");
        fail(&outliers, 0, 3, 110_001);
        assert_eq!(until(&outliers, 0), 140_001, "two intervals of peace");
        let mut now = 140_001;
        for _ in 0..30 {
            fail(&outliers, 0, 3, now);
            now = until(&outliers, 0);
        }
        fail(&outliers, 0, 3, now);
        assert_eq!(until(&outliers, 0) - now, 300_000, "never longer than five minutes");
        outliers.failed_at(2, 1);
        outliers.failed_at(9, 1);
    }

    #[test]
    fn never_all_and_no_more_than_the_part_that_may() {
        let healths = Healths::new();
        let ejected = |outliers: &Outliers| (0..4).filter(|it| outliers.is_ejected(*it, 2)).count();
        for (names, percent, most) in [
            (&[Some("a")][..], 100, 0),
            (&[Some("a"), Some("b")], 0, 1),
            (&[Some("a"), Some("b")], 100, 1),
            (&[Some("a"), Some("b"), Some("c"), Some("d")], 50, 2),
            (&[Some("a"), None, None, None], 100, 0),
        ] {
            let rule = format!("{names:?} {percent}");
            let outliers = healths.of(&rule, OutlierConfig { max_percent: percent, ..config() }, names);
            (0..names.len()).for_each(|place| fail(&outliers, place, 3, 1));
            assert_eq!(ejected(&outliers), most, "{rule}");
        }
    }

    #[test]
    fn a_backend_keeps_its_record_from_table_to_table() {
        let healths = Healths::new();
        let first = healths.of("r", config(), &[Some("a"), Some("b")]);
        fail(&first, 0, 3, 1);
        let second = healths.of("r", config(), &[Some("b"), Some("a"), Some("c")]);
        let other = healths.of("s", config(), &[Some("a"), Some("b")]);
        assert!(second.is_ejected(1, 2) && !second.is_ejected(0, 2) && !other.is_ejected(0, 2));
        drop((first, second));
        assert_eq!(healths.status().len(), 2, "the other rule's");
        let _again = healths.of("r", config(), &[Some("a")]);
        let a = healths.status().into_iter().find(|it| it.rule == "r").unwrap();
        assert_eq!((a.ejections, a.backend.as_str()), (0, "a"), "nobody held it");
    }
}
