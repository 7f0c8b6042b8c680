//! Whether workloads have to run, remembered between two of KEDA's questions: it asks every 30 seconds, and a call takes
//! milliseconds.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Source, value};
use crate::{
    plan::Name,
    signals::{Signal, WorkloadSignals},
};

/// A workload has to run for so long after its last call. It is KEDA's default `pollingInterval`, so that no call falls
/// between two questions; KEDA's own `cooldownPeriod` comes on top.
pub(super) const LASTING: Duration = Duration::from_secs(30);
/// How often signals are looked at, at most. Rates are those of the last second.
const LOOK: Duration = Duration::from_millis(500);
/// A question that nobody has asked for so long is forgotten.
const FORGET: Duration = Duration::from_secs(10 * 60);
/// Questions that are remembered; others are answered by what is the case now.
const MOST: usize = 10_000;

/// Whether a workload has to run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) workload: Name,
    /// The signal is above this, in thousandths; if there is none: calls come, run or wait.
    pub(super) above: Option<(Signal, i64)>,
}

/// What was asked lately, and when the answer was yes.
pub(super) struct Activity {
    source: Arc<dyn Source>,
    asked: Mutex<HashMap<Question, Seen>>,
}

struct Seen {
    asked: Instant,
    active: Option<Instant>,
}

// === impl Question ===

impl Question {
    /// The answer by what is the case now. At zero nothing runs that a mean, a ratio or a number of running calls could be
    /// of: then any call counts, or the workload would never run again.
    pub(super) fn is_active(&self, signals: &WorkloadSignals) -> bool {
        let of_what_runs = |it: Signal| !it.is_additive() || it == Signal::InFlight;
        match self.above {
            None => value::is_called(signals),
            Some((signal, _)) if signals.replicas == 0 && of_what_runs(signal) => value::is_called(signals),
            Some((signal, above)) => value::milli_of(signal.of(signals)) > above,
        }
    }
}

// === impl Activity ===

impl Activity {
    pub(super) fn new(source: Arc<dyn Source>) -> Arc<Self> {
        Arc::new(Self { source, asked: Mutex::default() })
    }

    /// Whether the workload has to run now, or had to lately. None: there is no such workload.
    pub(super) fn ask(&self, question: Question, now: Instant) -> Option<bool> {
        let active = question.is_active(&self.source.signals(&question.workload)?);
        let mut asked = self.asked.lock();
        let room = asked.len() < MOST;
        let seen = match asked.entry(question) {
            Entry::Occupied(seen) => seen.into_mut(),
            Entry::Vacant(place) if room => place.insert(Seen { asked: now, active: None }),
            Entry::Vacant(_) => return Some(active),
        };
        seen.asked = now;
        if active {
            seen.active = Some(now);
        }
        Some(seen.active.is_some_and(|it| now < it + LASTING))
    }

    /// Looks at all that was asked.
    fn look(&self, now: Instant) {
        self.asked.lock().retain(|question, seen| {
            if self.source.signals(&question.workload).is_some_and(|it| question.is_active(&it)) {
                seen.active = Some(now);
            }
            now < seen.asked + FORGET
        });
    }

    /// Keeps looking until the token is cancelled.
    pub(super) async fn follow(self: Arc<Self>, done: CancellationToken) {
        let mut changes = self.source.changes();
        let look = async {
            while changes.changed().await.is_ok() {
                if self.source.ready() {
                    self.look(Instant::now());
                }
                sleep(LOOK).await;
            }
        };
        done.run_until_cancelled(look).await;
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::Fake, *};

    const fn called() -> WorkloadSignals {
        WorkloadSignals {
            replicas: 1,
            capacity: 1,
            in_flight: 0,
            queued: 0,
            requests_per_second: 2.0,
            shed_per_second: 0.0,
            queue_wait: 0.0,
            latency: 0.0,
        }
    }

    fn question(name: &str) -> Question {
        Question { workload: Name::new("shop", name), above: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_between_two_questions_counts_for_the_next_one() {
        let fake = Fake::new();
        fake.set("shop", "api", WorkloadSignals::default());
        let activity = Activity::new(fake.clone());
        let done = CancellationToken::new();
        let following = tokio::spawn(activity.clone().follow(done.clone()));
        tokio::task::yield_now().await;
        assert_eq!(activity.ask(question("api"), Instant::now()), Some(false));
        fake.set("shop", "api", called());
        sleep(Duration::from_secs(1)).await;
        fake.set("shop", "api", WorkloadSignals::default());
        sleep(Duration::from_secs(28)).await;
        assert_eq!(activity.ask(question("api"), Instant::now()), Some(true));
        sleep(Duration::from_secs(2)).await;
        assert_eq!(activity.ask(question("api"), Instant::now()), Some(false));
        done.cancel();
        following.await.unwrap();
    }

    #[test]
    fn an_activation_value_is_exceeded_or_not() {
        let above = |milli| Question { above: Some((Signal::RequestsPerSecond, milli)), ..question("api") };
        assert!(above(1999).is_active(&called()));
        assert!(!above(2000).is_active(&called()));
        // The thing itself counts, not what an HPA is told of it.
        let slow = WorkloadSignals { replicas: 4, latency: 0.1, ..called() };
        let question = Question { above: Some((Signal::Latency, 100)), ..question("api") };
        assert!(!question.is_active(&slow));
    }

    #[test]
    fn what_cannot_be_measured_at_zero_keeps_nothing_there() {
        let waiting = WorkloadSignals { replicas: 0, requests_per_second: 0.0, queued: 3, ..called() };
        for signal in Signal::ALL {
            let question = Question { above: Some((signal, 5000)), ..question("api") };
            let measured = ["requests_per_second", "queued", "concurrency", "shed_per_second"].contains(&signal.name());
            assert_eq!(question.is_active(&waiting), !measured, "{}", signal.name());
            assert!(!question.is_active(&WorkloadSignals::default()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_asks_any_more_is_forgotten_and_there_is_an_end_to_it() {
        let fake = Fake::new();
        fake.set("shop", "api", called());
        let activity = Activity::new(fake.clone());
        assert_eq!(activity.ask(question("none"), Instant::now()), None);
        for milli in 0..=i64::try_from(MOST).unwrap() {
            let above = Some((Signal::Queued, milli));
            assert_eq!(activity.ask(Question { above, ..question("api") }, Instant::now()), Some(false));
        }
        assert_eq!(activity.asked.lock().len(), MOST);
        assert_eq!(activity.ask(question("api"), Instant::now()), Some(true));
        activity.look(Instant::now() + FORGET / 2);
        assert_eq!(activity.asked.lock().len(), MOST);
        activity.look(Instant::now() + FORGET);
        assert!(activity.asked.lock().is_empty());
    }
}
