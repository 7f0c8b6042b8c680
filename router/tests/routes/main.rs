//! Which rule a request is for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../route/notation.rs"]
mod notation;
#[path = "../route/oracle.rs"]
mod oracle;

mod agreement;
mod conformance;
mod precedence;
