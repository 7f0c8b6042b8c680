//! Which revisions there should be: the wanted one, those that still run, and so many older ones to go back to.

/// A ReplicaSet, as far as history goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevisionView {
    /// Its revision.
    pub revision: String,
    /// Its number (annotation [`NUMBER`]), 0 if it has none.
    pub number: u64,
    /// Whether it has replicas, wanted or still there.
    pub in_use: bool,
}

/// The annotation on ReplicaSets and deployments with the revision's number, the same as apps/v1's.
pub const NUMBER: &str = "deployment.kubernetes.io/revision";

/// How many old revisions are kept unless the deployment says otherwise, as in apps/v1.
const DEFAULT_HISTORY: u32 = 10;

/// What is to be done about revisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revisions {
    /// The number of the wanted revision: that which it has if it is the greatest, else one more than the greatest (a
    /// revision that somebody went back to is the newest again).
    pub number: u64,
    /// Whether there is no ReplicaSet of the wanted revision yet.
    pub create: bool,
    /// Whether the wanted revision's ReplicaSet needs the number.
    pub renumber: bool,
    /// Revisions to delete, the oldest first: not in use, and more than `revisionHistoryLimit`.
    pub delete: Vec<String>,
    /// The newest revision beside the wanted one.
    pub previous: Option<String>,
}

/// What is to be done about revisions. `limit` is `revisionHistoryLimit`.
#[must_use]
pub fn revisions(wanted: &str, existing: &[RevisionView], limit: Option<u32>) -> Revisions {
    let mut others: Vec<&RevisionView> = existing.iter().filter(|it| it.revision != wanted).collect();
    others.sort_by(|a, b| (a.number, &a.revision).cmp(&(b.number, &b.revision)));
    let greatest = others.last().map_or(0, |it| it.number);
    let own = existing.iter().find(|it| it.revision == wanted);
    let number = own.map(|it| it.number).filter(|it| *it > greatest).unwrap_or(greatest + 1);
    let idle: Vec<&str> = others.iter().filter(|it| !it.in_use).map(|it| it.revision.as_str()).collect();
    let limit = usize::try_from(limit.unwrap_or(DEFAULT_HISTORY)).unwrap_or(usize::MAX);
    let excess = idle.len().saturating_sub(limit);
    Revisions {
        number,
        create: own.is_none(),
        renumber: own.is_none_or(|it| it.number != number),
        delete: idle.into_iter().take(excess).map(ToOwned::to_owned).collect(),
        previous: others.last().map(|it| it.revision.clone()),
    }
}
