//! Plays cases: statuses first, then requests, as the conformance suite does.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    ask::Ask,
    case::Case,
    stage::{Here, Stage},
};

/// So many answers in a row have to be right.
const IN_A_ROW: u32 = 3;
/// How long it may take until they are: routes and endpoints propagate.
const CONVERGES: Duration = Duration::from_secs(10);
/// Cases at once.
const AT_ONCE: usize = 12;

/// What became of a case.
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) took: Duration,
    pub(crate) result: Result<()>,
}

/// Plays all cases on the stage.
pub(crate) async fn play(stage: &Arc<Stage>, cases: &[Arc<Case>]) -> Result<Vec<Outcome>> {
    stage.apply(cases)?;
    let said = each(stage, cases, |here| async move { here.says().await }).await?;
    stage.programmed()?;
    let well: Vec<Arc<Case>> = cases.iter().filter(|it| passed(&said, it.name)).cloned().collect();
    let mut outcomes = each(stage, &well, answers).await?;
    outcomes.extend(said.into_iter().filter(|it| it.result.is_err()));
    outcomes.sort_by_key(|it| cases.iter().position(|case| case.name == it.name));
    Ok(outcomes)
}

fn passed(outcomes: &[Outcome], name: &str) -> bool {
    outcomes.iter().any(|it| it.name == name && it.result.is_ok())
}

/// Does it for each case, some at once.
async fn each<F>(stage: &Arc<Stage>, cases: &[Arc<Case>], act: impl Fn(Here) -> F) -> Result<Vec<Outcome>>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut playing = JoinSet::new();
    for case in cases {
        let (name, places) = (case.name, places.clone());
        let acting = act(Here { stage: stage.clone(), case: case.clone() });
        playing.spawn(async move {
            let _place = places.acquire_owned().await;
            let started = Instant::now();
            let result = acting.await;
            Outcome { name, took: started.elapsed(), result }
        });
    }
    let mut outcomes = Vec::new();
    while let Some(outcome) = playing.join_next().await {
        outcomes.push(outcome.context("a case has panicked")?);
    }
    Ok(outcomes)
}

/// The requests of a case, and what follows them.
async fn answers(here: Here) -> Result<()> {
    let mut asks = Vec::new();
    for ask in &here.case.asks {
        asks.push(converges(ask, here.address(ask.front, ask.port)?));
    }
    try_join_all(asks).await?;
    match here.case.then.clone() {
        Some(then) => then(here).await,
        None => Ok(()),
    }
}

/// Sends a request until it comes out well several times in a row.
pub(crate) async fn converges(ask: &Ask, address: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + CONVERGES;
    let mut row = 0;
    while row < IN_A_ROW {
        match ask.check(address).await {
            Ok(()) => row += 1,
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => {
                row = 0;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    Ok(())
}
