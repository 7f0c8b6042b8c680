//! Manifests in, snapshots out: who gets which requests, what runs where, and what is said about the rest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod plan {
    mod deployments;
    mod drains;
    mod endpoints;
    mod fleet;
    mod grants;
    mod grpc;
    mod placement;
    mod policies;
    mod ports;
    mod properties;
    mod rollouts;
    mod routes;
    mod scale;
    mod services;
    mod shared;
    mod statuses;
    mod support;
    mod tables;
    mod tls;
    mod workloads;
}
