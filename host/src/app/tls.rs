//! From a snapshot's certificates to a listener's TLS.

use penstock_api::snapshot::ListenerTls;
use penstock_router::tls::{Certificate, ClientCertificates, Tls, TlsConfig, TlsError, TlsHandle};

use super::status::{CertificateStatus, TlsStatus};

/// A listener's TLS, and why what it was told last is not what it shows.
#[derive(Debug)]
pub(super) struct Secured {
    pub(super) handle: TlsHandle,
    pub(super) error: Option<String>,
}

// === impl Secured ===

impl Secured {
    /// The TLS of a new listener. What cannot be used leaves it without: then every handshake fails, and no request is taken
    /// unencrypted.
    pub(super) fn new(spec: &ListenerTls) -> Result<Self, TlsError> {
        match Tls::new(&config(spec), None) {
            Ok(tls) => Ok(Self { handle: TlsHandle::new(tls), error: None }),
            Err(error) => {
                let nothing = Tls::new(&TlsConfig::default(), None)?;
                Ok(Self { handle: TlsHandle::new(nothing), error: Some(error.to_string()) })
            }
        }
    }

    /// What new connections get from now on. What cannot be used changes nothing.
    pub(super) fn update(&mut self, spec: &ListenerTls) {
        match Tls::new(&config(spec), Some(&self.handle.current())) {
            Ok(tls) => {
                self.handle.swap(tls);
                self.error = None;
            }
            Err(error) => self.error = Some(format!("{error}; what was shown before is shown on")),
        }
    }

    pub(super) fn status(&self) -> TlsStatus {
        let current = self.handle.current();
        let certificates = current.certificates();
        TlsStatus {
            certificates: certificates
                .map(|(name, not_after)| CertificateStatus { name: name.to_owned(), not_after })
                .collect(),
            handshakes: self.handle.handshakes(),
            failures: self.handle.failures().map(|(cause, count)| (cause.name().to_owned(), count)).collect(),
        }
    }
}

fn config(spec: &ListenerTls) -> TlsConfig {
    let certificates = spec.certificates.iter().map(|it| Certificate {
        name: it.name.clone(),
        chain: it.chain.clone(),
        key: it.key.clone(),
    });
    let clients = match (&spec.client_authorities, spec.clients_required) {
        (None, _) => ClientCertificates::Ignored,
        (Some(authorities), true) => ClientCertificates::Required(authorities.clone()),
        (Some(authorities), false) => ClientCertificates::Optional(authorities.clone()),
    };
    TlsConfig { certificates: certificates.collect(), clients }
}
