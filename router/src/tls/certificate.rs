//! A certificate with its key, and what is read from it.

use std::{fmt, sync::Arc};

use rustls::{
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

use super::TlsError;

/// A certificate with its key. Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Certificate {
    /// What it is called in errors and metrics, such as `namespace/secret`.
    pub name: String,
    /// PEM: the server's own certificate first, then those up to the authority.
    pub chain: String,
    /// PEM.
    pub key: String,
}

/// A certificate that can be shown.
pub(super) struct Usable {
    pub(super) name: String,
    pub(super) key: Arc<CertifiedKey>,
    /// DNS names in lower case, some of them `*.suffix`.
    pub(super) hosts: Vec<String>,
    /// When it ends, in seconds since the epoch.
    pub(super) not_after: i64,
}

// === impl Certificate ===

impl Certificate {
    /// Whether it can be shown: both are there, and belong together.
    ///
    /// # Errors
    /// [`TlsError`] says what is wrong with it.
    pub fn check(&self) -> Result<(), TlsError> {
        self.usable(&aws_lc_rs::default_provider()).map(drop)
    }

    pub(super) fn usable(&self, provider: &CryptoProvider) -> Result<Usable, TlsError> {
        let pem = |what| move |source| TlsError::Pem { name: self.name.clone(), what, source };
        let chain = CertificateDer::pem_slice_iter(self.chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(pem("certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(pem("key"))?;
        let unreadable = |reason: String| TlsError::Certificate { name: self.name.clone(), reason };
        let own = chain.first().ok_or_else(|| unreadable("there is no CERTIFICATE in it".to_owned()))?;
        let (_, parsed) = parse_x509_certificate(own).map_err(|error| unreadable(error.to_string()))?;
        let not_after = parsed.validity().not_after.timestamp();
        let names = parsed.subject_alternative_name().map_err(|error| unreadable(error.to_string()))?;
        let hosts = names.iter().flat_map(|it| &it.value.general_names).filter_map(|it| match it {
            GeneralName::DNSName(host) => Some(host.to_ascii_lowercase()),
            _ => None,
        });
        let hosts = hosts.collect();
        let key = CertifiedKey::from_der(chain, key, provider)
            .map_err(|source| TlsError::Pair { name: self.name.clone(), source })?;
        Ok(Usable { name: self.name.clone(), key: Arc::new(key), hosts, not_after })
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("name", &self.name).finish_non_exhaustive()
    }
}
