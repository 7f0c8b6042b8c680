//! How many replicas each revision has at a step of a rollout. The rules and roundings are those of apps/v1 Deployments.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use penstock_api::{WorkloadDeploymentSpec, deployment::DeployPolicy};

/// What a bound is unless the deployment says otherwise, as in apps/v1.
const DEFAULT_PERCENT: u64 = 25;
/// `progressDeadlineSeconds` unless the deployment says otherwise, as in apps/v1.
const DEFAULT_PROGRESS_DEADLINE: Duration = Duration::from_secs(600);

/// How a deployment is rolled out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Replicas wanted.
    pub replicas: u32,
    /// Whether the old revision leaves before the new one comes.
    pub recreate: bool,
    /// How many more than wanted there may be.
    pub max_surge: u32,
    /// How many fewer than wanted may serve.
    pub max_unavailable: u32,
    /// Whether changes of the template wait; scaling does not.
    pub paused: bool,
    /// How long a replica must serve before it counts.
    pub min_ready: Duration,
    /// After how long without progress a rollout counts as failed.
    pub progress_deadline: Duration,
}

/// One revision as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevisionState {
    /// Its name.
    pub revision: String,
    /// Its number: the greater, the newer.
    pub number: u64,
    /// Replicas that it should have had until now (the ReplicaSet's `spec.replicas`).
    pub replicas: u32,
    /// Replicas that hosts hold, ready or not.
    pub current: u32,
    /// Replicas that serve.
    pub ready: u32,
    /// Replicas that have been serving for `minReadySeconds`.
    pub available: u32,
}

/// Where a rollout stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// The wanted revision has all of the replicas, and they serve.
    #[default]
    Complete,
    /// On its way.
    Progressing,
    /// It waits for `paused` to be taken back.
    Paused,
}

/// What is to be done now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Replicas of each revision that was given, in that order.
    pub replicas: Vec<(String, u32)>,
    /// Where the rollout stands.
    pub phase: Phase,
}

impl Step {
    /// Replicas of a revision.
    #[must_use]
    pub fn of(&self, revision: &str) -> u32 {
        self.replicas.iter().find(|it| it.0 == revision).map_or(0, |it| it.1)
    }
}

impl Pace {
    /// What a deployment's spec asks for. Percentages are of the wanted replicas; surge is rounded up, unavailable down, and
    /// if both come to 0, one may be unavailable (apps/v1's `ResolveFenceposts`).
    #[must_use]
    pub fn of(spec: &WorkloadDeploymentSpec) -> Self {
        let replicas = spec.replicas.unwrap_or(1);
        let bounds = spec.strategy.as_ref().and_then(|it| it.rolling_update.as_ref());
        let max_surge = bound(bounds.and_then(|it| it.max_surge.as_ref()), replicas, true);
        let mut max_unavailable = bound(bounds.and_then(|it| it.max_unavailable.as_ref()), replicas, false);
        if max_surge == 0 && max_unavailable == 0 {
            max_unavailable = 1;
        }
        Self {
            replicas,
            recreate: spec.deploy_policy == Some(DeployPolicy::Recreate),
            max_surge,
            max_unavailable: max_unavailable.min(replicas),
            paused: spec.paused.unwrap_or(false),
            min_ready: Duration::from_secs(spec.min_ready_seconds.unwrap_or(0).into()),
            progress_deadline: spec
                .progress_deadline_seconds
                .map_or(DEFAULT_PROGRESS_DEADLINE, |it| Duration::from_secs(it.into())),
        }
    }

    /// Replicas that must serve at any time of a rolling update.
    #[must_use]
    pub const fn min_available(&self) -> u32 {
        self.replicas.saturating_sub(self.max_unavailable)
    }
}

/// A number, or a percentage of the replicas; what cannot be read counts as the default.
fn bound(given: Option<&IntOrString>, replicas: u32, up: bool) -> u32 {
    let percent = match given {
        Some(IntOrString::Int(number)) => return u32::try_from(*number).unwrap_or(0),
        Some(IntOrString::String(text)) => text.trim_end_matches('%').trim().parse().unwrap_or(DEFAULT_PERCENT),
        None => DEFAULT_PERCENT,
    };
    let product = u64::from(replicas) * percent;
    u32::try_from(if up { product.div_ceil(100) } else { product / 100 }).unwrap_or(u32::MAX)
}

/// How many replicas each revision should have now. `wanted` is the revision that the deployment's template has; it must be
/// among `revisions`, else (none, or one that is not there) all is only scaled. Asked again as replicas get ready, it leads
/// to the wanted revision alone; as long as the wanted one does not get ready, the others never fall below
/// `replicas - maxUnavailable`.
#[must_use]
pub fn step(pace: &Pace, wanted: Option<&str>, revisions: &[RevisionState]) -> Step {
    let mut all: Vec<Entry> = revisions.iter().map(Entry::new).collect();
    // The oldest gives way first.
    all.sort_by(|a, b| (a.number, &a.revision).cmp(&(b.number, &b.revision)));
    let new = wanted.and_then(|wanted| all.iter().position(|it| it.revision == wanted));
    let phase = match new {
        Some(new) if pace.paused && all.iter().enumerate().any(|(at, it)| at != new && it.in_use()) => {
            scale(pace, &mut all);
            Phase::Paused
        }
        Some(new) => {
            match pace.recreate {
                true => recreate(pace, &mut all, new),
                false => roll(pace, &mut all, new),
            }
            let others = all.iter().enumerate().any(|(at, it)| at != new && it.in_use());
            let done = all[new].replicas == pace.replicas && all[new].available >= pace.replicas;
            if done && !others { Phase::Complete } else { Phase::Progressing }
        }
        None => {
            scale(pace, &mut all);
            if pace.paused { Phase::Paused } else { Phase::Progressing }
        }
    };
    let of = |revision: &str| all.iter().find(|it| it.revision == revision).map_or(0, |it| it.replicas);
    Step { replicas: revisions.iter().map(|it| (it.revision.clone(), of(&it.revision))).collect(), phase }
}

/// A revision on its way.
struct Entry {
    revision: String,
    number: u64,
    replicas: u32,
    current: u32,
    available: u32,
}

impl Entry {
    fn new(it: &RevisionState) -> Self {
        Self {
            revision: it.revision.clone(),
            number: it.number,
            replicas: it.replicas,
            current: it.current,
            // What is to leave does not count, even if it serves still.
            available: it.available.min(it.ready).min(it.replicas),
        }
    }

    const fn in_use(&self) -> bool {
        self.replicas > 0 || self.current > 0
    }

    const fn unavailable(&self) -> u32 {
        self.replicas - self.available
    }

    fn shrink(&mut self, by: u32) {
        self.replicas -= by;
        self.available = self.available.min(self.replicas);
    }
}

/// The old ones leave, then the new one comes. What the new one has already, it keeps.
fn recreate(pace: &Pace, all: &mut [Entry], new: usize) {
    let mut waiting = false;
    for (_, old) in all.iter_mut().enumerate().filter(|(at, _)| *at != new) {
        old.replicas = 0;
        waiting |= old.current > 0;
    }
    all[new].replicas = if waiting { all[new].replicas.min(pace.replicas) } else { pace.replicas };
}

/// One step of a rolling update, as apps/v1's controller does it: old replicas leave as far as enough others are available,
/// then the new revision grows into the room that there is.
fn roll(pace: &Pace, all: &mut [Entry], new: usize) {
    let min_available = u64::from(pace.min_available());
    let max_total = u64::from(pace.replicas) + u64::from(pace.max_surge);
    let excess = all[new].replicas.saturating_sub(pace.replicas);
    all[new].shrink(excess);
    if let Some(old) = (0..all.len()).rev().find(|at| *at != new && all[*at].replicas > 0) {
        // It may have been scaled out on the way: the old one gets what must serve as far as the new one does not.
        let could_serve = total(all) - u64::from(all[new].unavailable());
        let more = least(min_available.saturating_sub(could_serve), u32::MAX - all[old].replicas);
        all[old].replicas += more;
    }

    // What cannot serve leaves first, but only what would not be missed if everything new were to get ready: all may look
    // unready for a moment, such as after a restart.
    let mut budget = total(all).saturating_sub(min_available).saturating_sub(all[new].unavailable().into());
    for at in (0..all.len()).filter(|at| *at != new) {
        let gone = least(budget, all[at].unavailable());
        all[at].replicas -= gone;
        budget -= u64::from(gone);
    }
    let mut spare = all.iter().map(|it| u64::from(it.available)).sum::<u64>().saturating_sub(min_available);
    for at in (0..all.len()).filter(|at| *at != new) {
        let gone = least(spare, all[at].available);
        all[at].shrink_available(gone);
        spare -= u64::from(gone);
    }

    let excess = least(total(all).saturating_sub(max_total), all[new].unavailable());
    all[new].replicas -= excess;
    let room = max_total.saturating_sub(total(all));
    let more = least(room, pace.replicas - all[new].replicas);
    all[new].replicas += more;
}

impl Entry {
    /// Takes replicas that are available. Those of the revision that are not stay.
    fn shrink_available(&mut self, by: u32) {
        self.replicas -= by;
        self.available -= by;
    }
}

/// Without a rollout: the only revision in use, or all of them in proportion, come to the wanted number (at most the surge
/// above it).
fn scale(pace: &Pace, all: &mut [Entry]) {
    let wanted = u64::from(pace.replicas);
    let sum = total(all);
    let single = all.iter().filter(|it| it.replicas > 0).count() <= 1;
    let most = if single || wanted == 0 { wanted } else { wanted + u64::from(pace.max_surge) };
    if sum < wanted {
        share_out(all, wanted - sum);
    } else if sum > most {
        take_back(all, sum - most);
    }
}

/// Adds replicas in proportion to what each has; what cannot be divided goes to the largest, the newer of equal ones.
fn share_out(all: &mut [Entry], more: u64) {
    let sum = total(all);
    let mut rest = more;
    for it in all.iter_mut() {
        let part = (more * u64::from(it.replicas)).checked_div(sum).unwrap_or(0);
        let part = least(part, u32::MAX - it.replicas);
        it.replicas += part;
        rest -= u64::from(part);
    }
    if let Some(it) = all.iter_mut().max_by_key(|it| it.replicas) {
        it.replicas = it.replicas.saturating_add(least(rest, u32::MAX));
    }
}

/// Takes replicas in proportion to what each has, first those that are not available.
fn take_back(all: &mut [Entry], less: u64) {
    let mut rest = less;
    for it in all.iter_mut() {
        let gone = least(rest, it.unavailable());
        it.replicas -= gone;
        rest -= u64::from(gone);
    }
    let (sum, less) = (total(all), rest);
    for it in all.iter_mut() {
        let gone = least((less * u64::from(it.replicas)).checked_div(sum).unwrap_or(0), it.replicas);
        it.shrink(gone);
        rest -= u64::from(gone);
    }
    for it in all.iter_mut() {
        let gone = least(rest, it.replicas);
        it.shrink(gone);
        rest -= u64::from(gone);
    }
}

fn total(all: &[Entry]) -> u64 {
    all.iter().map(|it| u64::from(it.replicas)).sum()
}

/// The smaller of the two, which therefore fits.
fn least(a: u64, b: u32) -> u32 {
    u32::try_from(a).unwrap_or(u32::MAX).min(b)
}
