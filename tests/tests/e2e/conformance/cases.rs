//! Gateway API's conformance tests, translated: see `docs/conformance.md`.
//!
//! The suite's Gateways are Services here (each case has its own), and its echo servers are kitchens, which with `x-dump`
//! answer any path with what they were asked. Where a Service has to be Penstock's although none of the case's rules leads
//! to a workload, [`OURS`] is added.

mod ask;
mod case;
mod cors;
mod encrypted;
mod grpc;
mod headers;
mod hosts;
mod matching;
mod mesh;
mod mirrors;
mod parents;
mod play;
mod protocols;
mod query;
mod redirects;
mod references;
mod retries;
mod rewrites;
mod stage;
mod timeouts;
mod weights;

pub(crate) use self::{
    case::Case,
    play::{Outcome, play},
    stage::Stage,
};

/// A rule that makes a Service Penstock's.
const OURS: &str = "
- matches: [{path: {type: Exact, value: /ours}}]
  backendRefs: [{$v1}]";

/// All cases, in the order of the document.
pub(crate) fn all() -> Vec<Case> {
    [
        matching::cases(),
        query::cases(),
        hosts::cases(),
        headers::cases(),
        redirects::cases(),
        rewrites::cases(),
        retries::cases(),
        references::cases(),
        parents::cases(),
        weights::cases(),
        timeouts::cases(),
        protocols::cases(),
        encrypted::cases(),
        cors::cases(),
        mirrors::cases(),
        grpc::cases(),
        mesh::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
