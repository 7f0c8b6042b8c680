//! Sessions: a client stays with the backend that it was given first (Gateway API's `SessionPersistence`, GEP-1619).
//!
//! What a client carries is a token that stands for one backend of one rule: a hash of the rule's and the backend's name.
//! Nothing is remembered here, and every host of every generation makes the same tokens, so a session outlives restarts
//! and moves between hosts.
//!
//! A token needs no secret. It selects among the rule's own backends, each of which its weight, or an earlier session,
//! could have selected too; who makes one up gets what luck could have given, and a token that fits none of the
//! backends is as good as none. It grants nothing and is no identity: two clients of a backend carry the same one. The
//! times beside it are the client's word as well: who moves them keeps a session longer, and only an own one. And the
//! hash does not show the names that it is made of.

mod cookie;
mod token;

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, header::SET_COOKIE, request::Parts};

use self::token::{Claim, Token};
use super::{Target, Weighted};
use crate::route::Matched;

/// The clocks of hosts differ: a session of the near future has just begun.
const CLOCK_SKEW: u64 = 300;

/// How a client carries its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// In a cookie.
    Cookie {
        /// Whether it outlives the browser's own session, by `Max-Age`. Takes an absolute time-out.
        permanent: bool,
    },
    /// In a header, which the client sends back as it got it.
    Header,
}

/// What a rule says of its sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// Name of the cookie or header; `None`: one that no other rule has.
    pub name: Option<String>,
    /// How a client carries it.
    pub carrier: Carrier,
    /// A session ends so long after it began. Zero is none.
    pub absolute: Option<Duration>,
    /// A session ends so long after its last request. Zero is none.
    pub idle: Option<Duration>,
}

/// The sessions of one rule.
#[derive(Debug)]
pub struct Sessions {
    /// A cookie's name is a token as a header's is, but keeps its case.
    name: String,
    header: Option<HeaderName>,
    permanent: bool,
    absolute: Option<u64>,
    idle: Option<u64>,
    /// Of each backend by its place. Several places may be one deployment, in several revisions: a session is the
    /// deployment's. `None`: a backend without a name, which nobody stays with.
    tokens: Vec<Option<Token>>,
}

/// The name is none for a cookie or header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name for a session: use at most 128 letters, digits, `-` and `_`")]
pub struct NameRefused(String);

/// A request of a rule that has sessions.
pub(crate) struct Visit {
    now: u64,
    /// The session that it carries, if that is valid here.
    session: Option<Claim>,
    /// Where the client shall send the cookie.
    path: String,
}

// === impl Sessions ===

impl Sessions {
    /// The sessions of a rule. `rule` names it as no other is named: sessions of two rules are apart even if they have the
    /// same backends (GEP-1619).
    ///
    /// # Errors
    /// [`NameRefused`] for what no cookie or header can be called.
    pub fn new(config: &SessionConfig, rule: &str, backends: &Weighted) -> Result<Self, NameRefused> {
        let name = match &config.name {
            Some(name) => Self::check_name(name).map(|()| name.clone())?,
            None => format!("penstock-session-{}", Token::of(rule, "").short()),
        };
        let header = match config.carrier {
            Carrier::Header => Some(name.parse().map_err(|_| NameRefused(name.clone()))?),
            Carrier::Cookie { .. } => None,
        };
        let token = |target: &Target| {
            let name = target.backend.name();
            (!name.is_empty()).then(|| Token::of(rule, name))
        };
        let seconds =
            |time: Option<Duration>| time.map(|time| time.as_millis().div_ceil(1000) as u64).filter(|it| *it > 0);
        Ok(Self {
            name,
            header,
            permanent: config.carrier == Carrier::Cookie { permanent: true },
            absolute: seconds(config.absolute),
            idle: seconds(config.idle),
            tokens: backends.targets().map(token).collect(),
        })
    }

    /// Checks the name of a cookie or header: a token (RFC 9110 section 5.6.2, RFC 6265 section 4.1.1), and of those only
    /// what nobody on the way has trouble with.
    ///
    /// # Errors
    /// [`NameRefused`] for everything else.
    pub fn check_name(name: &str) -> Result<(), NameRefused> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let good = !name.is_empty() && name.len() <= 128 && name.bytes().all(plain);
        if good { Ok(()) } else { Err(NameRefused(name.to_owned())) }
    }

    /// What the request says of a session. The client's path and cookies count, not what filters make of them.
    pub(crate) fn visit(&self, parts: &Parts, matched: &Matched) -> Visit {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let session = match &self.header {
            Some(name) => parts.headers.get_all(name).iter().find_map(|value| self.valid(value.to_str().ok()?, now)),
            None => cookie::values(&parts.headers, &self.name).find_map(|value| self.valid(value, now)),
        };
        Visit { now, session, path: cookie::path(matched, parts.uri.path()) }
    }

    /// The claim, if it is one to a backend of this rule and in time.
    fn valid(&self, value: &str, now: u64) -> Option<Claim> {
        let claim = Claim::parse(value)?;
        let known = self.tokens.contains(&Some(claim.token));
        let began = claim.began.unwrap_or(now);
        let seen = claim.seen.unwrap_or(now);
        let in_time = |since: u64, timeout: Option<u64>| {
            since <= now + CLOCK_SKEW && timeout.is_none_or(|timeout| now.saturating_sub(since) < timeout)
        };
        (known && in_time(began, self.absolute) && in_time(seen, self.idle)).then_some(claim)
    }

    /// A backend for this visit: of the session's by weight, evenly if they have none (GEP-1619: a session goes on even
    /// if the weight is set to 0); without a session any by weight. Another one than `failed`, if there is one.
    pub(crate) fn pick<'b>(
        &self,
        visit: &Visit,
        backends: &'b Weighted,
        failed: Option<usize>,
    ) -> Option<(usize, &'b Target)> {
        let Some(claim) = &visit.session else { return another(backends, failed) };
        let own = |place: &usize| self.tokens.get(*place) == Some(&Some(claim.token));
        let others = || (0..self.tokens.len()).filter(|place| own(place) && Some(*place) != failed);
        let but = failed.filter(|_| others().next().is_some());
        let fits = |place: usize| own(&place) && Some(place) != but;
        let any = || fastrand::choice((0..self.tokens.len()).filter(|place| fits(*place)).collect::<Vec<_>>());
        let place = backends.pick_among(fits).or_else(any)?;
        Some((place, backends.get(place)?))
    }

    /// Tells the client which backend it is to come back to, unless it knows.
    pub(crate) fn mark(&self, visit: &Visit, place: usize, tls: bool, headers: &mut HeaderMap) {
        let Some(Some(token)) = self.tokens.get(place).copied() else { return };
        let same = visit.session.as_ref().filter(|session| session.token == token);
        if same.is_some_and(|session| !self.is_stale(session, visit.now)) {
            return;
        }
        let began = same.and_then(|session| session.began).unwrap_or(visit.now);
        let timed = self.absolute.is_some() || self.idle.is_some();
        let claim = Claim { token, began: timed.then_some(began), seen: self.idle.map(|_| visit.now) };
        let (name, value) = match &self.header {
            Some(name) => (name.clone(), claim.to_string()),
            None => {
                let age = self.absolute.filter(|_| self.permanent);
                let left = age.map(|age| age.saturating_sub(visit.now.saturating_sub(began)));
                (SET_COOKIE, cookie::set(&self.name, &claim, &visit.path, left, tls))
            }
        };
        if let Ok(value) = HeaderValue::try_from(value) {
            // A response of 24,000 headers goes without: the next request begins a session again.
            let _full = match self.header {
                Some(_) => headers.try_insert(name, value).map(|_| ()),
                None => headers.try_append(name, value).map(|_| ()),
            };
        }
    }

    /// Whether what the client carries lacks a time that counts, or one that has moved on: not with every request, which
    /// would make responses larger for nothing, but once an eighth of the idle time is gone.
    fn is_stale(&self, session: &Claim, now: u64) -> bool {
        let timed = self.absolute.is_some() || self.idle.is_some();
        let moved = |idle: u64| session.seen.is_none_or(|seen| now.saturating_sub(seen) >= (idle / 8).max(1));
        timed && session.began.is_none() || self.idle.is_some_and(moved)
    }
}

/// A backend by weight; another one than `failed`, if there is one.
pub(crate) fn another(backends: &Weighted, failed: Option<usize>) -> Option<(usize, &Target)> {
    failed.and_then(|failed| backends.pick_but(failed)).or_else(|| backends.pick())
}

#[cfg(test)]
mod tests;
