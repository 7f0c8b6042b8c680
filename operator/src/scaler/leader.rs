//! The way to the operator that leads.
//!
//! A Service with a selector leads to all operators, and a label on the leader's pod would stay there when its node is lost.
//! So the Service has no selector, and whoever leads writes its one EndpointSlice: who takes over, takes over that too.

use std::{net::IpAddr, sync::Arc, time::Duration};

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Source;
use crate::{backoff, plan::names::FIELD_MANAGER};

/// How often the slice is written anew, in case somebody has changed it.
const AGAIN: Duration = Duration::from_secs(60);
/// Not the value that Services of workloads have: their slices are looked after by others, and taken away if unknown.
const MANAGER: &str = "penstock-operator-leader";

/// The EndpointSlice of the Service `service` that leads to this pod and to no other, to be applied by whoever leads.
/// `ports` have the names that they have in the Service.
#[must_use]
pub fn leader_slice(service: &str, namespace: &str, pod: &str, address: IpAddr, ports: &[(&str, u16)]) -> Value {
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    let ports = ports.iter().map(|(name, port)| json!({ "name": name, "port": port, "protocol": "TCP" }));
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            // One for each family: the type of a slice's addresses cannot be changed.
            "name": format!("{service}-{}", family.to_lowercase()),
            "namespace": namespace,
            "labels": {
                "kubernetes.io/service-name": service,
                "endpointslice.kubernetes.io/managed-by": MANAGER,
                "app.kubernetes.io/part-of": "penstock",
            },
        },
        "addressType": family,
        "endpoints": [{
            "addresses": [address.to_string()],
            "conditions": { "ready": true, "serving": true, "terminating": false },
            "targetRef": { "kind": "Pod", "namespace": namespace, "name": pod },
        }],
        "ports": ports.collect::<Vec<_>>(),
    })
}

/// Keeps a [`leader_slice`] written while this operator is ready, until the token is cancelled.
pub async fn point_here(client: Client, slice: Value, source: Arc<dyn Source>, done: CancellationToken) {
    let text = |at: &str| slice["metadata"][at].as_str().unwrap_or_default();
    let (name, api) = (text("name"), Api::<EndpointSlice>::namespaced(client, text("namespace")));
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let mut changes = source.changes();
    let (mut due, mut failures) = (None, 0);
    let keep = async {
        loop {
            match source.ready() {
                false => due = None,
                true if due.is_none_or(|it| it <= Instant::now()) => {
                    let written = api.patch(name, &parameters, &Patch::Apply(&slice)).await;
                    failures = written.as_ref().map_or(failures + 1, |_| 0);
                    if let Err(error) = written {
                        tracing::warn!(%error, "EndpointSlice {name} cannot be written");
                    }
                    due = Some(Instant::now() + if failures == 0 { AGAIN } else { backoff::pause(failures) });
                }
                true => {}
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    };
    done.run_until_cancelled(keep).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_leads_to_one_pod_under_the_service_s_port_names() {
        let address = "10.1.2.3".parse().unwrap();
        let slice = leader_slice("penstock-autoscaling", "penstock-system", "operator-a", address, &[("scaler", 9444)]);
        assert_eq!(slice["metadata"]["name"], "penstock-autoscaling-ipv4");
        assert_eq!(slice["metadata"]["labels"]["kubernetes.io/service-name"], "penstock-autoscaling");
        assert_eq!(slice["addressType"], "IPv4");
        assert_eq!(slice["endpoints"].as_array().unwrap().len(), 1);
        assert_eq!(slice["endpoints"][0]["addresses"], json!(["10.1.2.3"]));
        assert_eq!(slice["ports"], json!([{ "name": "scaler", "port": 9444, "protocol": "TCP" }]));
        let slice = leader_slice("s", "n", "p", "fd00::1".parse().unwrap(), &[]);
        assert_eq!((&slice["metadata"]["name"], &slice["addressType"]), (&json!("s-ipv6"), &json!("IPv6")));
    }
}
