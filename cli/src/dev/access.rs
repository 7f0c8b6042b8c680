//! From the router's access records to what is told of a request.

use std::time::Duration;

use penstock_router::observe::{AccessRecord, Ended, Observer};

use super::{
    event::{Event, Request},
    screen::Screen,
};

/// Tells of every request, unless it is to be quiet.
pub(super) struct AccessLog {
    pub(super) screen: Screen,
    pub(super) quiet: bool,
}

impl Observer for AccessLog {
    fn request(&self, record: &AccessRecord<'_>) {
        if !self.quiet {
            self.screen.chatter(|| Event::Request(request(record)));
        }
    }
}

fn request(record: &AccessRecord<'_>) -> Request {
    Request {
        listener: record.listener.to_owned(),
        method: record.method.to_string(),
        host: record.host.to_owned(),
        path: record.path.to_owned(),
        status: record.status.map(|status| status.as_u16()),
        route: record.route().map(str::to_owned),
        workload: record.backend().map(str::to_owned),
        cause: record.cause.map(|cause| cause.shape().name),
        ended: match record.ended {
            Ended::Complete => "complete",
            Ended::ClientLeft => "client-left",
            Ended::Error => "error",
        },
        generation: record.generation,
        ms: ms(record.total),
        queue_ms: ms(record.queue_wait),
        bytes_in: record.bytes_in,
        bytes_out: record.bytes_out,
        retries: record.retries,
        client: record.client,
        peer: (record.peer != record.client).then_some(record.peer),
        trace_id: record.trace_id.map(str::to_owned),
        request_id: record.request_id.map(str::to_owned),
    }
}

/// Milliseconds with three digits after the point.
fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
