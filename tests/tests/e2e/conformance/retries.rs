//! Calls that are repeated. The suite has a server that fails as often as a request says; here a workload of one instance does.

use anyhow::{Result, ensure};
use penstock_tests::http;

use super::{ask::get, case::Case, play::converges, stage::Here};

/// Further calls that the rule allows.
const ATTEMPTS: u64 = 3;

pub(crate) fn cases() -> Vec<Case> {
    let rule = |more: &str| format!("- matches: [{{path: {{value: /flaky}}{more}}}]\n  backendRefs: [{{$flaky}}]\n");
    let retried = format!(
        "{}  retry: {{codes: [500, 502, 503, 504], attempts: {ATTEMPTS}, backoff: 10ms}}\n",
        rule(", queryParams: [{name: retried, value: 'yes'}]")
    );
    vec![Case::new("HTTPRouteRetry").http(&format!("{retried}{}", rule(""))).then(retries)]
}

/// A request of its own, which fails so many times with that code: the status that comes of it.
async fn status(here: &Here, retried: &str, times: u64, code: u16) -> Result<u16> {
    let path = format!("/flaky?id={retried}-{times}-{code}&times={times}&code={code}&retried={retried}");
    Ok(http::get(here.address("", 80)?, "conformance.example", &path).await?.status().as_u16())
}

async fn retries(here: Here) -> Result<()> {
    converges(&get("/flaky?times=0").plain(), here.address("", 80)?).await?;
    for code in [500, 502, 503, 504] {
        for times in [0, 1, ATTEMPTS] {
            let status = status(&here, "yes", times, code).await?;
            ensure!(status == 200, "it failed {times} times with {code}, and the answer is {status}");
        }
        let spent = status(&here, "yes", ATTEMPTS + 1, code).await?;
        ensure!(spent == code, "{code}: one attempt more than the rule has: {spent}");
        let plain = [status(&here, "no", 1, code).await?, status(&here, "no", 1, code).await?];
        ensure!(plain == [code, 200], "a rule without retry: {plain:?}");
    }
    let other = status(&here, "yes", 1, 501).await?;
    ensure!(other == 501, "a code that the rule does not name: {other}");
    Ok(())
}
