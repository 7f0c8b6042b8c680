//! End-to-end comparison with peers: what is measured, how, and how it is shown.

pub mod machine;
#[cfg(feature = "compare")]
pub mod measure;
#[cfg(feature = "compare")]
pub mod peers;
#[cfg(feature = "compare")]
pub mod render;
pub mod routes;
pub mod wrk;

/// What both native servers answer.
pub const BODY: &str = "hello, world\n";
