//! From a Service and the hosts behind it to EndpointSlices, with the fewest writes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use k8s_openapi::{
    api::{
        core::v1::{ObjectReference, Service, ServicePort},
        discovery::v1::{self as api, EndpointSlice},
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use penstock_api::{
    labels::{MANAGED_BY, MANAGED_BY_PENSTOCK},
    reasons,
};

use super::{Finding, Findings, HostAddress, HostId, HostState, Name, service::port_name, unit};

/// On slices: the Service that they are of (Kubernetes' own label).
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";
/// On slices of headless Services (Kubernetes' own label).
const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";

/// How many endpoints a slice holds, as in Kubernetes' own.
pub const SLICE_LIMIT: usize = 100;

/// What an endpoint says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndpointState {
    /// `ready`, `serving`, not `terminating`: new connections come.
    Ready,
    /// `serving` and `terminating`, not `ready`: it serves still, and new connections go elsewhere.
    Leaving,
    /// `terminating` alone: it serves no more.
    Gone,
}

/// A host behind a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Which host, and where.
    pub host: Arc<HostAddress>,
    /// What its endpoint says.
    pub state: EndpointState,
}

/// What a host has of one deployment, as far as endpoints go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyShare {
    /// `namespace/name`.
    pub deployment: Arc<str>,
    /// The host.
    pub host: HostId,
    /// Whether the host is to keep serving it: false when its last ready share of the deployment is to leave.
    pub stays: bool,
}

/// Slices to write and to delete.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Slices to apply, each whole: those that are new, and those that differ.
    pub apply: Vec<EndpointSlice>,
    /// Names of slices to delete.
    pub delete: Vec<String>,
}

impl Changes {
    /// Whether everything is as it should be.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.apply.is_empty() && self.delete.is_empty()
    }
}

/// Which hosts are behind a Service. `shares` are all ready shares of the deployments that its listeners route to
/// ([`super::ServiceTable::deployments`]), at most one for each deployment and host. A host is an endpoint if every
/// deployment that is ready anywhere is ready on it, for a request may be routed to any of them; only if there is no such
/// host is every host one that has any of them. Hosts that are lost are none.
#[must_use]
pub fn states(shares: &[ReadyShare], host_state: &dyn Fn(&HostId) -> HostState) -> BTreeMap<HostId, EndpointState> {
    let mut deployments: BTreeSet<&str> = BTreeSet::new();
    let mut hosts: BTreeMap<&HostId, OnHost> = BTreeMap::new();
    for share in shares {
        let state = host_state(&share.host);
        if state == HostState::Lost {
            continue;
        }
        let stays = share.stays && state != HostState::Terminating;
        if stays {
            deployments.insert(&share.deployment);
        }
        let host = hosts.entry(&share.host).or_insert(OnHost { staying: 0, leaving: false });
        host.staying += usize::from(stays);
        host.leaving |= !stays;
    }
    let complete = hosts.values().any(|it| it.staying > 0 && it.staying == deployments.len());
    let needed = if complete { deployments.len() } else { 1 };
    let state = |it: &OnHost| match it.staying >= needed.max(1) {
        true => Some(EndpointState::Ready),
        false => it.leaving.then_some(EndpointState::Leaving),
    };
    hosts.iter().filter_map(|(host, it)| Some(((*host).clone(), state(it)?))).collect()
}

struct OnHost {
    /// Deployments that are ready and stay.
    staying: usize,
    /// Whether some are ready and leave.
    leaving: bool,
}

/// The slices of a Service, as what is to be changed about those that exist. `ports` are the listeners' ports by the names
/// of the Service's ports ([`super::Ports::allocate`]). Endpoints stay in the slice where they are; slices hold at most
/// [`SLICE_LIMIT`]; of the Service's first address family there is always one, if only as the record of the ports. `existing`
/// are all slices of this Service with Penstock's `managed-by` label, edited by hand or not.
#[must_use]
pub fn slices(
    service: &Service,
    ports: &BTreeMap<String, u16>,
    endpoints: &[Endpoint],
    existing: &[Arc<EndpointSlice>],
) -> Changes {
    let mut changes = Changes::default();
    let frame = Frame::new(service, ports);
    let mut names: BTreeSet<String> = existing.iter().filter_map(|it| it.metadata.name.clone()).collect();
    let families = families(service);
    for family in [Family::V4, Family::V6] {
        let (mut own, going): (Vec<&EndpointSlice>, Vec<&EndpointSlice>) = (existing.iter().map(Arc::as_ref))
            .filter(|it| it.address_type == family.name())
            .partition(|it| is_there(it));
        own.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        drop(going);
        let wanted: BTreeMap<String, api::Endpoint> = match families.contains(&family) {
            true => endpoints.iter().filter_map(|it| endpoint(it, family)).collect(),
            false => BTreeMap::new(),
        };
        let record = families.first() == Some(&family) && !ports.is_empty();
        let mut slices = pack(wanted, &own);
        if record && !slices.iter().any(Slice::stays) {
            match slices.first_mut() {
                Some(first) => first.keep = true,
                None => slices.push(Slice { before: None, endpoints: Vec::new(), keep: true }),
            }
        }
        for slice in slices {
            match (slice.before, slice.stays()) {
                (Some(before), false) => changes.delete.extend(before.metadata.name.clone()),
                (None, false) => {}
                (before, true) => {
                    let name = before
                        .and_then(|it| it.metadata.name.clone())
                        .unwrap_or_else(|| frame.name(family, &mut names));
                    let wanted = frame.slice(name, family, slice.endpoints);
                    if before.is_none_or(|it| differs(it, &wanted)) {
                        changes.apply.push(wanted);
                    }
                }
            }
        }
    }
    // Slices of an address type that is none of ours (`FQDN`) cannot become one: the field never changes.
    let foreign = existing
        .iter()
        .filter(|it| is_there(it) && ![Family::V4.name(), Family::V6.name()].contains(&&*it.address_type));
    changes.delete.extend(foreign.filter_map(|it| it.metadata.name.clone()));
    changes
}

/// What is to be said about a Service beside what [`super::Tables`] says: that a headless one answers by SRV only.
#[must_use]
pub fn findings(service: &Service) -> Vec<Finding> {
    if !is_headless(service) {
        return Vec::new();
    }
    let mut findings = Findings::default();
    let object = unit::key("Service", &unit::name_of(&service.metadata));
    let message =
        "a headless Service's name leads to hosts, not to its listener's port: clients must ask for SRV records \
                   (`_port._tcp.service`), or give the Service a cluster IP"
            .to_owned();
    findings.warn(&object, "spec.clusterIP", reasons::HEADLESS_SERVICE, message);
    findings.sorted()
}

/// What a slice says of listener ports, to be [recorded](super::Ports::record): the name of the Service's port, by its
/// number if it has none, and the listener's port.
#[must_use]
pub fn recorded_ports(service: &Service, slice: &EndpointSlice) -> Vec<(String, u16)> {
    let unnamed = || service.spec.iter().flat_map(|it| it.ports.iter().flatten()).next().map(|it| it.port.to_string());
    let name = |it: Option<&str>| it.filter(|it| !it.is_empty()).map(ToOwned::to_owned).or_else(unnamed);
    let port = |it: &api::EndpointPort| Some((name(it.name.as_deref())?, u16::try_from(it.port?).ok()?));
    slice.ports.iter().flatten().filter_map(port).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// Whether an EndpointSlice takes the address: not loopback, link-local, multicast or none at all.
    fn takes(self, address: &IpAddr) -> bool {
        let usable = !address.is_loopback() && !address.is_unspecified() && !address.is_multicast();
        usable
            && match (self, address) {
                (Self::V4, IpAddr::V4(it)) => !it.is_link_local(),
                (Self::V6, IpAddr::V6(it)) => !it.is_unicast_link_local(),
                _ => false,
            }
    }
}

/// The families that a Service has, its first one first; both if it does not say (yet).
fn families(service: &Service) -> Vec<Family> {
    let given = service.spec.iter().flat_map(|it| it.ip_families.iter().flatten());
    let known: Vec<Family> =
        given.filter_map(|it| [Family::V4, Family::V6].into_iter().find(|family| family.name() == it)).collect();
    if known.is_empty() { vec![Family::V4, Family::V6] } else { known }
}

fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|it| it.cluster_ip.as_deref()) == Some("None")
}

fn is_there(slice: &EndpointSlice) -> bool {
    slice.metadata.deletion_timestamp.is_none()
}

/// The endpoint and what tells it apart; none if the host has no address of the family.
fn endpoint(it: &Endpoint, family: Family) -> Option<(String, api::Endpoint)> {
    let address = it.host.addresses.iter().find(|address| family.takes(address))?;
    let text = |it: &Arc<str>| it.to_string();
    let (ready, serving, terminating) = match it.state {
        EndpointState::Ready => (true, true, false),
        EndpointState::Leaving => (false, true, true),
        EndpointState::Gone => (false, false, true),
    };
    let target = ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: Some(text(&it.host.namespace)),
        name: Some(it.host.id.to_string()),
        uid: Some(text(&it.host.pod_uid)),
        ..ObjectReference::default()
    };
    let endpoint = api::Endpoint {
        addresses: vec![address.to_string()],
        conditions: Some(api::EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        node_name: it.host.node.as_ref().map(text),
        target_ref: Some(target),
        zone: it.host.zone.as_ref().map(text),
        ..api::Endpoint::default()
    };
    Some((it.host.id.to_string(), endpoint))
}

/// A slice on its way.
struct Slice<'a> {
    before: Option<&'a EndpointSlice>,
    endpoints: Vec<api::Endpoint>,
    /// Whether it stays even if it is empty.
    keep: bool,
}

impl Slice<'_> {
    fn stays(&self) -> bool {
        self.keep || !self.endpoints.is_empty()
    }

    fn room(&self) -> usize {
        SLICE_LIMIT.saturating_sub(self.endpoints.len())
    }

    fn changed(&self) -> bool {
        self.before.is_none_or(|it| it.endpoints.as_deref().unwrap_or_default() != self.endpoints)
    }
}

/// Puts endpoints into slices: those that are in one stay there; others go into slices that are written anyway, then all of
/// them into the fullest of the others that has room for all, else into new ones (as Kubernetes' own controller does it).
fn pack<'a>(mut wanted: BTreeMap<String, api::Endpoint>, existing: &[&'a EndpointSlice]) -> Vec<Slice<'a>> {
    let mut slices = Vec::new();
    for before in existing {
        let mut endpoints: Vec<api::Endpoint> = Vec::new();
        for it in before.endpoints.iter().flatten() {
            if endpoints.len() < SLICE_LIMIT
                && let Some(pod) = it.target_ref.as_ref().and_then(|it| it.name.as_deref())
            {
                // What is named twice is kept once.
                endpoints.extend(wanted.remove(pod));
            }
        }
        slices.push(Slice { before: Some(before), endpoints, keep: false });
    }
    let mut rest: Vec<api::Endpoint> = wanted.into_values().collect();
    for slice in slices.iter_mut().filter(|it| it.changed() && it.stays()) {
        let fits = rest.len().saturating_sub(slice.room());
        slice.endpoints.extend(rest.drain(fits..));
    }
    if rest.is_empty() {
        return slices;
    }
    let fitting = slices.iter_mut().filter(|it| it.room() >= rest.len());
    match fitting.max_by_key(|it| it.endpoints.len()) {
        Some(slice) => slice.endpoints.append(&mut rest),
        None => {
            while !rest.is_empty() {
                let fits = rest.len().saturating_sub(SLICE_LIMIT);
                slices.push(Slice { before: None, endpoints: rest.drain(fits..).collect(), keep: false });
            }
        }
    }
    slices
}

/// What all slices of a Service have in common.
struct Frame {
    service: Name,
    labels: BTreeMap<String, String>,
    owner: OwnerReference,
    ports: Vec<api::EndpointPort>,
}

impl Frame {
    fn new(service: &Service, ports: &BTreeMap<String, u16>) -> Self {
        let name = unit::name_of(&service.metadata);
        let mut labels = BTreeMap::from([
            (SERVICE_NAME_LABEL.to_owned(), name.name.clone()),
            (MANAGED_BY.to_owned(), MANAGED_BY_PENSTOCK.to_owned()),
        ]);
        if is_headless(service) {
            labels.insert(HEADLESS_LABEL.to_owned(), String::new());
        }
        let owner = OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Service".to_owned(),
            name: name.name.clone(),
            uid: service.metadata.uid.clone().unwrap_or_default(),
            ..OwnerReference::default()
        };
        let given = service.spec.iter().flat_map(|it| it.ports.iter().flatten());
        let port = |it: &ServicePort| {
            Some(api::EndpointPort {
                name: Some(it.name.clone().unwrap_or_default()),
                port: Some(i32::from(*ports.get(&port_name(it))?)),
                protocol: Some("TCP".to_owned()),
                app_protocol: it.app_protocol.clone(),
            })
        };
        Self { service: name, labels, owner, ports: given.filter_map(port).collect() }
    }

    /// A name that no slice has.
    fn name(&self, family: Family, taken: &mut BTreeSet<String>) -> String {
        let number = match family {
            Family::V4 => "v4",
            Family::V6 => "v6",
        };
        let mut names = (0..=taken.len()).map(|it| format!("{}-penstock-{number}-{it}", self.service.name));
        let name = names.find(|it| !taken.contains(it)).unwrap_or_default();
        taken.insert(name.clone());
        name
    }

    fn slice(&self, name: String, family: Family, endpoints: Vec<api::Endpoint>) -> EndpointSlice {
        EndpointSlice {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(self.service.namespace.clone()),
                labels: Some(self.labels.clone()),
                owner_references: Some(vec![self.owner.clone()]),
                ..ObjectMeta::default()
            },
            address_type: family.name().to_owned(),
            endpoints: Some(endpoints),
            ports: Some(self.ports.clone()),
        }
    }
}

/// Whether a slice is another than it should be, in anything that Penstock writes.
fn differs(is: &EndpointSlice, wanted: &EndpointSlice) -> bool {
    let labels = |it: &EndpointSlice, key: &str| it.metadata.labels.as_ref().and_then(|it| it.get(key).cloned());
    let owned = [SERVICE_NAME_LABEL, MANAGED_BY, HEADLESS_LABEL];
    let owners = |it: &EndpointSlice| -> Vec<(String, String)> {
        it.metadata.owner_references.iter().flatten().map(|it| (it.kind.clone(), it.uid.clone())).collect()
    };
    let ports = |it: &EndpointSlice| -> Vec<(String, Option<i32>, String, Option<String>)> {
        let text = |it: &Option<String>, default: &str| it.clone().unwrap_or_else(|| default.to_owned());
        let port =
            |it: &api::EndpointPort| (text(&it.name, ""), it.port, text(&it.protocol, "TCP"), it.app_protocol.clone());
        it.ports.iter().flatten().map(port).collect()
    };
    owned.iter().any(|key| labels(is, key) != labels(wanted, key))
        || owners(is) != owners(wanted)
        || ports(is) != ports(wanted)
        || is.endpoints.as_deref().unwrap_or_default() != wanted.endpoints.as_deref().unwrap_or_default()
}
