//! The listener that routes by hostname, for gateways outside the cluster and for `penstock dev`.

use std::collections::BTreeMap;

use penstock_api::{reasons, snapshot::Listener};

use super::{
    Findings, Name, Options,
    claims::{self, Claim},
    http_route::Attached,
    routes::Routed,
};

/// Its name in snapshots.
const NAME: &str = "shared";

/// The shared listener, if it has an address.
pub(super) fn listener(
    routed: &[Routed<'_>],
    http_routes: &BTreeMap<Name, Attached<'_>>,
    options: &Options<'_>,
    findings: &mut Findings,
) -> Option<Listener> {
    let address = options.shared_address?.to_owned();
    let mut claims = Vec::new();
    for it in routed {
        let object = &it.unit.object;
        claims.extend(it.by_host().into_iter().map(|route| Claim { object: object.clone(), route }));
    }
    if options.shared_http_routes {
        let with_hosts = http_routes.values().filter(|it| !it.route.hostnames.is_empty());
        claims.extend(with_hosts.map(|it| Claim { object: it.object.clone(), route: it.route.clone() }));
    }
    let claims = claims::first_namespace_wins(claims, reasons::HOSTNAME_CONFLICT, findings);
    claims::report_ambiguous(&claims, reasons::AMBIGUOUS_ROUTE, "the shared listener", findings);
    Some(Listener { name: NAME.to_owned(), address, routes: claims.into_iter().map(|it| it.route).collect() })
}
