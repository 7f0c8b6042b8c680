//! `HTTPRequestRedirectFilter`: an answer that sends the client elsewhere.

use std::{fmt::Write as _, num::NonZeroU16, str::FromStr};

use http::{
    HeaderValue, Response, StatusCode,
    header::{HOST, LOCATION},
    request::Parts,
    uri::{Authority, PathAndQuery},
};

use super::{FilterError, Hostname, PathModifier};
use crate::{Body, Cause, Error};

/// A redirect. What is `None` stays as the client asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirect {
    /// The scheme to go to.
    pub scheme: Option<Scheme>,
    /// The host to go to.
    pub hostname: Option<Hostname>,
    /// What becomes of the path. The query stays.
    pub path: Option<PathModifier>,
    /// The port to go to. Without one: the scheme's well-known port if the redirect names a scheme, else the listener's.
    pub port: Option<NonZeroU16>,
    /// The response's status.
    pub status: RedirectStatus,
}

/// A scheme of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `http`, port 80.
    Http,
    /// `https`, port 443.
    Https,
}

/// A status that Gateway API lets a redirect have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedirectStatus {
    /// 301.
    MovedPermanently,
    /// 302.
    #[default]
    Found,
    /// 303.
    SeeOther,
    /// 307.
    TemporaryRedirect,
    /// 308.
    PermanentRedirect,
}

// === impl Redirect ===

impl Redirect {
    /// The response to a request that came to a listener on `port`, with or without `tls`.
    ///
    /// # Errors
    /// [`Cause::Malformed`] if neither the redirect nor the request names a host; otherwise as [`PathModifier::apply`].
    pub fn response(
        &self,
        parts: &Parts,
        matched_prefix: Option<&str>,
        tls: bool,
        port: u16,
    ) -> Result<Response<Body>, Error> {
        let location = self.location(parts, matched_prefix, tls, port)?;
        let location = HeaderValue::try_from(location).map_err(|_| {
            Error::new(
                Cause::Malformed,
                "the request's host or path cannot stand in a Location header; percent-encode it",
            )
        })?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status.into();
        response.headers_mut().insert(LOCATION, location);
        Ok(response)
    }

    fn location(&self, parts: &Parts, matched_prefix: Option<&str>, tls: bool, port: u16) -> Result<String, Error> {
        let scheme = self.scheme.unwrap_or(if tls { Scheme::Https } else { Scheme::Http });
        let port = match (self.port, self.scheme) {
            (Some(port), _) => port.get(),
            (None, Some(scheme)) => scheme.port(),
            (None, None) => port,
        };
        let root = PathAndQuery::from_static("/");
        let from = parts.uri.path_and_query().unwrap_or(&root);
        let modified = self.path.as_ref().map(|path| path.target(from, matched_prefix)).transpose()?;
        let target = modified.as_ref().unwrap_or(from).as_str();

        let mut location = String::with_capacity(16 + 64 + target.len());
        location.push_str(scheme.prefix());
        match &self.hostname {
            Some(hostname) => location.push_str(hostname.as_str()),
            None => push_host(&mut location, parts)?,
        }
        // A port that the scheme implies is left out.
        if port != scheme.port() {
            let _never_fails = write!(location, ":{port}");
        }
        // `*` (of OPTIONS) is no path of a URL; the empty path stands for the server itself (RFC 9112 section 3.2.4).
        if target != "*" {
            location.push_str(target);
        }
        Ok(location)
    }
}

/// The request's host without its port: the authority of HTTP/2 (or of an absolute URI), else `Host`.
fn push_host(location: &mut String, parts: &Parts) -> Result<(), Error> {
    let no_host = || Error::new(Cause::Malformed, "the request names no host to redirect to; send a valid Host header");
    if let Some(authority) = parts.uri.authority() {
        location.push_str(authority.host());
        return Ok(());
    }
    let header = parts.headers.get(HOST).ok_or_else(no_host)?;
    let authority = Authority::try_from(header.as_bytes()).map_err(|_| no_host())?;
    if authority.host().is_empty() {
        return Err(no_host());
    }
    location.push_str(authority.host());
    Ok(())
}

// === impl Scheme ===

impl Scheme {
    pub(super) const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Http => "http://",
            Self::Https => "https://",
        }
    }
}

impl FromStr for Scheme {
    type Err = FilterError;

    fn from_str(scheme: &str) -> Result<Self, FilterError> {
        match scheme {
            "http" => Ok(Self::Http),
            "https" => Ok(Self::Https),
            _ => Err(FilterError::Scheme { scheme: scheme.to_owned() }),
        }
    }
}

// === impl RedirectStatus ===

impl TryFrom<u16> for RedirectStatus {
    type Error = FilterError;

    fn try_from(status: u16) -> Result<Self, FilterError> {
        match status {
            301 => Ok(Self::MovedPermanently),
            302 => Ok(Self::Found),
            303 => Ok(Self::SeeOther),
            307 => Ok(Self::TemporaryRedirect),
            308 => Ok(Self::PermanentRedirect),
            _ => Err(FilterError::Status { status }),
        }
    }
}

impl From<RedirectStatus> for StatusCode {
    fn from(status: RedirectStatus) -> Self {
        match status {
            RedirectStatus::MovedPermanently => Self::MOVED_PERMANENTLY,
            RedirectStatus::Found => Self::FOUND,
            RedirectStatus::SeeOther => Self::SEE_OTHER,
            RedirectStatus::TemporaryRedirect => Self::TEMPORARY_REDIRECT,
            RedirectStatus::PermanentRedirect => Self::PERMANENT_REDIRECT,
        }
    }
}
