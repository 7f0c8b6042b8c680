//! The stream between a host and its operator, as `proto/penstock/control/v1/control.proto` defines it.

#[expect(missing_docs, clippy::all, clippy::pedantic, clippy::allow_attributes_without_reason, reason = "generated")]
mod generated {
    tonic::include_proto!("penstock.control.v1");
}

pub use self::generated::{
    Certificate, Down, Hello, ListenerReport, Load, Peer, PeerShare, Peers, Redirect, Report, ShareLoad, ShareReport,
    Snapshot, Up, control_client, control_server, down, share_report, up,
};

/// The audience of the tokens that hosts show to the operator.
pub const AUDIENCE: &str = "penstock-operator";
/// The port of the control stream.
pub const PORT: u16 = 9443;
/// [`Snapshot::format`] of JSON as [`crate::snapshot::Snapshot`] defines it.
pub const JSON: u32 = 1;
/// The largest message in either direction. A host with 10,000 shares gets some 20 MiB.
pub const MAX_MESSAGE: usize = 256 << 20;

/// The name of a host among hosts: what its certificate is for. It resolves nowhere.
#[must_use]
pub fn peer_name(host_id: &str) -> String {
    format!("{host_id}.peers.penstock.internal")
}
