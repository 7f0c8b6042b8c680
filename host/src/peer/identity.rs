//! A host's key and certificate among hosts. The key lives in memory only: another one comes with the next process.

use std::sync::Arc;

use penstock_api::control::peer_name;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
    version::TLS13,
};
use tokio::sync::watch;

const ALPN: &[u8] = b"h2";

/// Why a host has no name among hosts.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The machine has no randomness, or the host's id is no name.
    #[error("no key and request for a certificate can be made for this host: {0}")]
    Make(#[from] rcgen::Error),
    /// What the operator sent is no certificate.
    #[error("the certificate among hosts is no PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// It does not fit.
    #[error("the certificate among hosts cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// Nobody vouches for peers.
    #[error("the authorities of other hosts cannot be used: {0}")]
    Authorities(#[from] rustls::server::VerifierBuilderError),
}

/// How this host shows itself, as a client and as a server.
pub(super) struct Both {
    pub(super) client: Arc<ClientConfig>,
    pub(super) server: Arc<ServerConfig>,
}

/// A host's key, and what was signed for it.
pub(super) struct Identity {
    key: KeyPair,
    request: Vec<u8>,
    current: watch::Sender<Option<Arc<Both>>>,
}

// === impl Identity ===

impl Identity {
    pub(super) fn new(host_id: &str) -> Result<Self, IdentityError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([peer_name(host_id)])?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Penstock host");
        let request = params.serialize_request(&key)?.der().to_vec();
        Ok(Self { key, request, current: watch::Sender::new(None) })
    }

    pub(super) fn request(&self) -> &[u8] {
        &self.request
    }

    /// What new connections show, once there is a certificate.
    pub(super) fn current(&self) -> watch::Receiver<Option<Arc<Both>>> {
        self.current.subscribe()
    }

    pub(super) fn set(&self, chain: &str, authorities: &str) -> Result<(), IdentityError> {
        let certificates = |text: &str| CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
        let chain = certificates(chain)?;
        let mut roots = RootCertStore::empty();
        for authority in certificates(authorities)? {
            roots.add(authority)?;
        }
        let roots = Arc::new(roots);
        let key = || PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let provider = Arc::new(aws_lc_rs::default_provider());
        // Both ends are of one kind, so nothing older is needed.
        let mut client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots.clone())
            .with_client_auth_cert(chain.clone(), key())?;
        client.alpn_protocols.push(ALPN.to_vec());
        let peers = WebPkiClientVerifier::builder_with_provider(roots, provider.clone()).build()?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(peers)
            .with_single_cert(chain, key())?;
        server.alpn_protocols.push(ALPN.to_vec());
        self.current.send_replace(Some(Arc::new(Both { client: Arc::new(client), server: Arc::new(server) })));
        Ok(())
    }
}
