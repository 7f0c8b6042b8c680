//! GRPCRoutes. Kitchens answer a call with its dump, as they answer anything; what the router refuses it tells in
//! `grpc-status`.

use super::{
    ask::{Ask, call},
    case::{Case, Route, V1, V2},
    hosts::{BY_HOST, by_host},
    matching::{BY_HEADER, VERSION_AND_COLOR},
    weights,
};

/// What the tests call, which no kitchen has: the dump comes in its place.
pub(crate) const ECHO: &str = "/conformance.Echo/Echo";
/// `UNIMPLEMENTED`.
const UNIMPLEMENTED: u16 = 12;

pub(crate) fn cases() -> Vec<Case> {
    let weight = Case::new("GRPCRouteWeight").grpc(&weights::rules(true)).ask(call(ECHO)).then(weights::grpc_shares);
    vec![methods(), headers(), hostnames(), named_rule(), weight]
}

fn comes(ask: Ask, backend: Option<&'static str>) -> Ask {
    match backend {
        Some(backend) => ask.from(backend),
        None => ask.grpc_status(UNIMPLEMENTED),
    }
}

fn rules(name: &str) -> String {
    format!(
        "- matches: [{{method: {{service: conformance.Echo, method: Echo}}}}]\n  backendRefs: [{{$v1}}]\n{name}\
         - matches: [{{method: {{service: conformance.Echo, method: EchoTwo}}}}]\n  backendRefs: [{{$v2}}]\n"
    )
}

fn methods() -> Case {
    Case::new("GRPCExactMethodMatching").grpc(&rules("")).asks([
        comes(call(ECHO), Some(V1)),
        comes(call("/conformance.Echo/EchoTwo"), Some(V2)),
        comes(call("/conformance.Echo/EchoThree"), None),
    ])
}

fn headers() -> Case {
    let asks = BY_HEADER.iter().map(|(headers, backend)| comes(call(ECHO).with(headers), *backend));
    Case::new("GRPCRouteHeaderMatching").grpc(VERSION_AND_COLOR).asks(asks)
}

fn hostnames() -> Case {
    let asks = BY_HOST.iter().map(|&(host, backend)| comes(call(ECHO).host(host), backend));
    by_host(Case::new("GRPCRouteListenerHostnameMatching"), Route::grpc).asks(asks)
}

fn named_rule() -> Case {
    Case::new("GRPCRouteNamedRule")
        .grpc(&rules("  name: named-rule\n"))
        .asks([comes(call(ECHO), Some(V1)), comes(call("/conformance.Echo/EchoTwo"), Some(V2))])
}
