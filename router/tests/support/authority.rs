//! A certificate authority of a test, with what it issues and a client that trusts it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use penstock_router::{
    ListenerConfig,
    tls::{Certificate, ClientCertificates, Tls, TlsConfig, TlsHandle},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// An authority that vouches for servers and clients.
pub struct Authority(pub CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn issue(&self, hosts: &[&str]) -> (CertificateDer<'static>, Certificate) {
        let hosts: Vec<String> = hosts.iter().map(|it| (*it).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(hosts.clone()).unwrap();
        // As long as the public authorities' ones.
        params.not_before = (SystemTime::now() - DAY).into();
        params.not_after = (SystemTime::now() + 90 * DAY).into();
        params.distinguished_name.push(rcgen::DnType::CommonName, &*hosts[0]);
        let issued = params.signed_by(&key, &self.0).unwrap();
        let pair = Certificate { name: hosts.join(","), chain: issued.pem(), key: key.serialize_pem() };
        (issued.der().clone(), pair)
    }

    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    /// A client that trusts this authority, and shows a certificate if it has one.
    pub fn client(&self, identity: Option<&Certificate>, alpn: &[&str]) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots());
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(it) => {
                let chain = vec![CertificateDer::from_pem_slice(it.chain.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(it.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = alpn.iter().map(|it| it.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// A listener that shows a certificate for these hosts, and asks clients for none.
pub fn listener(authority: &Authority, hosts: &[&str]) -> ListenerConfig {
    let config = TlsConfig { certificates: vec![authority.issue(hosts).1], clients: ClientCertificates::Ignored };
    ListenerConfig { tls: Some(TlsHandle::new(Tls::new(&config, None).unwrap())), ..ListenerConfig::new("test") }
}
