//! End-to-end comparison with peers, and what instances cost: what is measured, how, and how it is shown.

pub mod client;
#[cfg(feature = "compare")]
pub mod embed;
pub mod figures;
pub mod machine;
#[cfg(feature = "compare")]
pub mod measure;
#[cfg(feature = "compare")]
pub mod peers;
#[cfg(feature = "compare")]
pub mod render;
pub mod report;
pub mod routes;
#[cfg(feature = "compare")]
pub mod setup;
pub mod wrk;

/// What both native servers answer.
pub const BODY: &str = "hello, world\n";
