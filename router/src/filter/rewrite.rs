//! `HTTPURLRewriteFilter`: another host and path for the request that the backend sees.

use http::{Uri, header::HOST, request::Parts, uri::PathAndQuery};

use super::{Hostname, PathModifier};
use crate::{Cause, Error};

/// Replaces the host, the path, or both. The query stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UrlRewrite {
    /// In place of the request's host (and port).
    pub hostname: Option<Hostname>,
    /// What becomes of the path.
    pub path: Option<PathModifier>,
}

// === impl UrlRewrite ===

impl UrlRewrite {
    /// Changes the request's head.
    ///
    /// The host of a request stands in `Host` (HTTP/1.1), in the URI's authority (HTTP/2) or in both. Each place that has
    /// one gets the new one, so that no reader finds the old; a request with neither gets `Host`.
    ///
    /// # Errors
    /// As [`PathModifier::apply`].
    pub fn apply(&self, parts: &mut Parts, matched_prefix: Option<&str>) -> Result<(), Error> {
        let target = match &self.path {
            // `OPTIONS *` asks about the server and has no path to rewrite (RFC 9110 section 9.3.7).
            Some(modifier) if parts.uri.path() != "*" => Some(self.target(modifier, &parts.uri, matched_prefix)?),
            _ => None,
        };
        if target.is_none() && self.hostname.is_none() {
            return Ok(());
        }
        let mut uri = std::mem::take(&mut parts.uri).into_parts();
        if let Some(target) = target {
            uri.path_and_query = Some(target);
        }
        if let Some(hostname) = &self.hostname {
            let in_authority = uri.authority.is_some();
            if in_authority {
                uri.authority = Some(hostname.authority());
            }
            if !in_authority || parts.headers.contains_key(HOST) {
                parts.headers.insert(HOST, hostname.header());
            }
        }
        parts.uri = Uri::from_parts(uri).map_err(|error| {
            Error::new(Cause::Internal, format!("the rewritten URI is not one ({error}); report this as a bug"))
        })?;
        Ok(())
    }

    fn target(&self, modifier: &PathModifier, uri: &Uri, matched_prefix: Option<&str>) -> Result<PathAndQuery, Error> {
        let root = PathAndQuery::from_static("/");
        modifier.target(uri.path_and_query().unwrap_or(&root), matched_prefix)
    }
}
