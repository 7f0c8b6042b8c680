//! What filters do to heads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cors;
mod headers;
mod redirect;
mod rewrite;
