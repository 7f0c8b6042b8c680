//! Manifests in, snapshots out: who gets which requests, and what is said about the rest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod plan {
    mod properties;
    mod routes;
    mod services;
    mod shared;
    mod support;
    mod workloads;
}
