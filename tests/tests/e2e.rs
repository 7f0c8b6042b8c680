//! Penstock on a real cluster, under load by way of kube-proxy: what happens must not cost a request.
//!
//! `tests/e2e.sh` runs these one after another. Each has a namespace of its own, which stays for a look if it fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "e2e/autoscale.rs"]
mod autoscale;
#[path = "e2e/conformance.rs"]
mod conformance;
#[path = "e2e/credentials.rs"]
mod credentials;
#[path = "e2e/doctor.rs"]
mod doctor;
#[path = "e2e/faults.rs"]
mod faults;
#[path = "e2e/grpc.rs"]
mod grpc;
#[path = "e2e/latency.rs"]
mod latency;
#[path = "e2e/manifests.rs"]
mod manifests;
#[path = "e2e/rollout.rs"]
mod rollout;
#[path = "e2e/routes.rs"]
mod routes;
#[path = "e2e/services.rs"]
mod services;
#[path = "e2e/spill.rs"]
mod spill;
#[path = "e2e/tls.rs"]
mod tls;
#[path = "e2e/traffic.rs"]
mod traffic;
#[path = "e2e/zero.rs"]
mod zero;

use kube::ResourceExt as _;
use penstock_tests::cluster::Cluster;

/// Names of the host pods.
async fn hosts(cluster: &Cluster) -> Vec<String> {
    cluster.host_pods().await.unwrap().iter().map(|it| it.name_any()).collect()
}
