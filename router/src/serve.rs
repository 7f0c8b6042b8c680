//! A connection, and a request as a straight list of steps.

mod action;
mod attempts;
mod budget;
mod call;
mod connection;
mod download;
mod expiry;
mod finish;
mod flight;
mod hop;
mod mirror;
mod origin;
mod peer;
mod place;
mod policied;
mod refuse;
mod replay;
mod request;
mod respond;
mod retry;
mod session;
mod source;
mod stall;
mod upload;
mod weighted;

use std::any::Any;

pub use self::{
    action::{Action, Table, Target, Timeouts, Weighted},
    budget::{Budget, Budgets},
    mirror::Mirror,
    respond::{NOT_STARTED, respond},
    retry::Retry,
    session::{Carrier, NameRefused, SessionConfig, Sessions},
};
pub(crate) use self::{
    connection::{serve, speak},
    flight::Leads,
    peer::{Order, Peer, Shared},
};

/// Says what panicked. The process goes on: what the request shared with others is only counters and permits, which
/// are put right as they drop.
fn report_panic(panic: &(dyn Any + Send), flight: &flight::Flight) {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)");
    tracing::error!(
        panic = message,
        route = flight.leads().route(),
        backend = flight.leads().backend(),
        "a request panicked"
    );
}
