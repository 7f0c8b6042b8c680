//! What scenarios, the demo and the benchmarks share: load, the ledger that judges it, processes, manifests and charts.

pub mod autoscale;
pub mod chart;
pub mod cluster;
pub mod dev;
pub mod http;
pub mod ledger;
pub mod load;
pub mod manifest;
pub mod process;
pub mod sim_host;
pub mod table;
