//! How many calls may be repeated: a share of the requests and a few more, so that a workload in trouble gets no storm.
//!
//! GEP-3388 (`BackendTrafficPolicy.retryConstraint.budget`) has the idea and the numbers: 20% of the requests, and ten a
//! second besides, so that a rule with little traffic can be helped too.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::time::Instant;

use crate::kept::Kept;

/// One repeated call, in the unit of the balance.
const CALL: u64 = 100;
/// What a request earns: a fifth of a call.
const EARNED: u64 = 20;
/// What time earns: ten calls a second.
const EARNED_A_SECOND: u64 = 10 * CALL;
/// What a rule begins with: what a second earns.
const FIRST: u64 = EARNED_A_SECOND;
/// No more is saved up, so that an hour of peace does not pay for a storm: what 500 requests earn.
const SAVED_AT_MOST: u64 = 100 * CALL;

/// The budget of one rule: what its requests and the time earn, its repeated calls spend.
///
/// Both numbers are counters that nothing else hangs on, hence `Relaxed`: two that race may let the balance exceed
/// `SAVED_AT_MOST` by what one request earns, and never let one unit be spent twice.
#[derive(Debug)]
pub struct Budget {
    started: Instant,
    balance: AtomicU64,
    /// Milliseconds from `started` for which time has paid.
    paid: AtomicU64,
}

/// Budgets by the name of their rule. A new table of the same rule goes on with the old one's balance: it must not be a
/// way around the budget that routes change often.
#[derive(Debug, Default)]
pub struct Budgets(Kept<String, Budget>);

// === impl Budget ===

impl Default for Budget {
    fn default() -> Self {
        Self { started: Instant::now(), balance: AtomicU64::new(FIRST), paid: AtomicU64::new(0) }
    }
}

impl Budget {
    /// A request came. With a full balance, which is the rule, this writes nothing.
    pub(crate) fn earn(&self) {
        if self.balance.load(Relaxed) < SAVED_AT_MOST {
            self.balance.fetch_add(EARNED, Relaxed);
        }
    }

    /// Whether a call may be repeated now; if so, it is paid for.
    pub(crate) fn spend(&self) -> bool {
        self.spend_at(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn spend_at(&self, now: u64) -> bool {
        let paid = self.paid.fetch_max(now, Relaxed);
        let earned = now.saturating_sub(paid).saturating_mul(EARNED_A_SECOND / 1000);
        let mut can = false;
        // The closure always gives a value, so the update cannot fail.
        let _ = self.balance.fetch_update(Relaxed, Relaxed, |balance| {
            let balance = balance.saturating_add(earned).min(SAVED_AT_MOST);
            can = balance >= CALL;
            Some(if can { balance - CALL } else { balance })
        });
        can
    }
}

// === impl Budgets ===

impl Budgets {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Kept::new())
    }

    /// The budget of this rule: the one that some table still holds, or a new one.
    #[must_use]
    pub fn of(&self, rule: &str) -> Arc<Budget> {
        self.0.of(rule.to_owned(), |_| true, Budget::default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(budget: &Budget, asked: usize, now: u64) -> usize {
        (0..asked).filter(|_| budget.spend_at(now)).count()
    }

    #[tokio::test]
    async fn a_fifth_of_the_requests_and_ten_a_second() {
        for (name, requests, seconds, wanted) in [
            ("what a rule begins with", 0, 0, 10),
            ("a fifth", 100, 0, 30),
            ("not more than is saved up", 100_000, 0, 100),
            ("ten a second", 0, 5, 60),
            ("not more than is saved up by time", 0, 3600, 100),
            ("both", 50, 2, 40),
        ] {
            let budget = Budget::default();
            (0..requests).for_each(|_| budget.earn());
            assert_eq!(spent(&budget, 1000, seconds * 1000), wanted, "{name}");
            assert_eq!(spent(&budget, 1000, seconds * 1000), 0, "{name}: spent is spent");
        }
    }

    #[tokio::test]
    async fn a_storm_is_bounded() {
        // Every one of a thousand requests a second fails, for ten seconds, and asks for three more calls.
        let budget = Budget::default();
        let mut repeated = 0;
        for millisecond in 0..10_000 {
            budget.earn();
            repeated += spent(&budget, 3, millisecond);
        }
        assert!((2000..=2120).contains(&repeated), "{repeated} of 10,000");
    }

    #[tokio::test]
    async fn many_threads_spend_no_unit_twice() {
        let budget = Arc::new(Budget::default());
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let budget = Arc::clone(&budget);
                std::thread::spawn(move || spent(&budget, 1000, 0))
            })
            .collect();
        let all: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(all, 10);
    }

    #[tokio::test]
    async fn a_new_table_goes_on_with_the_balance() {
        let budgets = Budgets::new();
        let old = budgets.of("default/r 0");
        assert_eq!(spent(&old, 100, 0), 10);
        let new = budgets.of("default/r 0");
        drop(old);
        assert_eq!(spent(&new, 100, 0), 0);
        assert_eq!(spent(&budgets.of("default/r 1"), 100, 0), 10, "another rule has its own");
        drop(new);
        assert_eq!(spent(&budgets.of("default/r 0"), 100, 0), 10, "nobody held it any more");
        assert_eq!(budgets.0.len(), 1, "those of rules that are gone go");
    }
}
