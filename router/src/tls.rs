//! TLS of a listener: certificates by name, client certificates, and all of it replaced while connections live.
//!
//! What was configured is compiled whole, off the request path, and swapped like a route table: connections that are open
//! keep what they began with, and every new one gets the newest. What cannot be used leaves the one before in place.

mod certificate;
mod error;
mod identity;
mod names;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, pem::PemObject},
    server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier},
};

use self::names::Names;
pub use self::{certificate::Certificate, error::TlsError};
pub(crate) use self::{identity::Identity, names::sans_port};

/// What a listener's TLS is made of.
#[derive(Clone, Debug, Default)]
pub struct TlsConfig {
    /// The first one is shown to clients that name no host, or one that no certificate is for. None: every handshake fails.
    pub certificates: Vec<Certificate>,
    /// Whether clients have to show a certificate.
    pub clients: ClientCertificates,
}

/// What is asked of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Nothing.
    #[default]
    Ignored,
    /// A certificate that one of these authorities (PEM) vouches for, if the client has one.
    Optional(String),
    /// Such a certificate, or there is no connection.
    Required(String),
}

/// A listener's TLS, ready to be used.
pub struct Tls {
    server: Arc<ServerConfig>,
    names: Arc<Names>,
    clients: ClientCertificates,
    tickets: Arc<dyn ProducesTickets>,
}

/// The TLS that new connections get. Clones share it.
#[derive(Clone)]
pub struct TlsHandle(Arc<Shared>);

struct Shared {
    current: ArcSwap<Tls>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    handshakes: AtomicU64,
    failures: [AtomicU64; Failure::ALL.len()],
}

/// Why a handshake failed: a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It took too long.
    Timeout,
    /// The client spoke HTTP without TLS.
    Plaintext,
    /// The client's certificate was missing or not accepted.
    ClientCertificate,
    /// The client ended the connection, or did not accept ours.
    Client,
    /// Client and listener have no version or cipher in common, or the client did not keep to the protocol.
    Protocol,
}

// === impl Tls ===

impl Tls {
    /// Compiles what was configured. `before` is what it replaces: sessions go on across the change, unless another set
    /// of clients is let in.
    ///
    /// # Errors
    /// [`TlsError`] says which certificate cannot be used, and why.
    pub fn new(config: &TlsConfig, before: Option<&Self>) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let names = Arc::new(Names::new(&config.certificates, &provider)?);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.map_err(TlsError::Provider)?;
        let builder = match &config.clients {
            ClientCertificates::Ignored => builder.with_no_client_auth(),
            ClientCertificates::Optional(authorities) => {
                builder.with_client_cert_verifier(verifier(authorities, false, &provider)?)
            }
            ClientCertificates::Required(authorities) => {
                builder.with_client_cert_verifier(verifier(authorities, true, &provider)?)
            }
        };
        let mut server = builder.with_cert_resolver(Arc::clone(&names) as _);
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A ticket carries what the client proved: it must not outlive the authorities that it was proved to.
        let tickets = match before.filter(|before| before.clients == config.clients) {
            Some(before) => Arc::clone(&before.tickets),
            // Its keys are replaced every six hours, and the ones before are good for as long again.
            None => aws_lc_rs::Ticketer::new().map_err(TlsError::Provider)?,
        };
        server.ticketer = Arc::clone(&tickets);
        // Tickets suffice: a table of sessions would be state of every client.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self { server: Arc::new(server), names, clients: config.clients.clone(), tickets })
    }

    /// The certificates, with the time at which each ends.
    pub fn certificates(&self) -> impl Iterator<Item = (&str, i64)> {
        self.names.certificates()
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// Whether a connection that was opened for `asked` may carry requests for `host`: some certificate is the best for both
    /// (RFC 9110 section 7.4). Clients that share one connection between hosts do so by the certificate that they saw.
    pub(crate) fn serves(&self, asked: Option<&str>, host: &str) -> bool {
        self.names.share_one(asked, host)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("names", &self.names).finish_non_exhaustive()
    }
}

impl ClientCertificates {
    /// Whether clients can be checked by its authorities.
    ///
    /// # Errors
    /// [`TlsError`] says what is wrong with them.
    pub fn check(&self) -> Result<(), TlsError> {
        match self {
            Self::Ignored => Ok(()),
            Self::Optional(authorities) | Self::Required(authorities) => {
                verifier(authorities, true, &Arc::new(aws_lc_rs::default_provider())).map(drop)
            }
        }
    }
}

fn verifier(
    authorities: &str,
    required: bool,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for it in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
        let it = it.map_err(|source| TlsError::AuthorityPem { source })?;
        roots.add(it).map_err(TlsError::Authority)?;
    }
    if roots.is_empty() {
        return Err(TlsError::NoAuthority);
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(TlsError::Verifier)
}

// === impl TlsHandle ===

impl TlsHandle {
    /// What connections get until it is [swapped](Self::swap).
    #[must_use]
    pub fn new(tls: Tls) -> Self {
        Self(Arc::new(Shared { current: ArcSwap::from_pointee(tls), counts: Counts::default() }))
    }

    /// What new connections get from now on.
    pub fn swap(&self, tls: Tls) {
        self.0.current.store(Arc::new(tls));
    }

    /// What a new connection gets now.
    #[must_use]
    pub fn current(&self) -> Arc<Tls> {
        self.0.current.load_full()
    }

    /// Handshakes that went well.
    #[must_use]
    pub fn handshakes(&self) -> u64 {
        self.0.counts.handshakes.load(Relaxed)
    }

    /// Handshakes that failed, by cause.
    pub fn failures(&self) -> impl Iterator<Item = (Failure, u64)> {
        Failure::ALL.into_iter().zip(&self.0.counts.failures).map(|(cause, count)| (cause, count.load(Relaxed)))
    }

    pub(crate) fn count(&self, result: Result<(), Failure>) {
        let counts = &self.0.counts;
        let count = match result {
            Ok(()) => Some(&counts.handshakes),
            Err(failure) => counts.failures.get(failure as usize),
        };
        count.map(|count| count.fetch_add(1, Relaxed));
    }
}

impl fmt::Debug for TlsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsHandle").field(&self.current()).finish()
    }
}

// === impl Failure ===

impl Failure {
    /// Every cause, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Timeout, Self::Plaintext, Self::ClientCertificate, Self::Client, Self::Protocol];

    /// The label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Plaintext => "plaintext",
            Self::ClientCertificate => "client-certificate",
            Self::Client => "client",
            Self::Protocol => "protocol",
        }
    }
}
