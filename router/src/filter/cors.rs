//! `HTTPCORSFilter`: answers browsers' preflights, and lets scripts of allowed origins read responses.
//!
//! The meaning is that of Gateway API v1.6 (`apis/v1/httproute_types.go`, GEP-1767) within the CORS protocol of the Fetch
//! standard. Where Gateway API leaves a choice:
//!
//! - `*` for origins is answered with `*` if credentials are not allowed: always, also to requests without `Origin`, so that a
//!   cache need not tell responses apart. All else depends on `Origin`, and says so in `Vary`.
//! - `*` for methods and headers is answered with what the browser asks for. A literal `*` would not cover `Authorization`.
//! - `*` for exposed headers, with credentials, where a literal one means nothing: the names of the response's headers.
//! - A preflight of an origin that is not allowed gets 200 without any of this.

mod origin;

use std::sync::Arc;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, SET_COOKIE, VARY,
    },
};

pub use self::origin::OriginPattern;
use super::FilterError;
use crate::Body;

/// What a backend may have said about CORS: it is the filter's to say.
const SAID: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

const EVERY: HeaderValue = HeaderValue::from_static("*");

/// What is allowed, as it is written in a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsConfig {
    /// Origins, or `*` alone for all. None: nothing is allowed.
    pub origins: Vec<String>,
    /// Whether credentials may come along.
    pub credentials: bool,
    /// Methods beside the safelisted ones, or `*` alone for all.
    pub methods: Vec<String>,
    /// Headers of requests beside the safelisted ones, or `*` alone for all.
    pub headers: Vec<String>,
    /// Headers of responses that scripts may read beside the safelisted ones; `*` for all.
    pub expose: Vec<String>,
    /// For how many seconds a preflight's answer may be remembered.
    pub max_age: u32,
}

/// A CORS filter. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors(Arc<Rules>);

#[derive(Debug, PartialEq, Eq)]
struct Rules {
    /// `None`: every one.
    origins: Option<Vec<OriginPattern>>,
    credentials: bool,
    methods: List,
    headers: List,
    expose: List,
    max_age: HeaderValue,
}

#[derive(Debug, PartialEq, Eq)]
enum List {
    Nothing,
    These(HeaderValue),
    Everything,
}

/// What one response says about who may read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsAnswer {
    rules: Arc<Rules>,
    allowed: Option<HeaderValue>,
}

// === impl CorsConfig ===

impl Default for CorsConfig {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            credentials: false,
            methods: Vec::new(),
            headers: Vec::new(),
            expose: Vec::new(),
            max_age: 5,
        }
    }
}

// === impl Cors ===

impl Cors {
    /// A filter that does what `config` says.
    ///
    /// # Errors
    /// The first entry that is no origin, method or name of a header, and a `*` for origins, methods or allowed headers
    /// that does not stand alone.
    pub fn new(config: &CorsConfig) -> Result<Self, FilterError> {
        let origins = match alone(&config.origins, "allowOrigins")? {
            true => None,
            false => Some(config.origins.iter().map(|it| it.parse()).collect::<Result<_, _>>()?),
        };
        alone(&config.methods, "allowMethods")?;
        alone(&config.headers, "allowHeaders")?;
        for method in &config.methods {
            Method::from_bytes(method.as_bytes()).map_err(|_| FilterError::Method { method: method.clone() })?;
        }
        for name in config.headers.iter().chain(&config.expose) {
            name.parse::<HeaderName>().map_err(|_| FilterError::HeaderName { name: name.clone() })?;
        }
        Ok(Self(Arc::new(Rules {
            origins,
            credentials: config.credentials,
            methods: List::of(&config.methods)?,
            headers: List::of(&config.headers)?,
            expose: List::of(&config.expose)?,
            max_age: HeaderValue::from(config.max_age),
        })))
    }

    /// The answer to a preflight, which no backend is asked for; `None` if the request is none: a preflight is `OPTIONS`
    /// with `Origin` and `Access-Control-Request-Method`.
    #[must_use]
    pub fn preflight(&self, method: &Method, asked: &HeaderMap) -> Option<Response<Body>> {
        if method != Method::OPTIONS || !asked.contains_key(ORIGIN) {
            return None;
        }
        let wanted = asked.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        let rules = &*self.0;
        if self.answer(asked).say(headers) {
            match &rules.methods {
                List::Nothing => {}
                List::These(methods) => put(headers, ACCESS_CONTROL_ALLOW_METHODS, methods.clone()),
                List::Everything => put(headers, ACCESS_CONTROL_ALLOW_METHODS, wanted.clone()),
            }
            match &rules.headers {
                List::Nothing => {}
                List::These(names) => put(headers, ACCESS_CONTROL_ALLOW_HEADERS, names.clone()),
                List::Everything => {
                    for names in asked.get_all(ACCESS_CONTROL_REQUEST_HEADERS) {
                        append(headers, ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
                    }
                }
            }
            match &rules.expose {
                List::These(names) => put(headers, ACCESS_CONTROL_EXPOSE_HEADERS, names.clone()),
                List::Everything if !rules.credentials => put(headers, ACCESS_CONTROL_EXPOSE_HEADERS, EVERY),
                // There is no response yet whose headers could be named.
                List::Everything | List::Nothing => {}
            }
            put(headers, ACCESS_CONTROL_MAX_AGE, rules.max_age.clone());
        }
        if rules.methods == List::Everything {
            vary(headers, &ACCESS_CONTROL_REQUEST_METHOD);
        }
        if rules.headers == List::Everything {
            vary(headers, &ACCESS_CONTROL_REQUEST_HEADERS);
        }
        Some(response)
    }

    /// What the response to a request with these headers says, once there is one.
    #[must_use]
    pub fn answer(&self, asked: &HeaderMap) -> CorsAnswer {
        CorsAnswer { allowed: self.0.allowed(asked), rules: Arc::clone(&self.0) }
    }
}

// === impl Rules ===

impl Rules {
    /// The value of `Access-Control-Allow-Origin`.
    fn allowed(&self, asked: &HeaderMap) -> Option<HeaderValue> {
        if !self.depends_on_origin() {
            return Some(EVERY);
        }
        let mut origins = asked.get_all(ORIGIN).iter();
        // Of two it is not known which one a script runs in.
        let origin = origins.next().filter(|_| origins.next().is_none())?;
        let text = origin.to_str().ok()?;
        let allowed = self.origins.as_ref().is_none_or(|all| all.iter().any(|it| it.allows(text)));
        allowed.then(|| origin.clone())
    }

    const fn depends_on_origin(&self) -> bool {
        self.origins.is_some() || self.credentials
    }
}

// === impl CorsAnswer ===

impl CorsAnswer {
    /// Puts it into a response, in place of whatever a backend said. What does not fit into a full header map is left out.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in &SAID {
            headers.remove(name);
        }
        let names = match &self.rules.expose {
            List::These(names) => Some(names.clone()),
            List::Everything if self.rules.credentials => names_of(headers),
            List::Everything => Some(EVERY),
            List::Nothing => None,
        };
        if self.say(headers)
            && let Some(names) = names
        {
            put(headers, ACCESS_CONTROL_EXPOSE_HEADERS, names);
        }
    }

    /// What preflights and other responses have in common; answers whether anything is allowed.
    fn say(&self, headers: &mut HeaderMap) -> bool {
        if self.rules.depends_on_origin() {
            vary(headers, &ORIGIN);
        }
        let Some(allowed) = &self.allowed else { return false };
        put(headers, ACCESS_CONTROL_ALLOW_ORIGIN, allowed.clone());
        if self.rules.credentials {
            put(headers, ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        true
    }
}

// === impl List ===

impl List {
    fn of(entries: &[String]) -> Result<Self, FilterError> {
        if entries.is_empty() {
            return Ok(Self::Nothing);
        }
        if entries.iter().any(|it| it == "*") {
            return Ok(Self::Everything);
        }
        let list = entries.join(", ");
        HeaderValue::try_from(&list).map(Self::These).map_err(|_| FilterError::HeaderName { name: list })
    }
}

/// Whether the list is `*`.
fn alone(entries: &[String], field: &'static str) -> Result<bool, FilterError> {
    match entries.iter().any(|it| it == "*") {
        true if entries.len() > 1 => Err(FilterError::WildcardNotAlone { field }),
        every => Ok(every),
    }
}

/// The names of a response's headers, but for cookies, which no script may read.
fn names_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut names = String::new();
    for name in headers.keys().filter(|it| **it != SET_COOKIE) {
        if !names.is_empty() {
            names.push_str(", ");
        }
        names.push_str(name.as_str());
    }
    if names.is_empty() { None } else { HeaderValue::try_from(names).ok() }
}

/// Says that the response would be another one for another value of this header.
fn vary(headers: &mut HeaderMap, name: &HeaderName) {
    let said = |value: &HeaderValue| {
        value.to_str().is_ok_and(|value| {
            value.split(',').map(str::trim).any(|it| it == "*" || it.eq_ignore_ascii_case(name.as_str()))
        })
    };
    if !headers.get_all(VARY).iter().any(said) {
        append(headers, VARY, HeaderValue::from(name.clone()));
    }
}

/// A response of 24,000 headers goes without.
fn put(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    let _full = headers.try_insert(name, value);
}

fn append(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    let _full = headers.try_append(name, value);
}
