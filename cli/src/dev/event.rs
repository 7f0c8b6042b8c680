//! Everything that `penstock dev` tells. As JSON this is the interface for programs: fields are added, never changed.

use std::{collections::BTreeMap, net::SocketAddr};

use jiff::Timestamp;
use penstock_host::ShareState;
use serde::{Serialize, Serializer};

use crate::problem::Problem;

/// One thing that happened, and when.
#[derive(Debug, Serialize)]
pub(super) struct Stamped {
    /// RFC 3339, in UTC, with milliseconds.
    #[serde(serialize_with = "rfc3339")]
    pub(super) time: Timestamp,
    #[serde(flatten)]
    pub(super) event: Event,
}

fn rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

/// One thing that happened.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Event {
    /// Everything answers, or was found to be broken. Once, and before any `applied`.
    Ready {
        /// The admin pages.
        admin: SocketAddr,
        /// Where each listener is: `shared`, or `namespace/service:port`.
        listeners: BTreeMap<String, SocketAddr>,
        /// Since the start of the program.
        ms: u64,
        /// Manifest files that hold objects.
        files: usize,
        #[serde(flatten)]
        overview: Overview,
    },
    /// What an edit changed in the overview.
    Routes {
        #[serde(flatten)]
        overview: Overview,
    },
    /// A request was answered, or given up by its client.
    Request(Request),
    /// An edit is what runs, all of it.
    Applied {
        /// Of the snapshot.
        version: u64,
        /// The files that were edited.
        files: Vec<String>,
        /// Those of them that were broken before.
        fixed: Vec<String>,
        /// Since the edit was seen.
        ms: u64,
    },
    /// An edit is broken. What ran before it goes on.
    Rejected {
        /// Of the snapshot that leaves it out.
        version: u64,
        /// The files that are broken.
        files: Vec<String>,
        /// What is wrong with them.
        problems: Vec<Problem>,
        /// Whether something older serves in its place.
        serving: bool,
    },
    /// Warnings and notes that are new.
    Advice {
        /// Each with its place.
        problems: Vec<Problem>,
    },
    /// A share of a workload got ready or failed.
    Share {
        /// `namespace/name@revision`.
        share: String,
        /// `namespace/name`.
        workload: String,
        /// How far it is.
        state: ShareState,
        /// Why it is not further.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// A component wrote a line.
    Guest {
        /// `namespace/name@revision`.
        share: String,
        /// The component's name.
        component: String,
        /// `stdout` or `stderr`.
        stream: String,
        /// What it wrote.
        line: String,
    },
    /// Something to know.
    Note {
        /// In a sentence.
        message: String,
    },
    /// Nothing new is accepted; what is in flight may finish.
    Draining {
        /// For so long.
        grace_ms: u64,
    },
}

/// What can be asked for, where, and who answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Overview {
    /// Where Services are.
    pub(super) urls: Vec<Endpoint>,
    /// One entry for each rule and match.
    pub(super) routes: Vec<RouteRow>,
    /// One entry for each workload.
    pub(super) workloads: Vec<WorkloadRow>,
}

/// A URL and what is behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Endpoint {
    pub(super) url: String,
    /// Other URLs for the same.
    pub(super) also: Vec<String>,
    pub(super) what: String,
}

/// One match of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct RouteRow {
    pub(super) url: String,
    /// What a request must have beside the URL.
    #[serde(rename = "match")]
    pub(super) matches: String,
    /// `namespace/name` of the route.
    pub(super) route: String,
    /// Who answers, with their weights if there are several.
    pub(super) workloads: Vec<Weighted>,
}

/// A workload and its part of the requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Weighted {
    pub(super) workload: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) component: Option<String>,
    pub(super) weight: u32,
}

/// One workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WorkloadRow {
    /// `namespace/name`.
    pub(super) workload: String,
    pub(super) revision: String,
    pub(super) replicas: u32,
    pub(super) state: ShareState,
    /// Why it is not further.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
}

/// A request and what became of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    pub(super) listener: String,
    pub(super) method: String,
    pub(super) host: String,
    /// Without the query, which may hold secrets.
    pub(super) path: String,
    /// None if the client left before there was one.
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) workload: Option<String>,
    /// Why the response was generated, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<&'static str>,
    /// `complete`, `client-left` or `error`.
    pub(super) ended: &'static str,
    /// Of the route table that it was matched by.
    pub(super) generation: u64,
    pub(super) ms: f64,
    pub(super) queue_ms: f64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// Attempts beyond the first.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) retries: u32,
    pub(super) client: SocketAddr,
    /// Where the connection comes from, if that is not the client: a trusted proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) peer: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_id: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
