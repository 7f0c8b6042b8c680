//! A revision's name: a short hash of all that would make a new instance differ from an old one.

use penstock_api::snapshot::Share;
use sha2::{Digest, Sha256};

use super::Unit;

/// Hexadecimal digits: few enough to read, enough that revisions of one deployment do not meet.
const DIGITS: usize = 10;

/// The name of a share's content. Values of ConfigMaps and Secrets are in it, so that editing them rolls; replicas,
/// routes and the Service's name are not, so that scaling and routing do not.
pub(super) fn of(share: &Share, unit: &Unit<'_>) -> String {
    let content = Share { id: String::new(), revision: String::new(), replicas: 0, ..share.clone() };
    let mut hash = Sha256::new();
    // Every map in there is sorted, so that equal content has equal bytes. Writing it cannot fail: all keys are texts.
    hash.update(serde_json::to_vec(&(content, unit.marks)).unwrap_or_default());
    let mut text = hex::encode(hash.finalize());
    text.truncate(DIGITS);
    text
}
