//! End-to-end comparison with peers: what is measured, how, and how it is shown.

pub mod machine;
pub mod measure;
pub mod peers;
pub mod render;
pub mod routes;
pub mod wrk;

/// What both native servers answer.
pub const BODY: &str = "hello, world\n";
