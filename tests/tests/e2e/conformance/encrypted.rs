//! Encrypted ports. The hostnames of a Gateway's listeners are those of certificates and routes here.

use std::sync::OnceLock;

use anyhow::{Context as _, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::{
    ask::{Ask, get},
    case::{Case, Front, Route, V1, V2, V3},
    matching::comes,
};

pub(crate) fn cases() -> Vec<Case> {
    vec![listener(), misdirected()]
}

/// Who signs the certificates of all cases.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// Hosts that have a certificate in one case or another.
const HOSTS: [&str; 4] = ["example.org", "second-example.org", "*.wildcard.org", "fourth-example.wildcard.org"];

pub(crate) fn authority() -> Result<&'static Authority> {
    static AUTHORITY: OnceLock<Option<Authority>> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new().ok()).as_ref().context("the tests' authority cannot be made")
}

impl Authority {
    fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the conformance cases' authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self { pem: issuer.pem(), issuer })
    }

    /// Whether a host has a certificate, so that clients can tell whose it is.
    pub(crate) fn knows(&self, host: &str) -> bool {
        HOSTS.iter().any(|it| match it.strip_prefix('*') {
            Some(suffix) => host.ends_with(suffix),
            None => *it == host,
        })
    }

    fn issue(&self, host: &str) -> Result<(String, String)> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![host.to_owned()])?.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

/// A Secret with a certificate for a host.
pub(crate) fn secret(name: &str, host: &str) -> String {
    let (certificate, key) = authority().and_then(|it| it.issue(host)).unwrap();
    let data = serde_json::json!({"tls.crt": certificate, "tls.key": key});
    format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: kubernetes.io/tls\nstringData: {data}\n")
}

fn front(secrets: &'static str) -> Front {
    Front::new("").ports(&[("https", 443, Some("https"))]).annotations(secrets)
}

fn listener() -> Case {
    let to = |host: &'static str| get("/").host(host).tls(host);
    Case::new("HTTPRouteHTTPSListener")
        .fronts([front("runtime.wasmcloud.dev/tls-secrets: 'listener-one,listener-two'")])
        .ground(secret("listener-one", "example.org"))
        .ground(secret("listener-two", "second-example.org"))
        .route(Route::http("- backendRefs: [{$v1}]").named("one").hosts(&["example.org"]))
        .route(Route::http("- backendRefs: [{$v2}]").named("two").hosts(&["second-example.org"]))
        .asks([to("example.org").from(V1), to("unknown-example.org").status(404), to("second-example.org").from(V2)])
}

/// A connection carries requests for hosts with the same certificate only.
fn misdirected() -> Case {
    const FIRST: &str = "example.org";
    const SECOND: &str = "second-example.org";
    const THIRD: &str = "third-example.wildcard.org";
    const FOURTH: &str = "fourth-example.wildcard.org";
    const FIFTH: &str = "fith-example.wildcard.org";
    const UNKNOWN: &str = "unknown-example.org";
    let rules = |backend: &str| {
        format!("- matches: [{{path: {{value: /detect-misdirected-requests}}}}]\n  backendRefs: [{{{backend}}}]\n")
    };
    let route = |name, backend, hosts| Route::http(&rules(backend)).named(name).hosts(hosts);
    let to = |server, host| get("/detect-misdirected-requests").host(host).tls(server);
    let refused = |ask: Ask| ask.status(421);
    Case::new("HTTPRouteHTTPSListenerDetectMisdirectedRequests")
        .fronts([front("runtime.wasmcloud.dev/tls-secrets: 'misdirected-1,misdirected-2,misdirected-3,misdirected-4'")])
        .ground(secret("misdirected-1", FIRST))
        .ground(secret("misdirected-2", SECOND))
        .ground(secret("misdirected-3", "*.wildcard.org"))
        .ground(secret("misdirected-4", FOURTH))
        .route(route("first", "$v1", &[FIRST]))
        .route(route("second", "$v2", &[SECOND]))
        .route(route("third", "$v3", &["*.wildcard.org"]))
        .route(route("fourth", "$v1", &[FOURTH]))
        .asks([
            to(FIRST, FIRST).from(V1),
            refused(to(FIRST, SECOND)),
            comes(to(FIRST, UNKNOWN), None),
            to(SECOND, SECOND).from(V2),
            refused(to(SECOND, FIRST)),
            refused(to(SECOND, UNKNOWN)),
            to(THIRD, THIRD).from(V3),
            to(THIRD, FIFTH).from(V3),
            refused(to(THIRD, FOURTH)),
            refused(to(THIRD, SECOND)),
            refused(to(THIRD, UNKNOWN)),
            to(FOURTH, FOURTH).from(V1),
            refused(to(FOURTH, FIFTH)),
            to(UNKNOWN, FIRST).from(V1),
            comes(to(UNKNOWN, UNKNOWN), None),
        ])
}
