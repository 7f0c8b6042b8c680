//! A Service: from its listeners and the hosts behind it, to EndpointSlices.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::ResourceExt;
use penstock_api::{conditions, manifest::ObjectKey};
use serde_json::json;

use super::{
    events_of,
    fleet::HostRecord,
    lead::{Context, Lead, Wake, split},
    stores::Stores,
    write::{Action, Key, Kind, body},
};
use crate::{
    events::Weight,
    plan::{
        HostId, Name, ServicePort, ServiceTable,
        endpoints::{self, Endpoint, EndpointState, ReadyShare},
        status,
        tls::{self, ServiceTls},
    },
};

/// What is known of a Service beyond its objects.
#[derive(Debug, Default)]
pub(crate) struct ServiceRecord {
    /// Names of its slices.
    slices: BTreeSet<String>,
    /// What its endpoints are to say, and since when its slices say so.
    endpoints: BTreeMap<HostId, (EndpointState, Option<Timestamp>)>,
    /// Slices that are being written (none: deleted), as they will be.
    pending: BTreeMap<String, Option<Arc<EndpointSlice>>>,
    /// Since when its slices are as they should be.
    settled: Option<Timestamp>,
    /// Listener ports by port name.
    ports: BTreeMap<String, u16>,
    /// What TLS its listeners have.
    tls: ServiceTls,
    /// What Events have said that still is so.
    told: BTreeSet<(String, String)>,
}

impl Lead {
    // === what it is ===

    /// A Service is another now, or another number of deployments name it.
    pub(super) fn service_changed(&mut self, cx: &mut Context<'_>, name: &Name) {
        let service = cx.stores.services.get(name).filter(|it| it.metadata.deletion_timestamp.is_none());
        // One that Kubernetes or a mesh looks after is left alone, whatever routes it has.
        let selects =
            service.and_then(|it| it.spec.as_ref()?.selector.as_ref()).is_some_and(|selector| !selector.is_empty());
        let named = self.by_service.contains_key(name) || !selects && self.tables.is_routed_here(name);
        let affected = match service.filter(|_| named) {
            Some(service) => {
                let names = port_names(service);
                let ports = self.ports.allocate(name, names.iter().map(String::as_str));
                let bind = self.settings.bind.clone();
                let address = |it: &ServicePort| Some(format!("{bind}:{}", ports.get(&it.port_name)?));
                let before = self.services.get(name).map(|it| &it.tls);
                let tls = tls::resolve(name, service, cx.stores, before);
                let affected = self.tables.set_service(name, Some((service.clone(), tls.clone())), &address);
                self.set_tls(name, tls);
                self.services.entry(name.clone()).or_default().ports = ports;
                affected
            }
            None => {
                self.ports.release(name);
                self.set_tls(name, ServiceTls::default());
                self.tables.set_service(name, None, &|_| None)
            }
        };
        self.affect(affected);
        self.mark_service(name);
    }

    /// Keeps a Service's TLS, and which Secrets and ConfigMaps it is from.
    fn set_tls(&mut self, name: &Name, tls: ServiceTls) {
        let record = match self.services.get_mut(name) {
            Some(record) => record,
            None if tls.sources.is_empty() => return,
            None => self.services.entry(name.clone()).or_default(),
        };
        let before = std::mem::replace(&mut record.tls, tls);
        for source in before.sources.difference(&record.tls.sources) {
            if let Some(services) = self.services_by_source.get_mut(source) {
                services.remove(name);
                if services.is_empty() {
                    self.services_by_source.remove(source);
                }
            }
        }
        for source in record.tls.sources.difference(&before.sources) {
            self.services_by_source.entry(source.clone()).or_default().insert(name.clone());
        }
    }

    /// A slice is another now.
    pub(super) fn slice_changed(&mut self, cx: &Context<'_>, service: &Name, slice: &str, there: bool) {
        let record = self.services.entry(service.clone()).or_default();
        if there {
            record.slices.insert(slice.to_owned());
        } else {
            record.slices.remove(slice);
        }
        let key = Key::object(Kind::Slice, &Name::new(&service.namespace, slice));
        if !cx.writes.is_pending(&key) {
            record.pending.remove(slice);
        }
    }

    /// A slice has been written, or deleted.
    pub(super) fn slice_written(&mut self, cx: &mut Context<'_>, slice: &Name) {
        let within = |(name, it): &(&Name, &ServiceRecord)| {
            name.namespace == slice.namespace
                && (it.pending.contains_key(&slice.name) || it.slices.contains(&slice.name))
        };
        let service = cx.stores.slices.get(slice).and_then(|it| service_of(it));
        let service = service.or_else(|| self.services.iter().find(within).map(|it| it.0.clone()));
        let Some(service) = service else { return };
        let Some(record) = self.services.get_mut(&service) else { return };
        if !cx.writes.is_pending(&Key::object(Kind::Slice, slice)) {
            record.pending.remove(&slice.name);
        }
        self.mark_service(&service);
    }

    // === what is to be done ===

    /// Looks at a Service.
    pub(super) fn step_service(&mut self, cx: &mut Context<'_>, name: &Name) {
        let service = cx.stores.services.get(name).filter(|it| it.metadata.deletion_timestamp.is_none()).cloned();
        let table = self.tables.service(name).cloned();
        let (Some(service), Some(table)) = (service, table) else {
            self.withdraw(cx, name);
            return;
        };
        self.put_right(cx, name, &service, &table);
        self.service_condition(cx, name, &service);
    }

    /// Nothing is behind a Service any more, or it is gone: so are its slices.
    fn withdraw(&mut self, cx: &mut Context<'_>, name: &Name) {
        let Some(record) = self.services.get_mut(name) else { return };
        record.endpoints.clear();
        record.settled = None;
        for slice in record.slices.clone() {
            let own = Name::new(&name.namespace, slice);
            if let Some(uid) = cx.stores.slices.get(&own).and_then(|it| it.uid()) {
                cx.writes.set(Key::object(Kind::Slice, &own), Action::Delete(uid), None);
            }
        }
        if record.slices.is_empty() {
            self.services.remove(name);
        }
    }

    fn put_right(&mut self, cx: &mut Context<'_>, name: &Name, service: &Arc<Service>, table: &ServiceTable) {
        let states = self.endpoint_states(cx.stores, table);
        let endpoints: Vec<Endpoint> = states
            .iter()
            .filter_map(|(host, state)| Some(Endpoint { host: self.fleet.get(host)?.address.clone(), state: *state }))
            .collect();
        let Some(record) = self.services.get_mut(name) else { return };
        let existing: Vec<Arc<EndpointSlice>> = record.existing(cx.stores, &name.namespace);
        let changes = endpoints::slices(service, &record.ports, &endpoints, &existing);
        let before = record.settled;
        let first = record.endpoints.is_empty() && before.is_none();
        record.take_states(states);
        for slice in changes.apply {
            let own = super::store::name_of(&slice);
            cx.writes.set(Key::object(Kind::Slice, &own), Action::Apply(body(&slice)), None);
            record.pending.insert(own.name, Some(Arc::new(slice)));
        }
        for slice in changes.delete {
            let own = Name::new(&name.namespace, &slice);
            if let Some(uid) = cx.stores.slices.get(&own).and_then(|it| it.uid()) {
                cx.writes.set(Key::object(Kind::Slice, &own), Action::Delete(uid), None);
                record.pending.insert(slice, None);
            }
        }
        if !record.pending.is_empty() {
            record.settled = None;
            return;
        }
        // Slices that were so before this operator began to lead have been so for long.
        let settled = if first { Timestamp::UNIX_EPOCH } else { cx.now };
        record.settled = before.or(Some(settled));
        let mut anew = before.is_none();
        for (state, since) in record.endpoints.values_mut().filter(|it| it.1.is_none()) {
            let long = first && *state == EndpointState::Ready;
            *since = Some(if long { settled } else { cx.now });
            anew = true;
        }
        if anew {
            record.settled = Some(settled);
            for unit in table.deployments.iter().map(|it| split(it)) {
                self.mark_unit(&unit);
                self.wake(cx.instant + self.settings.propagation_delay, Wake::Unit(unit));
            }
        }
    }

    fn endpoint_states(&self, stores: &Stores, table: &ServiceTable) -> BTreeMap<HostId, EndpointState> {
        let mut shares = Vec::new();
        for deployment in &table.deployments {
            let ready = self.ready_hosts(stores, &split(deployment));
            shares.extend(ready.into_iter().map(|(host, stays)| ReadyShare {
                deployment: deployment.clone(),
                host,
                stays,
            }));
        }
        let mut states = endpoints::states(&shares, &|host| self.fleet.state(host));
        states.retain(|host, _| self.fleet.get(host).is_some_and(|it| listens(it, table)));
        states
    }

    // === what others ask ===

    /// Whether clients may be sent to a host for a deployment.
    pub(super) fn has_endpoint(&self, unit: &Name, host: &HostId) -> bool {
        let unit = unit.to_string();
        self.tables.services_of(&unit).any(|it| self.services.get(it).is_some_and(|it| it.endpoints.contains_key(host)))
    }

    /// Since when all slices of a deployment's Services say that a host leaves, or say nothing of it. Where other deployments keep
    /// the host behind a Service although this one leaves it, there is nothing to say.
    pub(super) fn announced(&self, stores: &Stores, unit: &Name, host: &HostId) -> Option<Timestamp> {
        let mut last = Timestamp::UNIX_EPOCH;
        for service in self.tables.services_of(&unit.to_string()) {
            let Some(record) = self.services.get(service) else { continue };
            match record.endpoints.get(host) {
                Some((EndpointState::Ready, _)) => {
                    let table = self.tables.service(service)?;
                    let kept = self.endpoint_states(stores, table).get(host) == Some(&EndpointState::Ready);
                    last = last.max(record.settled.filter(|_| kept)?);
                }
                Some((_, None)) => return None,
                Some((_, Some(since))) => last = last.max(*since),
                None => last = last.max(record.settled?),
            }
        }
        Some(last)
    }

    /// Since when all slices of a deployment's Services are as they should be; none: they are not yet.
    pub(super) fn settled(&self, unit: &Name) -> Option<Timestamp> {
        let mut last = Timestamp::UNIX_EPOCH;
        for service in self.tables.services_of(&unit.to_string()) {
            last = last.max(self.services.get(service)?.settled?);
        }
        Some(last)
    }

    // === what is said about it ===

    /// Writes the Service's condition, once there is something to say or something that has been said is over.
    fn service_condition(&mut self, cx: &mut Context<'_>, name: &Name, service: &Arc<Service>) {
        let object =
            ObjectKey { kind: "Service".to_owned(), namespace: name.namespace.clone(), name: name.name.clone() };
        let mut findings = self.tables.findings(&object);
        findings.extend(endpoints::findings(service));
        let conditions = service.status.as_ref().and_then(|it| it.conditions.clone()).unwrap_or_default();
        let before: Vec<_> = conditions.into_iter().filter(|it| it.type_ == conditions::SERVICE_ACCEPTED).collect();
        let key = Key::status(Kind::Service, name);
        if findings.is_empty() && before.is_empty() {
            cx.writes.cancel(&key);
        } else {
            let after = status::service(&before, &findings, service.metadata.generation, cx.now);
            if before == after {
                cx.writes.cancel(&key);
            } else {
                let patch = json!({
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": { "name": name.name, "namespace": name.namespace },
                    "status": { "conditions": after },
                });
                cx.writes.set(key, Action::Apply(body(&patch)), None);
            }
        }
        let said: Vec<String> = before.iter().map(|it| it.message.clone()).collect();
        let Some(record) = self.services.get_mut(name) else { return };
        let instance = &self.settings.pod_name;
        events_of::tell(cx, &**service, &mut record.told, &findings, &said, Weight::Warning, instance);
    }
}

impl ServiceRecord {
    /// Its slices as they will be when everything that is on its way has been written.
    fn existing(&self, stores: &Stores, namespace: &str) -> Vec<Arc<EndpointSlice>> {
        let stored = (self.slices.iter())
            .filter(|it| !self.pending.contains_key(*it))
            .filter_map(|it| stores.slices.get(&Name::new(namespace, it)).cloned());
        stored.chain(self.pending.values().flatten().cloned()).collect()
    }

    /// Keeps since when each endpoint says what it says.
    fn take_states(&mut self, states: BTreeMap<HostId, EndpointState>) {
        let mut before = std::mem::take(&mut self.endpoints);
        for (host, state) in states {
            let since = before.remove(&host).filter(|it| it.0 == state).and_then(|it| it.1);
            self.endpoints.insert(host, (state, since));
        }
    }
}

/// The Service of a slice.
pub(super) fn service_of(slice: &EndpointSlice) -> Option<Name> {
    let service = slice.labels().get(endpoints::SERVICE_NAME_LABEL)?;
    Some(Name::new(slice.namespace()?, service))
}

/// Whether a host listens for a Service, as far as it has said.
fn listens(host: &HostRecord, table: &ServiceTable) -> bool {
    let Some(report) = &host.report else { return true };
    table.listeners.iter().all(|it| report.listeners.get(&it.name).is_some_and(|it| it.bound))
}

/// Names of the ports that can be served; a port without one goes by its number.
fn port_names(service: &Service) -> Vec<String> {
    let ports = service.spec.iter().flat_map(|it| it.ports.iter().flatten());
    let name = |it: &k8s_openapi::api::core::v1::ServicePort| {
        it.name.clone().filter(|it| !it.is_empty()).unwrap_or_else(|| it.port.to_string())
    };
    ports.filter(|it| it.protocol.as_deref().is_none_or(|it| it == "TCP")).map(name).collect()
}
