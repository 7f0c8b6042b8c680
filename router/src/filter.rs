//! Filters of a rule or of a backend reference: what happens to a request's and a response's head. Pure functions.
//!
//! The meaning is that of Gateway API v1's `HTTPRouteFilter` (`apis/v1/httproute_types.go`) for `RequestHeaderModifier`,
//! `ResponseHeaderModifier`, `RequestRedirect`, `URLRewrite` and `CORS`. Values are checked when they are made, so that applying
//! them cannot meet a bad one.
//!
//! The parts know nothing of route tables: what may replace a matched prefix takes it as `matched_prefix: Option<&str>`, which is
//! `None` when an exact path or a regular expression matched. [`Filters`] takes what the table says.

mod cors;
mod error;
mod header;
mod hostname;
mod path;
mod redirect;
mod rewrite;

use http::{HeaderMap, Response, request::Parts};

pub use self::{
    cors::{Cors, CorsAnswer, CorsConfig, OriginPattern},
    error::FilterError,
    header::HeaderModifier,
    hostname::Hostname,
    path::{PathModifier, Replacement},
    redirect::{Redirect, RedirectStatus, Scheme},
    rewrite::UrlRewrite,
};
use crate::{Body, Error, route::Matched};

/// All filters of one rule or of one backend reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// Changes the request's headers.
    pub request: Option<HeaderModifier>,
    /// Changes the response's headers.
    pub response: Option<HeaderModifier>,
    /// Changes host and path of the request that the backend sees.
    pub rewrite: Option<UrlRewrite>,
    /// Answers with a redirect instead of calling a backend.
    pub redirect: Option<Redirect>,
    /// Answers preflights, and says who may read responses.
    pub cors: Option<Cors>,
}

// === impl Filters ===

impl Filters {
    /// Itself, unless there is nothing to do.
    #[must_use]
    pub fn boxed(self) -> Option<Box<Self>> {
        (!self.is_empty()).then(|| Box::new(self))
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.request.is_none()
            && self.response.is_none()
            && self.rewrite.is_none()
            && self.redirect.is_none()
            && self.cors.is_none()
    }

    /// Checks what no filter can see alone. `prefix_only`: every match of the rule matches by path prefix (which a rule
    /// without matches does).
    ///
    /// # Errors
    /// [`FilterError::RewriteAndRedirect`], and [`FilterError::PrefixWithoutMatch`] if a prefix shall be replaced that
    /// some match does not have. (The CRD of Gateway API admits only one match then; with several the one that matched counts.)
    pub fn check(&self, prefix_only: bool) -> Result<(), FilterError> {
        if self.rewrite.is_some() && self.redirect.is_some() {
            return Err(FilterError::RewriteAndRedirect);
        }
        let rewrite = self.rewrite.as_ref().and_then(|rewrite| rewrite.path.as_ref());
        let redirect = self.redirect.as_ref().and_then(|redirect| redirect.path.as_ref());
        match rewrite.or(redirect) {
            Some(PathModifier::Prefix(_)) if !prefix_only => Err(FilterError::PrefixWithoutMatch),
            _ => Ok(()),
        }
    }

    /// [`check`](Self::check) for a backend reference's filters, under those of its rule.
    ///
    /// # Errors
    /// As [`check`](Self::check), and [`FilterError::UrlTwice`] if both the rule and the backend reference redirect or
    /// rewrite: the prefix that matched would be gone when the second looks for it.
    pub fn check_under(&self, rule: &Self, prefix_only: bool) -> Result<(), FilterError> {
        self.check(prefix_only)?;
        if self.changes_url() && rule.changes_url() { Err(FilterError::UrlTwice) } else { Ok(()) }
    }

    const fn changes_url(&self) -> bool {
        self.rewrite.is_some() || self.redirect.is_some()
    }

    /// Changes the request's head: its headers, then its host and path. A redirect is not looked at.
    ///
    /// # Errors
    /// [`Cause::HeadersTooLarge`](crate::Cause::HeadersTooLarge) if the header map is full, and
    /// [`Cause::Internal`](crate::Cause::Internal) if the path does not begin with the prefix that `matched` names.
    pub fn apply_request(&self, parts: &mut Parts, matched: &Matched) -> Result<(), Error> {
        if let Some(modifier) = &self.request {
            modifier.apply(&mut parts.headers)?;
        }
        match &self.rewrite {
            Some(rewrite) => rewrite.apply(parts, prefix(matched)),
            None => Ok(()),
        }
    }

    /// Changes the response's headers. What does not fit into a full header map is left out.
    pub fn apply_response(&self, headers: &mut HeaderMap) {
        if let Some(modifier) = &self.response {
            // A response of 24,000 headers is the backend's own doing and goes on as it is.
            let _full = modifier.apply(headers);
        }
    }

    /// The redirect to answer with, if there is one. `tls` and `port` describe the listener as clients reach it.
    ///
    /// # Errors
    /// As [`Redirect::response`].
    #[must_use]
    pub fn redirect(
        &self,
        parts: &Parts,
        matched: &Matched,
        tls: bool,
        port: u16,
    ) -> Option<Result<Response<Body>, Error>> {
        self.redirect.as_ref().map(|redirect| redirect.response(parts, prefix(matched), tls, port))
    }
}

fn prefix(matched: &Matched) -> Option<&str> {
    match matched {
        Matched::Prefix(prefix) => Some(prefix),
        Matched::Exact | Matched::Regex => None,
    }
}
