//! TLS of the control stream. The certificate is replaced while connections live: those that are open keep the one they
//! began with, and every new one gets the newest.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use penstock_api::control;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::{AuthorityError, Material};
use crate::accept;

/// The certificate that new connections get, and what signs those of hosts.
#[derive(Default)]
pub struct Certificates {
    pair: ArcSwapOption<CertifiedKey>,
    material: ArcSwapOption<Material>,
}

/// Why a certificate cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The text is no PEM, or not of the right kind.
    #[error("the {what} of the control stream is no PEM: {source}")]
    Pem {
        /// `certificate` or `key`.
        what: &'static str,
        /// What the parser says.
        source: rustls::pki_types::pem::Error,
    },
    /// They are no pair, or of a kind that is not supported.
    #[error("certificate and key of the control stream cannot be used: {0}")]
    Pair(#[from] rustls::Error),
}

// === impl Certificates ===

impl Certificates {
    /// None yet: connections are refused until there is one.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What connections get from now on, and what hosts' certificates are signed with.
    ///
    /// # Errors
    /// See [`TlsError`]; what was there before stays.
    pub fn set(&self, material: &Material) -> Result<(), TlsError> {
        let (certificate, key) = (&material.certificate, &material.key);
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| TlsError::Pem { what: "certificate", source })?;
        let key =
            PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|source| TlsError::Pem { what: "key", source })?;
        let pair = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())?;
        self.pair.store(Some(Arc::new(pair)));
        self.material.store(Some(Arc::new(material.clone())));
        Ok(())
    }

    /// A certificate for a host's key, and whom it is to trust in others.
    pub(super) fn sign(&self, request: &[u8], host_id: &str) -> Result<control::Certificate, AuthorityError> {
        let material = self.material.load_full();
        let material = material.ok_or_else(|| AuthorityError::unreadable("authorities", &"there are none yet"))?;
        let chain = material.sign_host(request, host_id, Timestamp::now())?;
        Ok(control::Certificate { chain, authorities: material.bundle() })
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.pair.load_full()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("set", &self.pair.load().is_some()).finish()
    }
}

/// Connections of hosts that are through their handshake.
pub(super) fn accept(
    listener: TcpListener,
    certificates: Arc<Certificates>,
    shutdown: CancellationToken,
) -> Result<ReceiverStream<std::io::Result<TlsStream<TcpStream>>>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols.push(b"h2".to_vec());
    let config = Arc::new(config);
    Ok(accept::accept(Arc::new(listener), move || Some(config.clone()), "the control stream", shutdown))
}
