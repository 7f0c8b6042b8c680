//! Why TLS cannot be set up, in sentences.

use thiserror::Error;

/// Why TLS cannot be set up. No text holds a key.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The text is no PEM, or not of the right kind.
    #[error("the {what} of {name} cannot be read: {source}")]
    Pem {
        /// Which certificate.
        name: String,
        /// `certificate` or `key`.
        what: &'static str,
        /// What the parser says.
        source: rustls::pki_types::pem::Error,
    },
    /// It is PEM, and no certificate.
    #[error("the certificate of {name} cannot be read: {reason}")]
    Certificate {
        /// Which certificate.
        name: String,
        /// What the parser says.
        reason: String,
    },
    /// They are no pair, or of a kind that is not supported.
    #[error("certificate and key of {name} cannot be used together: {source}")]
    Pair {
        /// Which certificate.
        name: String,
        /// What is wrong.
        source: rustls::Error,
    },
    /// The authorities of clients are no PEM.
    #[error("the authorities of client certificates cannot be read: {source}")]
    AuthorityPem {
        /// What the parser says.
        source: rustls::pki_types::pem::Error,
    },
    /// One of the authorities cannot be used.
    #[error("an authority of client certificates cannot be used: {0}")]
    Authority(rustls::Error),
    /// There is none.
    #[error("there is no authority for client certificates: nobody could connect")]
    NoAuthority,
    /// The authorities cannot be used together.
    #[error("the authorities of client certificates cannot be used: {0}")]
    Verifier(rustls::client::VerifierBuilderError),
    /// The cryptography library refuses.
    #[error("TLS cannot be set up: {0}")]
    Provider(rustls::Error),
}
