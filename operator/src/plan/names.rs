//! Names of the objects that the operator makes. Equal content has an equal name, so that nothing is made twice.

use sha2::{Digest, Sha256};

use super::{HostId, Name};

/// The field manager of every server-side apply.
pub const FIELD_MANAGER: &str = "penstock-operator";

/// Characters that a label's value can have.
const LABEL_LIMIT: usize = 63;
/// Characters that an object's name can have.
const NAME_LIMIT: usize = 253;

/// The ReplicaSet of a revision: `{deployment}-{revision}`.
#[must_use]
pub fn replica_set(deployment: &str, revision: &str) -> String {
    joined(deployment, revision)
}

/// The Workload of a revision on a host: `{deployment}-{revision}-{5 hexadecimal digits of the host}`.
#[must_use]
pub fn workload(deployment: &str, revision: &str, host: &HostId) -> String {
    joined(deployment, &format!("{revision}-{}", short_hash(host.as_str(), 5)))
}

/// The share's id in snapshots and reports: `namespace/deployment@revision`.
#[must_use]
pub fn share_id(deployment: &Name, revision: &str) -> String {
    format!("{deployment}@{revision}")
}

/// The deployment that a [`share_id`] is of; none if it is no such id.
#[must_use]
pub fn deployment_of(share_id: &str) -> Option<Name> {
    let (deployment, _) = share_id.split_once('@')?;
    let (namespace, name) = deployment.split_once('/')?;
    Some(Name::new(namespace, name))
}

/// What `/scale` shows as selector: not empty, of this deployment alone, and matched by no pod.
#[must_use]
pub fn scale_selector(deployment: &Name) -> String {
    format!(
        "{}={},runtime.wasmcloud.dev/namespace={}",
        penstock_api::labels::WORKLOAD_DEPLOYMENT,
        label_value(&deployment.name),
        label_value(&deployment.namespace)
    )
}

/// A name as the value of a label: itself, or cut and with a hash of the whole if it is too long.
#[must_use]
pub fn label_value(name: &str) -> String {
    cut(name, LABEL_LIMIT)
}

/// The first hexadecimal digits of a text's SHA-256.
#[must_use]
pub fn short_hash(text: &str, digits: usize) -> String {
    let mut hash = hex::encode(Sha256::digest(text.as_bytes()));
    hash.truncate(digits);
    hash
}

/// `{base}-{suffix}`, the base cut if the whole would be too long.
pub(super) fn joined(base: &str, suffix: &str) -> String {
    format!("{}-{suffix}", cut(base, NAME_LIMIT.saturating_sub(suffix.len() + 1)))
}

/// Names are ASCII; should one not be, nothing is cut within a character.
fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let hash = short_hash(text, 8);
    let end = limit.saturating_sub(hash.len() + 1);
    let head: String = text.char_indices().take_while(|(at, it)| at + it.len_utf8() <= end).map(|(_, it)| it).collect();
    format!("{}-{hash}", head.trim_end_matches(['-', '.']))
}
