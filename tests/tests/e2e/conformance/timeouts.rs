//! Deadlines. A kitchen waits as long as the request says.

use super::{
    ask::get,
    case::{Case, V1},
};

pub(crate) fn cases() -> Vec<Case> {
    vec![deadline("HTTPRouteTimeoutRequest", "request"), deadline("HTTPRouteTimeoutBackendRequest", "backendRequest")]
}

fn deadline(name: &'static str, field: &str) -> Case {
    let rules = format!(
        "- matches: [{{path: {{value: /sleep}}}}]\n  backendRefs: [{{$v1}}]\n  timeouts: {{{field}: 500ms}}\n\
         - matches: [{{path: {{value: /sleep}}, headers: [{{name: x-deadline, value: none}}]}}]\n  \
         backendRefs: [{{$v1}}]\n  timeouts: {{{field}: 0s}}\n"
    );
    Case::new(name).http(&rules).asks([
        get("/sleep").from(V1),
        get("/sleep?ms=0").plain(),
        get("/sleep?ms=1000").plain().status(504),
        get("/sleep?ms=1000").plain().with(&[("x-deadline", "none")]),
    ])
}
