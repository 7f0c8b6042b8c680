//! What a rule does to traffic beyond routing it: how much it takes, and how.
//!
//! Rules without a policy pay nothing for it. What is counted of a rule is kept by the rule's name and outlives its tables.

mod compress;
mod concurrency;
mod outlier;
mod rate;
mod size;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Response, header::ACCEPT_ENCODING};

pub use self::{
    compress::Compression,
    concurrency::{Concurrencies, Concurrency},
    outlier::{HealthStatus, Healths, OutlierConfig, Outliers},
    rate::{Rate, RateKey, RateLimiter, RateLimiters},
};
use crate::{Body, Error};

/// What one rule does to its traffic.
#[derive(Debug, Default)]
pub struct Policy {
    /// How many requests a client may send.
    pub rate: Option<Arc<RateLimiter>>,
    /// How many requests a client may have at once.
    pub concurrency: Option<Arc<Concurrency>>,
    /// Bytes of a request's body, at most; if the listener allows less, that counts.
    pub request_body: Option<u64>,
    /// Bytes of a response's body, at most.
    pub response_body: Option<u64>,
    /// Leaves out backends that fail.
    pub outliers: Option<Outliers>,
    /// Compresses responses.
    pub compression: Option<Compression>,
}

/// What a request wants of its response.
#[derive(Debug)]
pub(crate) struct Wanted {
    accept: Vec<HeaderValue>,
    /// No body at all.
    head: bool,
}

// === impl Policy ===

impl Policy {
    /// What a request wants of its response. Asked before filters, which may change it.
    pub(crate) fn wanted(&self, method: &Method, headers: &HeaderMap) -> Wanted {
        let accept = headers.get_all(ACCEPT_ENCODING).iter().filter(|_| self.compression.is_some());
        Wanted { accept: accept.cloned().collect(), head: method == Method::HEAD }
    }

    /// Does to a component's response what the rule wants, and the client.
    pub(crate) fn apply(&self, mut response: Response<Body>, wanted: &Wanted) -> Result<Response<Body>, Error> {
        if let Some(most) = self.response_body {
            response = size::limit(response, most, wanted.head)?;
        }
        Ok(match &self.compression {
            Some(compression) if !wanted.head => compression.apply(&wanted.accept, response),
            _ => response,
        })
    }
}
