//! What stands in front of the listeners, and what components are told of a request's way.

use clap::{Args, ValueEnum};
use penstock_router::listen::{
    Forwarding, ListenerConfig, Network, Networks, ProxyProtocol, TraceContext, proxy::Others,
};

/// What stands in front of the listeners.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "In front")]
pub(crate) struct Fronts {
    /// Networks of the gateways in front, such as 10.244.0.0/16: what their forwarding headers, request ids and
    /// client certificate headers say is believed. Nobody's is, unless named here.
    #[arg(long, env = "PENSTOCK_TRUSTED_PROXIES", value_delimiter = ',', value_name = "NETWORK")]
    trusted_proxies: Vec<Network>,
    /// Networks whose connections begin with a PROXY header (version 1 or 2). All others are served without one.
    #[arg(long, env = "PENSTOCK_PROXY_PROTOCOL_FROM", value_delimiter = ',', value_name = "NETWORK")]
    proxy_protocol_from: Vec<Network>,
    /// Which headers tell components of a request's way, and which of a trusted proxy's are believed.
    #[arg(long, env = "PENSTOCK_FORWARDING", value_enum, default_value = "x-forwarded")]
    forwarding: ForwardingArg,
    /// What becomes of W3C trace context (traceparent, tracestate).
    #[arg(long, env = "PENSTOCK_TRACE_CONTEXT", value_enum, default_value = "begin")]
    trace_context: TraceContextArg,
    /// Responses tell how loaded the share is that answered, as ORCA load reports (endpoint-load-metrics), for gateways that
    /// balance by it. Clients see them too, unless the gateway takes them off.
    #[arg(long, env = "PENSTOCK_LOAD_REPORTS")]
    load_reports: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ForwardingArg {
    /// Headers pass as they came, whoever sent them: components must not believe them.
    Off,
    /// X-Forwarded-For, -Proto, -Host and -Port.
    XForwarded,
    /// Forwarded (RFC 7239), and X-Forwarded-* made from it.
    Forwarded,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TraceContextArg {
    /// The headers pass as they came.
    Off,
    /// A valid one goes on, an invalid one is taken off, none is begun.
    Continue,
    /// As continue; a request without one gets one that is not sampled.
    Begin,
    /// As begin, but sampled.
    BeginSampled,
}

// === impl Fronts ===

impl Fronts {
    pub(crate) fn configure(&self, listener: &mut ListenerConfig) {
        let networks = |these: &[Network]| these.iter().copied().collect::<Networks>();
        let speaks = networks(&self.proxy_protocol_from);
        listener.trusted = networks(&self.trusted_proxies);
        listener.proxy_protocol =
            (!self.proxy_protocol_from.is_empty()).then_some(ProxyProtocol { trusted: speaks, others: Others::Serve });
        listener.forwarding = match self.forwarding {
            ForwardingArg::Off => Forwarding::Off,
            ForwardingArg::XForwarded => Forwarding::XForwarded,
            ForwardingArg::Forwarded => Forwarding::Forwarded,
        };
        listener.load_reports = self.load_reports;
        listener.trace_context = match self.trace_context {
            TraceContextArg::Off => TraceContext::Off,
            TraceContextArg::Continue => TraceContext::Continue,
            TraceContextArg::Begin => TraceContext::Begin { sampled: false },
            TraceContextArg::BeginSampled => TraceContext::Begin { sampled: true },
        };
    }
}
