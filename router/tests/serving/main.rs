//! Requests through a listener, and what becomes of them. One program, since each takes a linker longer than its tests run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/corpus.rs"]
mod corpus;
#[path = "../support/frames.rs"]
mod frames;
#[path = "../support/seeds.rs"]
mod seeds;
#[path = "../support/server.rs"]
mod server;
#[path = "../wire"]
mod wire {
    pub mod agree;
    pub mod frames;
    pub mod play;
    pub mod strict;
}

mod corpus_http1;
mod corpus_http2;
mod cors;
mod deadline;
mod drain;
mod elsewhere;
mod exchange;
mod http1;
mod judged;
mod limits;
mod load_reports;
mod malformed;
mod mirror;
mod origin;
mod retry;
mod routes;
mod sessions;
mod swaps;
