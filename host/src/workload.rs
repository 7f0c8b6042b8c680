//! Workloads: components linked together and run as one unit.

mod graph;
mod lend;
mod link;
mod load;
mod scratch;
pub(crate) mod share;

pub use graph::LinkError;
pub(crate) use link::Sibling;
pub(crate) use scratch::ScratchSpace;
pub use share::StartError;
pub(crate) use share::{Services, Share};
