//! Gateway API's conformance tests for HTTPRoute, GRPCRoute and meshes, with Services as parents and components as backends.

#[path = "conformance/cases.rs"]
mod cases;

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use penstock_tests::cluster::Cluster;

use self::cases::{Case, Outcome, Stage};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn conformance() -> Result<()> {
    let cases: Vec<Arc<Case>> = cases::all().into_iter().map(Arc::new).collect();
    let stage = Arc::new(Stage::set(Cluster::connect().await?, &cases).await?);
    let outcomes = cases::play(&stage, &cases).await?;
    let mut failed = 0;
    for Outcome { name, took, result } in &outcomes {
        match result {
            Ok(()) => println!("pass {name} ({:.1} s)", took.as_secs_f64()),
            Err(error) => {
                failed += 1;
                println!("FAIL {name}: {error:#}");
            }
        }
    }
    ensure!(outcomes.len() == cases.len(), "{} of {} cases have an outcome", outcomes.len(), cases.len());
    ensure!(failed == 0, "{failed} of {} conformance cases fail", outcomes.len());
    Arc::into_inner(stage).context("a case still holds the stage")?.end()
}
