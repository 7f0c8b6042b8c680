//! What else than HTTP/1.1 comes to a backend.

use super::{
    ask::get,
    case::{Case, Front, V1},
};

pub(crate) fn cases() -> Vec<Case> {
    let ports = [("h2c", 80, Some("kubernetes.io/h2c"))];
    let case = Case::new("HTTPRouteBackendProtocolH2C")
        .fronts([Front::new("").ports(&ports)])
        .http("- backendRefs: [{$v1}]")
        .ask(get("/").http2().from(V1));
    vec![case]
}
