//! From a Service's annotations to the TLS of its listeners.
//!
//! A port is encrypted if its `appProtocol` is `https`, which is what tells a gateway in front to speak TLS to it (KEP-3726).

use std::{collections::BTreeMap, collections::BTreeSet};

use k8s_openapi::api::core::v1::Service;
use penstock_api::{
    manifest::ObjectKey,
    reasons,
    snapshot::{ListenerCertificate, ListenerTls},
};
use penstock_router::tls::{Certificate, ClientCertificates};

use super::{
    Finding, Findings, Name,
    resolve::{Source, Values},
    service, unit, values,
};

/// Names of Secrets of type `kubernetes.io/tls` in the Service's namespace, separated by commas.
pub const SECRETS: &str = "runtime.wasmcloud.dev/tls-secrets";
/// The authorities of clients' certificates: `ca.crt` of this Secret, or of the ConfigMap if it is written `configmap/NAME`.
pub const CLIENT_AUTHORITIES: &str = "runtime.wasmcloud.dev/tls-client-ca";
/// `required` (if nothing is said) or `optional`.
pub const CLIENTS: &str = "runtime.wasmcloud.dev/tls-client-certificates";

const APP_PROTOCOL: &str = "https";
const AUTHORITIES_KEY: &str = "ca.crt";

/// The TLS of a Service's listeners.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceTls {
    /// The names of the ports that have it.
    ports: BTreeSet<String>,
    /// The same for all of them.
    tls: ListenerTls,
    pub(super) findings: Vec<Finding>,
    /// The Secrets and ConfigMaps that it is from, whether they exist or not: when one of them changes, this has to be asked
    /// again.
    pub sources: BTreeSet<Source>,
}

impl ServiceTls {
    /// What is to be said about it.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The TLS of one of the Service's ports; none: it speaks plain HTTP.
    #[must_use]
    pub fn of(&self, port_name: &str) -> Option<&ListenerTls> {
        self.ports.contains(port_name).then_some(&self.tls)
    }
}

/// The TLS of a Service's listeners. What cannot be used (any more) is said, and what `before` had of it is used on.
#[must_use]
pub fn resolve(name: &Name, service: &Service, values: &dyn Values, before: Option<&ServiceTls>) -> ServiceTls {
    let none = BTreeMap::new();
    let annotations = service.metadata.annotations.as_ref().unwrap_or(&none);
    let ports = service.spec.iter().flat_map(|it| it.ports.iter().flatten());
    let ports: BTreeSet<String> =
        ports.filter(|it| it.app_protocol.as_deref() == Some(APP_PROTOCOL)).map(service::port_name).collect();
    let mut resolver = Resolver {
        object: unit::key("Service", name),
        name,
        values,
        before,
        findings: Findings::default(),
        sources: BTreeSet::new(),
    };
    let tls = match (ports.is_empty(), annotations.get(SECRETS)) {
        (true, None) => ListenerTls::default(),
        (true, Some(_)) => {
            let message = "no port has `appProtocol: https`, so that none is encrypted: add it to those that are to be";
            resolver.warn(SECRETS, reasons::NO_SERVICE_PORT, message.to_owned());
            ListenerTls::default()
        }
        (false, secrets) => resolver.tls(secrets.map_or("", String::as_str), annotations),
    };
    ServiceTls { ports, tls, findings: resolver.findings.sorted(), sources: resolver.sources }
}

struct Resolver<'r> {
    object: ObjectKey,
    name: &'r Name,
    values: &'r dyn Values,
    before: Option<&'r ServiceTls>,
    findings: Findings,
    sources: BTreeSet<Source>,
}

// === impl Resolver ===

impl Resolver<'_> {
    fn tls(&mut self, secrets: &str, annotations: &BTreeMap<String, String>) -> ListenerTls {
        let names: Vec<&str> = secrets.split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
        if names.is_empty() {
            let message = "a port has `appProtocol: https` and there is no certificate for it: name Secrets of type \
                           kubernetes.io/tls in this annotation";
            self.error(SECRETS, reasons::INVALID_CERTIFICATE_REF, message.to_owned());
        }
        let certificates = names.into_iter().filter_map(|it| self.certificate(it)).collect();
        let required = match annotations.get(CLIENTS).map(|it| it.trim()) {
            None | Some("required") => true,
            Some("optional") => false,
            Some(other) => {
                let message = format!("`{other}` is neither `required` nor `optional`: it counts as `required`");
                self.error(CLIENTS, reasons::UNSUPPORTED_VALUE, message);
                true
            }
        };
        let client_authorities = annotations.get(CLIENT_AUTHORITIES).map(|it| self.authorities(it.trim()));
        ListenerTls { certificates, clients_required: required && client_authorities.is_some(), client_authorities }
    }

    fn certificate(&mut self, secret: &str) -> Option<ListenerCertificate> {
        let name = Name::new(&self.name.namespace, secret);
        self.sources.insert(Source::Secret(name.clone()));
        let trouble = match self.values.secret(&name) {
            None => format!("there is no Secret {name}: create it with `kubectl create secret tls`, or have it issued"),
            Some(secret) => {
                let key = |key| values::secret_key(&secret, key).unwrap_or_default();
                let it = Certificate { name: name.to_string(), chain: key("tls.crt"), key: key("tls.key") };
                match it.check() {
                    Ok(()) => return Some(ListenerCertificate { name: it.name, chain: it.chain, key: it.key }),
                    Err(error) => format!("{error}: put a PEM pair into `tls.crt` and `tls.key`"),
                }
            }
        };
        let full = name.to_string();
        let before = self.before.and_then(|it| it.tls.certificates.iter().find(|it| it.name == full)).cloned();
        let then = if before.is_some() { "; the one before is used on" } else { "" };
        self.error(SECRETS, reasons::INVALID_CERTIFICATE_REF, format!("{trouble}{then}"));
        before
    }

    /// The authorities, as PEM. If there are none, nobody is let in: what was asked for is a check, not its absence.
    fn authorities(&mut self, reference: &str) -> String {
        let (kind, name) = reference.split_once('/').unwrap_or(("secret", reference));
        let name = Name::new(&self.name.namespace, name);
        let found = match kind {
            "secret" => {
                self.sources.insert(Source::Secret(name.clone()));
                self.values.secret(&name).and_then(|it| values::secret_key(&it, AUTHORITIES_KEY))
            }
            "configmap" => {
                self.sources.insert(Source::ConfigMap(name.clone()));
                let map = self.values.config_map(&name);
                map.and_then(|it| it.data.as_ref()?.get(AUTHORITIES_KEY).cloned())
            }
            other => {
                let message = format!("`{other}` is no kind of authorities: write NAME of a Secret, or configmap/NAME");
                self.error(CLIENT_AUTHORITIES, reasons::UNSUPPORTED_VALUE, message);
                return String::new();
            }
        };
        let trouble = match found {
            None => format!("there is no {kind} {name} with a key `{AUTHORITIES_KEY}`: create it"),
            Some(found) => match ClientCertificates::Required(found.clone()).check() {
                Ok(()) => return found,
                Err(error) => format!("{kind} {name}: {error}"),
            },
        };
        let before = self.before.and_then(|it| it.tls.client_authorities.clone()).filter(|it| !it.is_empty());
        let then = if before.is_some() { "those before are used on" } else { "until then nobody can connect" };
        self.error(CLIENT_AUTHORITIES, reasons::INVALID_CERTIFICATE_REF, format!("{trouble}; {then}"));
        before.unwrap_or_default()
    }

    fn error(&mut self, annotation: &str, reason: &'static str, message: String) {
        self.findings.error(&self.object, path(annotation), reason, message);
    }

    fn warn(&mut self, annotation: &str, reason: &'static str, message: String) {
        self.findings.warn(&self.object, path(annotation), reason, message);
    }
}

fn path(annotation: &str) -> String {
    format!("metadata.annotations[{annotation}]")
}
