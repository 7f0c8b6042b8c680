//! Who a client is, by its certificate, and how that is told to a backend.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

/// Envoy's name and form, which frameworks know: `Hash=...;Subject="...";URI=...;DNS=...`.
static CLIENT_CERTIFICATE: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// Names beyond it are left out: a header has its limits on its way.
const NAMES: usize = 16;

/// A client that has shown a certificate which one of the listener's authorities vouches for.
#[derive(Debug)]
pub(crate) struct Identity(HeaderValue);

// === impl Identity ===

impl Identity {
    /// None if the certificate cannot be read, which the handshake has ruled out.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = parse_x509_certificate(certificate).ok()?;
        let mut text = String::from("Hash=");
        for byte in Sha256::digest(certificate) {
            let _ = write!(text, "{byte:02x}");
        }
        text.push_str(";Subject=\"");
        quoted(&mut text, &parsed.subject().to_string());
        text.push('"');
        let names = parsed.subject_alternative_name().ok().flatten();
        for name in names.iter().flat_map(|it| &it.value.general_names).take(NAMES) {
            let (key, value) = match name {
                GeneralName::URI(uri) => ("URI", uri),
                GeneralName::DNSName(host) => ("DNS", host),
                _ => continue,
            };
            let _ = write!(text, ";{key}=\"");
            quoted(&mut text, value);
            text.push('"');
        }
        HeaderValue::try_from(text).ok().map(Self)
    }

    /// Whether a header is the one that tells of it.
    pub(crate) fn is_header(name: &HeaderName) -> bool {
        *name == CLIENT_CERTIFICATE
    }

    /// Says it to the backend; whatever the client itself has said is taken away.
    pub(crate) fn say(identity: Option<&Self>, headers: &mut HeaderMap) {
        match identity {
            Some(Self(value)) => drop(headers.insert(&CLIENT_CERTIFICATE, value.clone())),
            None => drop(headers.remove(&CLIENT_CERTIFICATE)),
        }
    }
}

/// Printable ASCII, with quotes and backslashes escaped: nothing in a certificate can end the value or the header.
fn quoted(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            ' '..='~' => text.push(character),
            _ => text.push('?'),
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn a_client_is_told_by_what_its_certificate_says() {
        let mut params = CertificateParams::new(vec!["shop.example".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "a \"shop\"\r\nX: y");
        params.subject_alt_names.push(SanType::URI("spiffe://cluster.local/ns/shop/sa/web".try_into().unwrap()));
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let Identity(value) = Identity::of(made.der()).unwrap();
        let text = value.to_str().unwrap();
        let (hash, rest) = text.strip_prefix("Hash=").unwrap().split_once(';').unwrap();
        assert_eq!(hash.len(), 64);
        assert!(rest.starts_with("Subject=\""), "{rest}");
        assert!(rest.contains("a \\\"shop\\\"??X: y"), "{rest}");
        assert!(rest.ends_with(";DNS=\"shop.example\";URI=\"spiffe://cluster.local/ns/shop/sa/web\""), "{rest}");
        assert!(Identity::of(&CertificateDer::from(vec![1, 2, 3])).is_none());
    }
}
