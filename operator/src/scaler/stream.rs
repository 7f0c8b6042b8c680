//! One stream of whether a workload has to run.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    Source,
    activity::{LASTING, Question},
    protocol::IsActiveResponse,
    service::unknown,
};
use crate::signals::WorkloadSignals;

/// Between two words of one stream: at most ten a second.
const WORD: Duration = Duration::from_millis(100);
/// Between two looks. With many hosts signals change all the time, and each stream looks at its own workload only.
const LOOK: Duration = Duration::from_millis(50);

pub(super) struct Stream {
    pub(super) source: Arc<dyn Source>,
    pub(super) question: Question,
    /// One place: whoever reads slowly gets what is true when it reads.
    pub(super) sender: mpsc::Sender<Result<IsActiveResponse, Status>>,
    /// This stream is one of so many.
    pub(super) place: OwnedSemaphorePermit,
    pub(super) done: CancellationToken,
}

/// What is the case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    /// The workload has to run, or had to lately.
    active: bool,
    /// It has no replicas, and is called.
    wanting: bool,
}

// === impl Stream ===

impl Stream {
    /// Tells what is the case, and then what becomes of it. The stream ends well when this operator cannot tell any more:
    /// KEDA comes again soon then, and finds the one that can.
    pub(super) async fn run(self) {
        let gone = self.sender.clone();
        tokio::select! {
            () = self.tell() => {}
            () = gone.closed() => {}
            () = self.done.cancelled() => {}
        }
        drop(self.place);
    }

    async fn tell(&self) {
        let mut changes = self.source.changes();
        let (mut told, mut until) = (None, None);
        while self.source.ready() {
            // What comes from here on is another look.
            changes.borrow_and_update();
            let Some(signals) = self.source.signals(&self.question.workload) else {
                let _ = self.sender.send(Err(unknown(&self.question.workload))).await;
                return;
            };
            let state = self.look(&signals, &mut until);
            let says = is_news(told, state);
            if says && self.sender.send(Ok(IsActiveResponse { result: state.active })).await.is_err() {
                return;
            }
            told = Some(state);
            sleep(if says { WORD } else { LOOK }).await;
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = sleep_until(until.unwrap_or_else(Instant::now)), if state.active => {}
            }
        }
    }

    /// `until`: when the last call does not count any more.
    fn look(&self, signals: &WorkloadSignals, until: &mut Option<Instant>) -> State {
        let (now, active) = (Instant::now(), self.question.is_active(signals));
        if active {
            *until = Some(now + LASTING);
        }
        State { active: until.is_some_and(|it| now < it), wanting: active && signals.replicas == 0 }
    }
}

/// Whether KEDA has to be told: when the answer is another, and when a workload that somebody has scaled to zero in the
/// meantime is called again.
fn is_news(told: Option<State>, state: State) -> bool {
    told.is_none_or(|it| it.active != state.active || (state.wanting && !it.wanting))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_news_and_so_is_a_call_at_zero() {
        let state = |active, wanting| State { active, wanting };
        let (off, on, wanting) = (state(false, false), state(true, false), state(true, true));
        assert!(is_news(None, off) && is_news(None, on));
        assert!(is_news(Some(off), on) && is_news(Some(off), wanting) && is_news(Some(on), off));
        assert!(is_news(Some(on), wanting));
        assert!(!is_news(Some(wanting), on) && !is_news(Some(wanting), wanting) && !is_news(Some(off), off));
    }
}
