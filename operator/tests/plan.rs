//! Manifests in, snapshots out: who gets which requests, what runs where, and what is said about the rest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod plan {
    mod fleet;
    mod placement;
    mod properties;
    mod rollouts;
    mod routes;
    mod services;
    mod shared;
    mod support;
    mod workloads;
}
