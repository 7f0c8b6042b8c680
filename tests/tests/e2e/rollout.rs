//! Scaling and rolling, under load.

use anyhow::Result;
use penstock_tests::cluster::{Cluster, Scene, Template, condition};

use super::hosts;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn scale_out_and_in() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let mut scene = Scene::start(&cluster, "scale", Template::kitchen(1)).await?;
    let mut load = scene.load()?;
    load.answered(50).await?;
    for replicas in [30, 3] {
        load.mark(format!("scale to {replicas}"));
        scene.scale(replicas)?;
        scene.settled().await?;
        load.mark("settled");
        load.answered(100).await?;
    }
    let counted = load.finish().await?;
    println!("scale 1 -> 30 -> 3: {}", counted.line());
    counted.clean()?;
    scene.end()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn shares_are_even_over_the_hosts() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let count = hosts(&cluster).await.len();
    let mut scene = Scene::start(&cluster, "even", Template::kitchen(7)).await?;
    let even = |replicas: u32| {
        let (least, more) = (replicas as usize / count, replicas as usize % count);
        let mut wanted: Vec<u32> =
            (0..count).map(|it| u32::try_from(least + usize::from(it < more)).unwrap()).collect();
        wanted.sort_unstable();
        wanted.retain(|it| *it > 0);
        wanted
    };
    for replicas in [7, 12, 5, 1] {
        scene.scale(replicas)?;
        let wanted = even(replicas);
        scene
            .until_shares(&format!("shares of {wanted:?}"), |shares| {
                let mut counts: Vec<u32> = shares.values().map(|it| it.spec.replicas.unwrap_or(1)).collect();
                counts.sort_unstable();
                (counts == wanted).then_some(())
            })
            .await?;
    }
    scene.end()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn rolling_update_and_back() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let mut scene = Scene::start(&cluster, "rolling", Template::kitchen(4)).await?;
    let first = scene.revisions().await?;
    let mut load = scene.load()?;
    load.answered_by("kitchen-p2", 50).await?;
    for component in ["kitchen-p3", "kitchen-p2"] {
        load.mark(format!("roll to {component}"));
        let template = scene.template().clone().component(component);
        *scene.template() = template;
        scene.apply()?;
        scene.settled().await?;
        load.mark("settled");
        load.answered_by(component, 100).await?;
    }
    let counted = load.finish().await?;
    println!("rolling update and back: {}", counted.line());
    counted.clean()?;
    // The way back found the first revision again, which now is the newest.
    let revisions = scene.revisions().await?;
    anyhow::ensure!(revisions.len() == 2 && revisions.last() == first.last(), "{first:?}, then {revisions:?}");
    scene.end()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn undo_takes_the_revision_before() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let mut scene = Scene::start(&cluster, "undo", Template::kitchen(3)).await?;
    let penstock = |arguments: &[&str]| -> Result<String> {
        let mut command = std::process::Command::new(penstock_tests::dev::binary()?);
        let output = command.args(["rollout", "-n", "e2e-undo"]).args(arguments).output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        anyhow::ensure!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        Ok(text(&output.stdout))
    };
    let alone = penstock(&["undo", "wd/app"]).unwrap_err().to_string();
    anyhow::ensure!(alone.contains("app has no revision before this one"), "{alone}");
    let template = scene.template().clone().component("kitchen-p3");
    *scene.template() = template;
    scene.apply()?;
    scene.settled().await?;
    let mut load = scene.load()?;
    load.answered_by("kitchen-p3", 50).await?;
    load.mark("undo");
    let said = penstock(&["undo", "wd/app"])?;
    anyhow::ensure!(said.ends_with("app rolled back to revision 1\n"), "{said}");
    let said = penstock(&["status", "app", "--timeout", "2m"])?;
    anyhow::ensure!(said.contains("successfully rolled out: 3 of 3 replicas"), "{said}");
    load.answered_by("kitchen-p2", 50).await?;
    let counted = load.finish().await?;
    counted.clean()?;
    // The first revision has come back as the third, as with Deployments.
    let history = penstock(&["history", "wd/app"])?;
    println!("undo: {}\n{history}", counted.line());
    let rows: Vec<Vec<&str>> = history.lines().map(|it| it.split_whitespace().collect()).collect();
    anyhow::ensure!(rows.len() == 3 && rows[1][0] == "2" && rows[2][0] == "3" && rows[2][2] == "3", "{history}");
    anyhow::ensure!(rows[1][3].contains("kitchen-p3") && rows[2][3].contains("kitchen-p2"), "{history}");
    let missing = penstock(&["undo", "wd/app", "--to-revision", "1"]).unwrap_err().to_string();
    anyhow::ensure!(missing.contains("app has no revision 1; it has 2, 3"), "{missing}");
    scene.end()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn an_update_that_cannot_start() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let mut scene = Scene::start(&cluster, "broken", Template::kitchen(3)).await?;
    let mut load = scene.load()?;
    load.answered(50).await?;
    // It imports what nobody offers.
    load.mark("roll to a component that cannot start");
    let template = scene.template().clone().component("orphan");
    *scene.template() = template;
    scene.apply()?;
    scene
        .until("a condition with the host's own sentence", |it| {
            let Some(status) = &it.status else { return false };
            status.conditions.iter().any(|it| it.status == "False" && it.message.contains("nobody:offers/this"))
        })
        .await?;
    load.mark("the condition says why");
    let sentence = scene.deployment().await?.status.unwrap().conditions;
    let told = sentence.iter().find(|it| it.message.contains("nobody:offers/this")).unwrap();
    println!("update that cannot start: {}={} {}: {}", told.type_, told.status, told.reason, told.message);
    load.answered_by("kitchen-p2", 200).await?;
    let template = scene.template().clone().component("kitchen-p2");
    *scene.template() = template;
    scene.apply()?;
    scene.settled().await?;
    load.mark("back");
    load.answered(50).await?;
    let counted = load.finish().await?;
    println!("update that cannot start: {}", counted.line());
    counted.clean()?;
    anyhow::ensure!(counted.kept.labels.keys().all(|it| &**it == "kitchen-p2"), "{:?}", counted.kept.labels);
    scene.end()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn recreate_and_pause() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let template = Template::kitchen(2).extra("deployPolicy: Recreate");
    let mut scene = Scene::start(&cluster, "recreate", template).await?;
    let template = scene.template().clone().component("kitchen-p3");
    *scene.template() = template;
    scene.apply()?;
    scene.settled().await?;
    // Paused, a new template waits; what is scaled follows all the same.
    let template = scene.template().clone().component("kitchen-p2").extra("deployPolicy: Recreate\npaused: true");
    *scene.template() = template;
    scene.template().replicas = 5;
    scene.apply()?;
    scene
        .until("5 replicas of the revision before the pause", |it| {
            it.status.as_ref().and_then(|it| it.replicas).is_some_and(|it| it.ready == 5)
        })
        .await?;
    let load = scene.load()?;
    load.answered_by("kitchen-p3", 20).await?;
    let counted = load.finish().await?;
    counted.clean()?;
    scene.end()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn programmed_means_that_curl_works() -> Result<()> {
    let cluster = Cluster::connect().await?;
    for round in 0..5 {
        let mut scene = Scene::empty(&cluster, "programmed", Template::kitchen(2)).await?;
        scene.apply()?;
        let address = scene.find_address().await?;
        cluster.kubectl(["wait", "--for=condition=Programmed", "wd/app", "-n", scene.namespace(), "--timeout=120s"])?;
        scene.connects().await?;
        for _ in 0..20 {
            let answer = penstock_tests::http::get(address, "curl.example", "/hello").await?;
            anyhow::ensure!(answer.status() == 200, "round {round}: {} {:?}", answer.status(), answer.body());
        }
        anyhow::ensure!(condition(&scene.deployment().await?.status.unwrap().conditions, "Programmed", None));
        scene.end()?;
    }
    Ok(())
}
