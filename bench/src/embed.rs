//! Many workloads on one host in a process of its own: what they are, and what the process says of itself.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use penstock_api::snapshot::{Capacity, Component, Listener, Route, RouteBackend, RouteRule, Share, Snapshot};
use penstock_host::{Host, HostConfig, ShareState};
use serde::{Deserialize, Serialize};

use crate::machine::Memory;

/// What such a process prints, one JSON object a line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum Said {
    /// The host runs, with nothing on it.
    Empty {
        /// Its memory.
        memory: Memory,
    },
    /// Every workload answers.
    Ready {
        /// Where.
        address: SocketAddr,
        /// Milliseconds from when it was told of them.
        took_ms: f64,
        /// Its memory.
        memory: Memory,
    },
}

/// The hostname of workload `n`.
#[must_use]
pub fn host(n: usize) -> String {
    format!("w{n}.bench.test")
}

/// The same component with another content: what it does stays as it is, but it is compiled and mapped on its own.
#[must_use]
pub fn distinct(component: &[u8], n: usize) -> Vec<u8> {
    // A custom section: its id 0, its size, the size of its name, its name, and eight bytes of number. All sizes fit one byte.
    const NAME: &[u8] = b"bench";
    let mut bytes = component.to_vec();
    bytes.push(0);
    bytes.extend([1 + NAME.len() + 8, NAME.len()].map(|size| u8::try_from(size).unwrap_or(u8::MAX)));
    bytes.extend(NAME);
    bytes.extend((n as u64).to_le_bytes());
    bytes
}

/// `count` files in a folder, each of another content. Those that are there already stay.
///
/// # Errors
/// If a file cannot be read or written.
pub fn write_distinct(component: &Path, folder: &Path, count: usize) -> Result<Vec<PathBuf>> {
    let bytes = fs::read(component).with_context(|| format!("cannot read {}", component.display()))?;
    fs::create_dir_all(folder)?;
    let files = (0..count).map(|n| {
        let file = folder.join(format!("{n}.wasm"));
        if !file.exists() {
            fs::write(&file, distinct(&bytes, n))?;
        }
        Ok(file)
    });
    files.collect()
}

/// Workload `n`: one component, a fresh instance for every call, under a hostname of its own.
fn workload(n: usize, image: &Path) -> (Share, Route) {
    let deployment = format!("bench/w{n}");
    let component =
        Component { name: "hello".into(), image: format!("file://{}", image.display()), ..Component::default() };
    let share = Share {
        id: format!("{deployment}@1"),
        deployment: deployment.clone(),
        revision: "1".into(),
        replicas: 1,
        capacity: Capacity::default(),
        request_timeout_ms: 30_000,
        components: vec![component],
        ..Share::default()
    };
    let backend = RouteBackend { deployment: deployment.clone(), weight: 1, ..RouteBackend::default() };
    let route = Route {
        name: deployment,
        hostnames: vec![host(n)],
        rules: vec![RouteRule { backends: vec![backend], ..RouteRule::default() }],
        ..Route::default()
    };
    (share, route)
}

/// How such a process runs.
#[derive(Clone, Debug)]
pub struct Serve {
    /// The host's cache folder.
    pub cache: PathBuf,
    /// The components, one for each workload.
    pub images: Vec<PathBuf>,
    /// Where to listen.
    pub listen: SocketAddr,
    /// How long the workloads may take.
    pub patience: Duration,
    /// Whether to wait before and after they are loaded until memory is what it stays; otherwise all is as fast as it can be.
    pub settle: bool,
}

/// A workload for each of these components, behind one listener.
#[must_use]
pub fn snapshot(images: &[PathBuf], listen: SocketAddr) -> Snapshot {
    let (shares, routes) = images.iter().enumerate().map(|(n, image)| workload(n, image)).unzip();
    let listener = Listener { name: "bench".into(), address: listen.to_string(), routes, ..Listener::default() };
    Snapshot { version: 1, shares, listeners: vec![listener] }
}

/// Runs a workload for each of the components until the process is killed, and says how far it is.
///
/// # Errors
/// If the host or a workload does not start, or not in time.
pub async fn serve(serve: Serve) -> Result<()> {
    let Serve { cache, images, listen, patience, settle } = serve;
    let pause = async |ms| {
        if settle {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    };
    let host = Host::start(HostConfig::new(cache), Arc::new(()))?;
    let snapshot = snapshot(&images, listen);
    // What starts a host is no part of what a workload costs.
    pause(200).await;
    say(&Said::Empty { memory: Memory::of(std::process::id())? })?;
    let start = Instant::now();
    host.apply(snapshot);
    let mut status = host.status();
    let ready = status.wait_for(|status| {
        status.version == 1 && status.listeners.get("bench").is_some_and(|listener| listener.address.is_some())
    });
    let ready = tokio::time::timeout(patience, ready).await;
    let took = start.elapsed();
    let Ok(ready) = ready else {
        let status = host.status().borrow().clone();
        let count = status.shares.values().filter(|share| share.state == ShareState::Ready).count();
        anyhow::bail!("{count} of {} workloads are ready after {patience:?}", images.len());
    };
    let ready = ready.context("the host is gone")?.clone();
    let failed = ready.shares.iter().find(|(_, share)| share.state != ShareState::Ready);
    ensure!(failed.is_none(), "a workload did not start: {failed:?}");
    let address = ready.listeners.get("bench").and_then(|listener| listener.address).context("no address")?;
    drop(ready);
    pause(500).await;
    let memory = Memory::of(std::process::id())?;
    say(&Said::Ready { address, took_ms: took.as_secs_f64() * 1e3, memory })?;
    std::future::pending().await
}

fn say(said: &Said) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(said)?)?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_is_as_long_as_it_says() {
        let section = distinct(b"", 7);
        assert_eq!((section[0], usize::from(section[1]), usize::from(section[2])), (0, section.len() - 2, 5));
        assert_ne!(distinct(b"", 7), distinct(b"", 8));
    }

    #[test]
    fn every_workload_has_a_route_of_its_own() {
        let snapshot = snapshot(&["/a".into(), "/a".into()], SocketAddr::from(([127, 0, 0, 1], 0)));
        assert_eq!((snapshot.shares.len(), snapshot.listeners[0].routes.len()), (2, 2));
        assert_ne!(snapshot.shares[0].id, snapshot.shares[1].id);
        assert_eq!(snapshot.listeners[0].routes[1].hostnames, [host(1)]);
    }
}
