//! Penstock's condition on a Service.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use penstock_api::{conditions as is, reasons};

use super::{Draft, first, merge};
use crate::plan::Finding;

/// A Service's condition of Penstock's own: false, with its sentence, if there is anything to say about the Service. Only
/// this one is to be written, with server-side apply: the others are others'.
#[must_use]
pub fn service(
    previous: &[Condition],
    findings: &[Finding],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let draft = match first(findings) {
        Some((reason, message)) => Draft::no(is::SERVICE_ACCEPTED, reason, message),
        None => Draft::yes(is::SERVICE_ACCEPTED, reasons::ACCEPTED, "all of its ports are served"),
    };
    merge(previous, vec![draft], generation, now)
}
