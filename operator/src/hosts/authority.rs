//! The operator's own certificate authority and serving certificate: made, and renewed in time. Pure but for the keys:
//! what there is and what time it is go in, what there should be comes out.
//!
//! An authority is never used before every host knows it: a successor is published in the bundle first and signs only
//! days later, and the old one stays in the bundle until it expires. So neither renewal drops a stream.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use penstock_api::control::peer_name;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use sha2::{Digest, Sha256};
use thiserror::Error;
use x509_parser::{
    pem::Pem,
    prelude::{GeneralName, X509Certificate},
};

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// How long an authority lasts. It is renewed with a fifth of it left.
const AUTHORITY_DAYS: i32 = 3650;
const AUTHORITY_LEFT_DAYS: i32 = AUTHORITY_DAYS / 5;
/// How long a new authority is only published: kubelets bring a ConfigMap's change into pods within minutes.
const PUBLISHED_DAYS: i32 = 2;
/// How long a serving certificate lasts. It is renewed with a third of it left.
const SERVING_DAYS: i32 = 90;
const SERVING_LEFT_DAYS: i32 = SERVING_DAYS / 3;
/// How long a host's certificate lasts. Another one is sent each day.
const HOST_DAYS: i32 = 7;
/// Certificates count from the day before, for clocks that are behind.
const EARLY_DAYS: i32 = 1;

/// The names under which it is kept: those of a TLS Secret, so that cert-manager can take over, and one of our own.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const BUNDLE: &str = "ca.crt";
const AUTHORITIES: &str = "authorities.pem";

/// An authority: certificate and key, PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Authority {
    /// What hosts trust.
    pub certificate: String,
    /// What signs.
    pub key: String,
}

/// All that there is, PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Material {
    /// The oldest first. Several while one takes over from another.
    pub authorities: Vec<Authority>,
    /// The serving certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// What a look at the material came to.
#[derive(Clone)]
pub struct Renewal {
    /// What there should be.
    pub material: Material,
    /// It is not what there was: keep it, publish the bundle, and serve it.
    pub changed: bool,
}

/// Why there is no certificate.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// What was kept cannot be read.
    #[error(
        "the kept {what} of the control stream cannot be read ({reason}): delete the Secret, and a new one is made"
    )]
    Unreadable {
        /// Which part.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The names are not valid, or the machine has no randomness.
    #[error("a certificate for the control stream cannot be made: {0}")]
    Make(#[from] rcgen::Error),
}

impl AuthorityError {
    pub(super) fn unreadable(what: &'static str, reason: &impl ToString) -> Self {
        Self::Unreadable { what, reason: reason.to_string() }
    }
}

// === impl Material ===

impl Material {
    /// What there should be at `now`, given what there is: at least one authority, and a serving certificate for `names`
    /// (DNS names and addresses). To be asked once a day or so, and whenever the names change.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn renew(existing: Option<&Self>, names: &[String], now: Timestamp) -> Result<Renewal, AuthorityError> {
        let mut authorities = Vec::new();
        for authority in existing.into_iter().flat_map(|it| &it.authorities) {
            let facts = Facts::of(&authority.certificate)?;
            if facts.until > now {
                authorities.push((authority.clone(), facts));
            }
        }
        if authorities.last().is_none_or(|(_, newest)| newest.until <= now + days(AUTHORITY_LEFT_DAYS)) {
            let authority = Authority::make(now)?;
            let facts = Facts::of(&authority.certificate)?;
            authorities.push((authority, facts));
        }
        let known = |facts: &Facts| facts.from + days(EARLY_DAYS + PUBLISHED_DAYS) <= now;
        let signer = authorities.iter().rev().find(|(_, facts)| known(facts)).or_else(|| authorities.first());
        let Some((signer, signer_facts)) = signer else {
            return Err(AuthorityError::unreadable("authorities", &"there are none"));
        };
        let wanted = sorted(names);
        let kept = existing.and_then(|it| {
            let facts = Facts::of(&it.certificate).ok()?;
            let fits = facts.issuer == signer_facts.subject
                && facts.until > now + days(SERVING_LEFT_DAYS)
                && facts.names == wanted;
            fits.then(|| (it.certificate.clone(), it.key.clone()))
        });
        let (certificate, key) = match kept {
            Some(kept) => kept,
            None => signer.sign(&wanted, now)?,
        };
        let authorities = authorities.iter().map(|(authority, _)| authority.clone()).collect();
        let material = Self { authorities, certificate, key };
        let changed = existing != Some(&material);
        Ok(Renewal { material, changed })
    }

    /// A certificate for a host's key: the chain, PEM. The request (PKCS #10, DER) proves that the host has the key; whatever
    /// else it asks for is passed over.
    ///
    /// # Errors
    /// When the request is none, or its signature is not by its key.
    pub fn sign_host(&self, request: &[u8], host_id: &str, now: Timestamp) -> Result<String, AuthorityError> {
        // The one that signs the serving certificate is known to all.
        let issuer = Facts::of(&self.certificate)?.issuer;
        let signs = |it: &&Authority| Facts::of(&it.certificate).is_ok_and(|facts| facts.subject == issuer);
        let signer = self.authorities.iter().find(signs);
        let signer = signer.ok_or_else(|| AuthorityError::unreadable("authorities", &"none of them is in use"))?;
        let mut request = CertificateSigningRequestParams::from_der(&request.into())?;
        let mut params = CertificateParams::new([peer_name(host_id)])?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Penstock host");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        last(&mut params, now, HOST_DAYS);
        request.params = params;
        Ok(request.signed_by(&signer.issuer()?)?.pem())
    }

    /// What hosts trust: to be published.
    #[must_use]
    pub fn bundle(&self) -> String {
        self.authorities.iter().map(|authority| authority.certificate.as_str()).collect()
    }

    /// As a Secret's `stringData`.
    #[must_use]
    pub fn to_data(&self) -> BTreeMap<String, String> {
        let authorities = self.authorities.iter().flat_map(|it| [it.certificate.as_str(), it.key.as_str()]).collect();
        [
            (CERTIFICATE, self.certificate.clone()),
            (KEY, self.key.clone()),
            (BUNDLE, self.bundle()),
            (AUTHORITIES, authorities),
        ]
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text))
        .collect()
    }

    /// From what [`Material::to_data`] made.
    ///
    /// # Errors
    /// When a part is missing or is no PEM.
    pub fn from_data(data: &BTreeMap<String, String>) -> Result<Self, AuthorityError> {
        let part = |name: &'static str| {
            data.get(name).cloned().ok_or_else(|| AuthorityError::unreadable(name, &"it is not there"))
        };
        let mut authorities: Vec<Authority> = Vec::new();
        for block in blocks(&part(AUTHORITIES)?) {
            match authorities.last_mut() {
                Some(last) if block.contains("PRIVATE KEY-----") && last.key.is_empty() => last.key = block,
                _ => authorities.push(Authority { certificate: block, key: String::new() }),
            }
        }
        if authorities.iter().any(|it| it.key.is_empty() || !it.certificate.contains("CERTIFICATE-----")) {
            return Err(AuthorityError::unreadable(AUTHORITIES, &"certificates and keys do not alternate"));
        }
        Ok(Self { authorities, certificate: part(CERTIFICATE)?, key: part(KEY)? })
    }
}

/// The PEM blocks of a text, each with its first and last line.
fn blocks(text: &str) -> Vec<String> {
    let (mut blocks, mut block) = (Vec::new(), String::new());
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        block.push_str(line);
        block.push('\n');
        if line.starts_with("-----END ") {
            blocks.push(std::mem::take(&mut block));
        }
    }
    blocks
}

// === impl Authority ===

impl Authority {
    fn make(now: Timestamp) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = authority_params(&key);
        last(&mut params, now, AUTHORITY_DAYS);
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { certificate, key: key.serialize_pem() })
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, AuthorityError> {
        let key =
            KeyPair::from_pem(&self.key).map_err(|error| AuthorityError::unreadable("authority's key", &error))?;
        Ok(Issuer::new(authority_params(&key), key))
    }

    /// A serving certificate and its key.
    fn sign(&self, names: &[String], now: Timestamp) -> Result<(String, String), AuthorityError> {
        let issuer = self.issuer()?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Penstock control stream");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        last(&mut params, now, SERVING_DAYS);
        let certificate = params.signed_by(&key, &issuer)?.pem();
        Ok((certificate, key.serialize_pem()))
    }
}

/// All of an authority's certificate but its dates. Its name follows from its key, so that two have two names.
fn authority_params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    let fingerprint = hex::encode(&Sha256::digest(key.public_key_raw())[..4]);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Penstock control authority {fingerprint}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Valid from the day before `now` until so many days after, both at midnight.
fn last(params: &mut CertificateParams, now: Timestamp, lasts: i32) {
    let midnight = |at: Timestamp| {
        let date = at.to_zoned(TimeZone::UTC).date();
        let (month, day) = (date.month().unsigned_abs(), date.day().unsigned_abs());
        date_time_ymd(date.year().into(), month, day)
    };
    params.not_before = midnight(now - days(EARLY_DAYS));
    params.not_after = midnight(now + days(lasts));
}

fn days(count: i32) -> SignedDuration {
    DAY * count
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    names
}

/// What matters of a certificate.
struct Facts {
    subject: String,
    issuer: String,
    from: Timestamp,
    until: Timestamp,
    names: Vec<String>,
}

impl Facts {
    fn of(pem: &str) -> Result<Self, AuthorityError> {
        let unreadable = |reason: String| AuthorityError::unreadable("certificate", &reason);
        let pem = Pem::iter_from_buffer(pem.as_bytes()).next();
        let pem = pem.ok_or_else(|| unreadable("it is no PEM".to_owned()))?;
        let pem = pem.map_err(|error| unreadable(error.to_string()))?;
        let certificate = pem.parse_x509().map_err(|error| unreadable(error.to_string()))?;
        let second = |time: i64| Timestamp::from_second(time).map_err(|error| unreadable(error.to_string()));
        Ok(Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            from: second(certificate.validity().not_before.timestamp())?,
            until: second(certificate.validity().not_after.timestamp())?,
            names: sorted(&names(&certificate)),
        })
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return Vec::new() };
    let alternatives = alternatives.value.general_names.iter();
    alternatives
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|it| std::net::Ipv4Addr::from(it).to_string());
    let v6 = || <[u8; 16]>::try_from(bytes).map(|it| std::net::Ipv6Addr::from(it).to_string());
    v4.or_else(|_| v6()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn names() -> Vec<String> {
        ["penstock-operator.penstock-system.svc", "127.0.0.1", "::1"].map(str::to_owned).to_vec()
    }

    fn renew(existing: &Material, now: Timestamp) -> Renewal {
        Material::renew(Some(existing), &names(), now).unwrap()
    }

    #[test]
    fn what_is_made_stays_until_it_is_due() {
        let start = at("2026-11-23T12:00:00Z");
        let first = Material::renew(None, &names(), start).unwrap();
        assert!(first.changed);
        let read = Material::from_data(&first.material.to_data()).unwrap();
        assert!(read == first.material);
        for later in [0, 1, 30, 59] {
            assert!(!renew(&read, start + days(later)).changed, "{later} days later");
        }
        let renewed = renew(&read, start + days(60));
        assert!(renewed.changed);
        assert!(renewed.material.authorities == read.authorities);
        assert!(renewed.material.certificate != read.certificate);
    }

    #[test]
    fn other_names_are_another_certificate_of_the_same_authority() {
        let start = at("2026-11-23T12:00:00Z");
        let first = Material::renew(None, &names(), start).unwrap().material;
        let other = Material::renew(Some(&first), &["other.example".to_owned()], start).unwrap();
        assert!(other.changed);
        assert!(other.material.authorities == first.authorities);
        let mut turned = names();
        turned.reverse();
        assert!(!Material::renew(Some(&first), &turned, start).unwrap().changed, "their order does not matter");
    }

    #[test]
    fn a_successor_is_published_before_it_signs_and_the_old_one_stays_until_it_expires() {
        let start = at("2026-11-23T12:00:00Z");
        let mut material = Material::renew(None, &names(), start).unwrap().material;
        let old = material.authorities[0].clone();
        let (mut published, mut signed, mut gone) = (None, None, None);
        let issuer = |material: &Material| Facts::of(&material.certificate).unwrap().issuer;
        let first_issuer = issuer(&material);
        for day in 1..=AUTHORITY_DAYS + 1 {
            material = renew(&material, start + days(day)).material;
            if published.is_none() && material.authorities.len() == 2 {
                published = Some(day);
                assert_eq!(issuer(&material), first_issuer, "it does not sign yet");
                assert!(material.bundle().contains(&old.certificate));
                assert!(material.bundle().contains(&material.authorities[1].certificate));
            }
            if signed.is_none() && issuer(&material) != first_issuer {
                signed = Some(day);
            }
            if gone.is_none() && !material.authorities.contains(&old) {
                gone = Some(day);
            }
        }
        let (published, signed, gone) = (published.unwrap(), signed.unwrap(), gone.unwrap());
        assert_eq!(published, AUTHORITY_DAYS - AUTHORITY_LEFT_DAYS);
        assert!((PUBLISHED_DAYS..=PUBLISHED_DAYS + 1).contains(&(signed - published)), "{published} {signed}");
        assert!(gone - signed > SERVING_DAYS, "{signed} {gone}");
    }

    #[test]
    fn what_cannot_be_read_says_what_to_do() {
        let mut data = Material::renew(None, &names(), at("2026-11-23T12:00:00Z")).unwrap().material.to_data();
        data.insert(AUTHORITIES.into(), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into());
        let error = Material::from_data(&data).err().unwrap().to_string();
        assert!(error.contains("authorities.pem") && error.contains("delete the Secret"), "{error}");
        data.remove(KEY);
        assert!(Material::from_data(&data).is_err());
    }
}
