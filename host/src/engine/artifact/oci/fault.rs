//! What a registry's failure means: one sentence for people, and whether to try again.

use std::{error::Error as StdError, io};

use oci_client::errors::{DigestError, OciDistributionError, OciErrorCode};

use super::{super::ArtifactError, Pull};

/// A failed attempt.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: ArtifactError,
    /// Whether the same request may succeed a moment later.
    pub(super) transient: bool,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Manifest,
    Layer,
}

// === impl Fault ===

impl Fault {
    pub(super) fn lasting(error: ArtifactError) -> Self {
        Self { error, transient: false }
    }

    /// No answer in time.
    pub(super) fn timeout(pull: &Pull<'_>, seconds: u64) -> Self {
        Self { error: pull.unreachable(format!("no answer within {seconds} s")), transient: true }
    }

    /// Reads the client's error.
    pub(super) fn of(pull: &Pull<'_>, asked: Asked, error: OciDistributionError) -> Self {
        use OciDistributionError as E;
        match error {
            E::RequestError(error) => {
                // Without the address: it may be a signed one.
                let timeout = error.is_timeout();
                Self::of_transport(pull, &error.without_url(), timeout)
            }
            E::IoError(error) => Self::of_stream(pull, &error),
            E::UnauthorizedError { .. } | E::AuthenticationFailure(_) => Self::lasting(pull.unauthorized()),
            E::RegistryError { envelope, .. } => match envelope.errors.first() {
                Some(first) => Self::of_code(pull, asked, &first.code, &first.message),
                None => Self::lasting(pull.fault("an error without a reason".to_owned())),
            },
            E::ServerError { code, message, .. } => Self::of_status(pull, asked, code, &message),
            E::DigestError(DigestError::VerificationError { expected, actual }) => {
                Self::lasting(mismatch(pull, asked, &expected, &actual))
            }
            E::RegistryTokenDecodeError(_) => {
                Self::lasting(pull.fault("its token service answered something else than a token".to_owned()))
            }
            other => Self::lasting(pull.fault(pull.scrub(&other.to_string()))),
        }
    }

    /// A body that broke off, or was not what its digest says.
    fn of_stream(pull: &Pull<'_>, error: &io::Error) -> Self {
        let inner = error.get_ref();
        if let Some(DigestError::VerificationError { expected, actual }) = inner.and_then(|e| e.downcast_ref()) {
            return Self::lasting(mismatch(pull, Asked::Layer, expected, actual));
        }
        Self {
            error: pull.unreachable(format!("the transfer broke off: {}", pull.scrub(&root_cause(error)))),
            transient: true,
        }
    }

    fn of_transport(pull: &Pull<'_>, error: &(dyn StdError + 'static), timeout: bool) -> Self {
        if let Some(reason) = tls(error) {
            return Self::lasting(pull.tls(reason));
        }
        let reason = if timeout { "it does not answer in time".to_owned() } else { pull.scrub(&root_cause(error)) };
        Self { error: pull.unreachable(reason), transient: true }
    }

    fn of_code(pull: &Pull<'_>, asked: Asked, code: &OciErrorCode, message: &str) -> Self {
        use OciErrorCode as C;
        match code {
            C::ManifestUnknown | C::NameUnknown | C::NotFound | C::BlobUnknown | C::ManifestBlobUnknown => {
                Self::of_status(pull, asked, 404, message)
            }
            C::Unauthorized => Self::of_status(pull, asked, 401, message),
            C::Denied => Self::of_status(pull, asked, 403, message),
            C::Toomanyrequests => Self::of_status(pull, asked, 429, message),
            _ => Self::lasting(pull.fault(format!("it answers {}", pull.excerpt(message)))),
        }
    }

    fn of_status(pull: &Pull<'_>, asked: Asked, status: u16, message: &str) -> Self {
        match (status, asked) {
            (401, _) => Self::lasting(pull.unauthorized()),
            (403, _) => Self::lasting(pull.forbidden()),
            (404, Asked::Manifest) => Self::lasting(pull.not_found()),
            (404, Asked::Layer) => Self::lasting(
                pull.fault("its manifest is there, but not the layer that it names; push it again".to_owned()),
            ),
            (429, _) => Self { error: pull.fault("it limits the rate of pulls (429)".to_owned()), transient: true },
            (500.., _) => {
                Self { error: pull.fault(format!("it answers {status} {}", pull.excerpt(message))), transient: true }
            }
            _ => Self::lasting(pull.fault(format!("it answers {status} {}", pull.excerpt(message)))),
        }
    }
}

fn mismatch(pull: &Pull<'_>, asked: Asked, expected: &str, actual: &str) -> ArtifactError {
    let (Ok(expected), Ok(actual)) = (expected.parse(), actual.parse()) else {
        return pull.fault(format!("it gave {actual} for {expected}"));
    };
    let what = if asked == Asked::Manifest { "manifest" } else { "layer" };
    ArtifactError::mismatch(pull.image.to_owned(), expected, actual, what)
}

/// The chain of an error's causes. Those inside an `io::Error` are no sources of it, but are meant all the same.
fn chain<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    fn cause<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e (dyn StdError + 'static)> {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    }
    std::iter::successors(Some(error), |error| cause(*error))
}

/// What TLS found wrong, if it was TLS.
fn tls(error: &(dyn StdError + 'static)) -> Option<String> {
    let found = chain(error).find_map(|error| error.downcast_ref::<rustls::Error>())?;
    Some(match found {
        rustls::Error::InvalidMessage(_) => "it does not speak TLS on this port".to_owned(),
        rustls::Error::InvalidCertificate(_) => format!("its certificate is not trusted ({found})"),
        other => other.to_string(),
    })
}

/// The last cause, which says most: `Connection refused (os error 111)`.
fn root_cause(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map_or_else(String::new, ToString::to_string)
}
