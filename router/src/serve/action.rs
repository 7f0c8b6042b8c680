//! What a route table leads to: filters, weighted backends, timeouts.

use std::{fmt, sync::Arc, time::Duration};

use super::{mirror::Mirror, retry::Retry, session::Sessions, weighted::Shares};
use crate::{Backend, admit::Admission, filter::Filters, policy::Policy, route};

/// A listener's route table.
pub type Table = route::RouteTable<Action>;

/// What happens to a request that matched a rule.
#[derive(Debug, Default)]
pub struct Action {
    /// Filters of the rule, before those of the backend. Apart, so that a rule without any, as most are, is small.
    pub filters: Option<Box<Filters>>,
    /// Where the request goes.
    pub backends: Weighted,
    /// Timeouts, if other than the listener's.
    pub timeouts: Timeouts,
    /// When a call is repeated. Never, if `None`: see there why.
    pub retry: Option<Box<Retry>>,
    /// What keeps a client with the backend that it was given first.
    pub sessions: Option<Box<Sessions>>,
    /// Who else gets copies of its requests.
    pub mirrors: Box<[Mirror]>,
    /// How much traffic it takes, and how. Boxed, since most rules have none.
    pub policy: Option<Box<Policy>>,
}

/// Timeouts of a rule. Zero turns one off, as in Gateway API; `None` leaves it to the listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// The whole request, queueing included; a streaming body counts from its last byte.
    pub request: Option<Duration>,
    /// From admission to the backend's response headers.
    pub backend: Option<Duration>,
}

/// One of a rule's backends.
pub struct Target {
    /// What answers.
    pub backend: Arc<dyn Backend>,
    /// Its gate, shared by every route that leads to it.
    pub admission: Arc<Admission>,
    /// Filters for this backend only, after those of the rule.
    pub filters: Option<Box<Filters>>,
    /// Its share of the requests, in proportion to the sum of all weights.
    pub weight: u32,
}

/// Backends by weight.
#[derive(Debug, Default)]
pub struct Weighted(Shares<Target>);

// === impl Weighted ===

impl Weighted {
    /// Backends in the given order. Without any, or with no weight at all, nothing can be picked (500).
    #[must_use]
    pub fn new(targets: Vec<Target>) -> Self {
        Self(Shares::new(targets.into_iter().map(|target| (target.weight, target)).collect()))
    }

    /// One target at random by weight, with its place; `None` if the weights sum to zero.
    #[must_use]
    pub fn pick(&self) -> Option<(usize, &Target)> {
        let place = self.0.pick(fastrand::u64(..))?;
        Some((place, self.0.get(place)?))
    }

    /// The same, but another one than that at `place`; `None` if there is no other with any weight.
    #[must_use]
    pub(crate) fn pick_but(&self, place: usize) -> Option<(usize, &Target)> {
        let place = self.0.pick_but(place, fastrand::u64(..))?;
        Some((place, self.0.get(place)?))
    }

    /// The place of one of those that fit, at random by weight; `None` if those have no weight.
    #[must_use]
    pub(crate) fn pick_among(&self, fits: impl Fn(usize) -> bool) -> Option<usize> {
        let fitting = || self.targets().enumerate().filter(|(place, _)| fits(*place));
        let total: u64 = fitting().map(|(_, target)| u64::from(target.weight)).sum();
        let mut point = (total > 0).then(|| fastrand::u64(..total))?;
        let found = fitting().find(|(_, target)| {
            let weight = u64::from(target.weight);
            let found = point < weight;
            point = point.saturating_sub(weight);
            found
        });
        found.map(|(place, _)| place)
    }

    /// A target by its place.
    #[must_use]
    pub(crate) fn get(&self, place: usize) -> Option<&Target> {
        self.0.get(place)
    }

    /// All targets, for listings.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.0.iter()
    }
}

impl From<Target> for Weighted {
    fn from(target: Target) -> Self {
        Self::new(vec![target])
    }
}

// === impl Target ===

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("backend", &self.backend.name()).field("weight", &self.weight).finish()
    }
}
