//! The hostname that a redirect or rewrite names.

use std::{fmt, str::FromStr};

use http::{HeaderValue, uri::Authority};

use super::FilterError;

/// A precise hostname (Gateway API `PreciseHostname`): no wildcard, no port. Lower-cased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hostname {
    authority: Authority,
    header: HeaderValue,
}

// === impl Hostname ===

impl Hostname {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.authority.as_str()
    }

    pub(super) fn authority(&self) -> Authority {
        self.authority.clone()
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.header.clone()
    }
}

impl FromStr for Hostname {
    type Err = FilterError;

    fn from_str(hostname: &str) -> Result<Self, FilterError> {
        let refused = || FilterError::Hostname { hostname: hostname.to_owned() };
        if hostname.len() > 253 || !hostname.split('.').all(is_label) {
            return Err(refused());
        }
        let lower = hostname.to_ascii_lowercase();
        let header = HeaderValue::from_str(&lower).map_err(|_| refused())?;
        let authority = Authority::try_from(lower).map_err(|_| refused())?;
        Ok(Self { authority, header })
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// RFC 1123 section 2.1.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}
