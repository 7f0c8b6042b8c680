//! A load generator that tells the truth about latency.
//!
//! *Open loop* sends at a fixed rate, whatever the server does, and measures each request from the moment at which it
//! was meant to start: a server that stalls for a second shows a second of latency on every request that fell due in
//! it ("coordinated omission" is what generators do that leave those out). *Closed loop* keeps every connection busy
//! with one request after another: the way to full speed, but its latency says nothing about a server that stalls.
//!
//! The generator runs on threads of its own, each with a small single-threaded runtime, so that it neither borrows
//! workers from a server in the same process nor needs a runtime around it. It only sends to loopback and private
//! addresses.
//!
//! ```no_run
//! # async fn run(target: std::net::SocketAddr) -> anyhow::Result<()> {
//! use penstock_tests::load::Plan;
//! let load = Plan::new(target).path("/api")?.connections(16).rate(2_000.0).seconds(5).keep_records().start()?;
//! println!("{} answered so far", load.progress().answered);
//! let report = load.finish().await?;
//! println!("{}", report.summary());
//! # Ok(()) }
//! ```

mod link;
mod pace;
mod plan;
mod report;
mod running;
mod tally;
mod worker;

pub use plan::{Answer, Check, MakeRequest, Plan, Protocol, Refused, ToLabel};
pub use report::{Latency, Report, Slice};
pub use running::Running;
pub use tally::{Failure, Progress, Record};
