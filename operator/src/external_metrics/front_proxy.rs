//! Whom to believe when they say for whom they ask: `kube-apiserver`, by what it publishes of itself in the ConfigMap
//! `extension-apiserver-authentication` of `kube-system`.

use std::{collections::BTreeMap, fmt, sync::Arc};

use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::CertificateDer,
    server::{NoServerSessionStorage, ResolvesServerCert, danger::ClientCertVerifier},
};
use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::User;
use crate::accept::{AuthoritiesError, clients_of};

const AUTHORITIES: &str = "requestheader-client-ca-file";
const ALLOWED_NAMES: &str = "requestheader-allowed-names";
const USER_HEADERS: &str = "requestheader-username-headers";
const UID_HEADERS: &str = "requestheader-uid-headers";
const GROUP_HEADERS: &str = "requestheader-group-headers";
const EXTRA_PREFIXES: &str = "requestheader-extra-headers-prefix";

/// The proxy in front: who it is, and in which headers it says for whom it asks.
pub struct FrontProxy {
    verifier: Arc<dyn ClientCertVerifier>,
    /// Common names of its certificate; none: any that the authorities have signed.
    allowed_names: Vec<String>,
    user: Vec<HeaderName>,
    /// Only if the cluster names them: a proxy that does not know of uids does not take away a caller's header either.
    uid: Vec<HeaderName>,
    group: Vec<HeaderName>,
    /// In small letters.
    extra: Vec<String>,
}

/// Why requests cannot be taken.
#[derive(Debug, Error)]
pub enum FrontProxyError {
    /// The cluster has no front proxy.
    #[error("{AUTHORITIES} is missing: the API server has to be started with --requestheader-client-ca-file")]
    Missing,
    /// It is something else.
    #[error("{AUTHORITIES}: {0}")]
    Authorities(#[from] AuthoritiesError),
    /// No list of texts in JSON.
    #[error("{key} is no list of texts in JSON: {source}")]
    List {
        /// Which one.
        key: &'static str,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// No name of a header.
    #[error("{key}: {name:?} cannot be the name of a header")]
    Header {
        /// Which one.
        key: &'static str,
        /// What is there.
        name: String,
    },
}

// === impl FrontProxy ===

impl FrontProxy {
    /// From the ConfigMap's data.
    ///
    /// # Errors
    /// See [`FrontProxyError`].
    pub fn read(data: &BTreeMap<String, String>) -> Result<Self, FrontProxyError> {
        let authorities = data.get(AUTHORITIES).filter(|it| !it.trim().is_empty()).ok_or(FrontProxyError::Missing)?;
        Ok(Self {
            verifier: clients_of(authorities)?,
            allowed_names: list(data, ALLOWED_NAMES)?.unwrap_or_default(),
            user: headers(data, USER_HEADERS, &["x-remote-user"])?,
            uid: headers(data, UID_HEADERS, &[])?,
            group: headers(data, GROUP_HEADERS, &["x-remote-group"])?,
            extra: list(data, EXTRA_PREFIXES)?
                .unwrap_or_else(|| vec!["x-remote-extra-".to_owned()])
                .iter()
                .map(|it| it.to_ascii_lowercase())
                .filter(|it| !it.is_empty())
                .collect(),
        })
    }

    /// TLS that lets nobody in who has no certificate of its authorities.
    ///
    /// # Errors
    /// When the provider cannot do what TLS needs.
    pub fn server_config(&self, certificates: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(self.verifier.clone())
            .with_cert_resolver(certificates);
        // Who resumes a session shows no certificate again, and the authorities may be others by then.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Whether a certificate that its authorities have signed is the proxy's: the same authorities may sign for others too.
    #[must_use]
    pub fn allows(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
        let mut names = certificate.subject().iter_common_name().filter_map(|it| it.as_str().ok());
        self.allowed_names.is_empty() || names.any(|name| self.allowed_names.iter().any(|it| it == name))
    }

    /// For whom a request is. None: it does not say.
    #[must_use]
    pub fn user(&self, headers: &HeaderMap) -> Option<User> {
        let first = |names: &[HeaderName]| {
            let values = names.iter().filter_map(|name| headers.get(name)?.to_str().ok());
            values.map(str::to_owned).find(|it| !it.is_empty())
        };
        let groups = self.group.iter().flat_map(|name| headers.get_all(name));
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in headers {
            let keys = self.extra.iter().filter_map(|prefix| name.as_str().strip_prefix(prefix.as_str()));
            if let (Some(key), Ok(value)) = ({ keys }.next(), value.to_str()) {
                let key = percent_decode_str(key).decode_utf8().map_or_else(|_| key.to_owned(), |it| it.into_owned());
                extra.entry(key).or_default().push(value.to_owned());
            }
        }
        Some(User {
            name: first(&self.user)?,
            uid: first(&self.uid),
            groups: groups.filter_map(|it| it.to_str().ok()).map(str::to_owned).collect(),
            extra,
        })
    }
}

impl fmt::Debug for FrontProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrontProxy").field("allowed_names", &self.allowed_names).finish_non_exhaustive()
    }
}

fn list(data: &BTreeMap<String, String>, key: &'static str) -> Result<Option<Vec<String>>, FrontProxyError> {
    let Some(text) = data.get(key).filter(|it| !it.trim().is_empty()) else { return Ok(None) };
    serde_json::from_str(text).map_err(|source| FrontProxyError::List { key, source })
}

fn headers(
    data: &BTreeMap<String, String>,
    key: &'static str,
    default: &[&str],
) -> Result<Vec<HeaderName>, FrontProxyError> {
    let names = list(data, key)?.unwrap_or_else(|| default.iter().map(|it| (*it).to_owned()).collect());
    let name = |name: String| name.parse().map_err(|_| FrontProxyError::Header { key, name });
    names.into_iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::Pki, *};

    fn data(pki: &Pki) -> BTreeMap<String, String> {
        [
            (AUTHORITIES, pki.authority.as_str()),
            (ALLOWED_NAMES, "[\"front-proxy-client\"]"),
            (USER_HEADERS, "[\"X-Remote-User\"]"),
            (UID_HEADERS, "[\"X-Remote-Uid\"]"),
            (GROUP_HEADERS, "[\"X-Remote-Group\"]"),
            (EXTRA_PREFIXES, "[\"X-Remote-Extra-\"]"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    #[test]
    fn reads_for_whom_a_request_is() {
        let front = FrontProxy::read(&data(&Pki::new())).unwrap();
        let headers: HeaderMap = [
            ("x-remote-user", "ann"),
            ("x-remote-uid", "u-1"),
            ("x-remote-group", "dev"),
            ("x-remote-group", "system:authenticated"),
            ("x-remote-extra-example.org%2fscopes", "read"),
            ("x-remote-extra-example.org%2fscopes", "list"),
            ("x-other", "no"),
        ]
        .into_iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
        .collect();
        let expected = User {
            name: "ann".into(),
            uid: Some("u-1".into()),
            groups: vec!["dev".into(), "system:authenticated".into()],
            extra: [("example.org/scopes".to_owned(), vec!["read".to_owned(), "list".to_owned()])].into(),
        };
        assert_eq!(front.user(&headers), Some(expected));
        assert_eq!(front.user(&HeaderMap::new()), None);
    }

    #[test]
    fn a_uid_counts_only_where_the_cluster_names_its_header() {
        let mut data = data(&Pki::new());
        data.retain(|key, _| key == AUTHORITIES);
        let front = FrontProxy::read(&data).unwrap();
        let headers = [("x-remote-user", "ann"), ("x-remote-uid", "forged")]
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let user = front.user(&headers.into_iter().collect()).unwrap();
        assert_eq!((user.name.as_str(), user.uid), ("ann", None));
    }

    #[test]
    fn only_the_names_that_are_allowed_are_and_no_names_are_all() {
        let pki = Pki::new();
        let (proxy, other) = (pki.client("front-proxy-client"), pki.client("kubelet"));
        let mut data = data(&pki);
        let front = FrontProxy::read(&data).unwrap();
        assert!(front.allows(&proxy.certificate));
        assert!(!front.allows(&other.certificate));
        assert!(!front.allows(&b"no certificate".as_slice().into()));
        data.insert(ALLOWED_NAMES.into(), "[]".into());
        assert!(FrontProxy::read(&data).unwrap().allows(&other.certificate));
    }

    #[test]
    fn every_fault_of_the_config_map_is_named() {
        let good = data(&Pki::new());
        for (key, value, text) in [
            (AUTHORITIES, "", "requestheader-client-ca-file is missing"),
            (AUTHORITIES, "nothing", "requestheader-client-ca-file: the authorities cannot be used"),
            (ALLOWED_NAMES, "front-proxy-client", "requestheader-allowed-names is no list"),
            (USER_HEADERS, "[\"X Remote\"]", "requestheader-username-headers: \"X Remote\" cannot be"),
        ] {
            let mut data = good.clone();
            data.insert(key.to_owned(), value.to_owned());
            let error = FrontProxy::read(&data).unwrap_err().to_string();
            assert!(error.starts_with(text), "{error}");
        }
    }
}
