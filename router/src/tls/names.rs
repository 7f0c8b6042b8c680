//! Which certificate is for which host.

use std::{collections::HashMap, fmt, sync::Arc};

use rustls::{
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{Certificate, TlsError, certificate::Usable};

/// Certificates by host: an exact name before a wildcard of one label (RFC 6125 section 6.4.3), before the first certificate.
pub(super) struct Names {
    certificates: Vec<Usable>,
    /// Places of certificates by exact host, and by the suffix of `*.suffix`. Several for one name differ in their keys' kind.
    exact: HashMap<String, Vec<usize>>,
    wildcard: HashMap<String, Vec<usize>>,
}

/// The places of the certificate for everything that no other is for.
const FIRST: &[usize] = &[0];

// === impl Names ===

impl Names {
    pub(super) fn new(certificates: &[Certificate], provider: &CryptoProvider) -> Result<Self, TlsError> {
        let certificates: Vec<Usable> =
            certificates.iter().map(|it| it.usable(provider)).collect::<Result<_, TlsError>>()?;
        let (mut exact, mut wildcard) = (HashMap::<String, Vec<usize>>::new(), HashMap::<String, Vec<usize>>::new());
        for (place, it) in certificates.iter().enumerate() {
            for host in &it.hosts {
                let (map, key) = match host.strip_prefix("*.") {
                    Some(suffix) => (&mut wildcard, suffix),
                    None => (&mut exact, host.as_str()),
                };
                map.entry(key.to_owned()).or_default().push(place);
            }
        }
        Ok(Self { certificates, exact, wildcard })
    }

    pub(super) fn certificates(&self) -> impl Iterator<Item = (&str, i64)> {
        self.certificates.iter().map(|it| (&*it.name, it.not_after))
    }

    /// Whether one certificate is the best for both hosts.
    pub(super) fn share_one(&self, asked: Option<&str>, host: &str) -> bool {
        let shown = self.places(asked);
        self.places(Some(host)).iter().any(|place| shown.contains(place))
    }

    fn places(&self, host: Option<&str>) -> &[usize] {
        let Some(host) = host else { return FIRST };
        let host = host.strip_suffix('.').unwrap_or(host);
        // Clients send lower case, nearly all of them.
        let lower;
        let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            lower = host.to_ascii_lowercase();
            lower.as_str()
        } else {
            host
        };
        let suffix = || host.split_once('.').and_then(|(_, suffix)| self.wildcard.get(suffix));
        self.exact.get(host).or_else(suffix).map_or(FIRST, Vec::as_slice)
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let places = self.places(hello.server_name());
        let mut keys = places.iter().filter_map(|place| Some(&self.certificates.get(*place)?.key));
        let usable = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        // If none fits, rustls says so to the client.
        keys.clone().find(usable).or_else(|| keys.next()).cloned()
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.certificates.iter().map(|it| (&it.name, &it.hosts))).finish()
    }
}

/// A host without its port.
pub(crate) fn sans_port(host: &str) -> &str {
    match host.rfind(':') {
        // The colons of an IPv6 address are inside of its brackets.
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs;

    use super::*;

    fn certificate(name: &str, hosts: &[&str]) -> Certificate {
        let hosts: Vec<String> = hosts.iter().map(|it| (*it).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(hosts).unwrap();
        Certificate { name: name.to_owned(), chain: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    fn names() -> Names {
        let all = [
            certificate("first", &["a.example", "A2.Example"]),
            certificate("wild", &["*.b.example", "b.example"]),
            certificate("exact", &["x.b.example"]),
        ];
        Names::new(&all, &aws_lc_rs::default_provider()).unwrap()
    }

    #[test]
    fn exact_before_wildcard_before_the_first() {
        let names = names();
        for (host, place) in [
            (Some("a.example"), 0),
            (Some("a2.example"), 0),
            (Some("A.EXAMPLE."), 0),
            (Some("b.example"), 1),
            (Some("y.b.example"), 1),
            (Some("x.b.example"), 2),
            (Some("z.y.b.example"), 0),
            (Some("nobody.example"), 0),
            (Some(""), 0),
            (None, 0),
        ] {
            assert_eq!(names.places(host), [place], "{host:?}");
        }
    }

    #[test]
    fn a_connection_is_for_the_hosts_of_one_certificate() {
        let names = names();
        assert!(names.share_one(Some("a.example"), "a2.example"));
        assert!(names.share_one(Some("q.b.example"), "b.example"));
        assert!(names.share_one(None, "unknown.example"));
        assert!(!names.share_one(Some("a.example"), "b.example"));
        assert!(!names.share_one(Some("q.b.example"), "x.b.example"), "a certificate of its own");
        assert!(!names.share_one(None, "b.example"));
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        let provider = aws_lc_rs::default_provider();
        let (a, b) = (certificate("a", &["a"]), certificate("b", &["b"]));
        let error = |it: Certificate| Names::new(&[it], &provider).unwrap_err().to_string();
        assert!(error(Certificate { key: b.key.clone(), ..a.clone() }).starts_with("certificate and key of a cannot"));
        assert!(error(Certificate { key: String::new(), ..a.clone() }).starts_with("the key of a cannot be read"));
        assert!(error(Certificate { chain: "x".into(), ..a.clone() }).starts_with("the certificate of a cannot"));
        assert!(error(Certificate { chain: b.key, ..a }).starts_with("the certificate of a cannot be read"));
        assert!(certificate("c", &["c"]).check().is_ok() && Certificate::default().check().is_err());
    }

    #[test]
    fn ports_are_taken_off() {
        for (host, name) in [("a:1", "a"), ("a", "a"), ("[::1]:443", "[::1]"), ("[::1]", "[::1]"), ("", "")] {
            assert_eq!(sans_port(host), name);
        }
    }
}
