//! Calls that fail a few times before they do not.

use std::collections::BTreeMap;
use std::sync::Mutex;

static FAILED: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// Whether the call with this id is to fail: so many times it is, in one instance.
pub fn fails(id: &str, times: u64) -> bool {
    let mut failed = FAILED.lock().unwrap();
    let count = failed.entry(id.to_owned()).or_default();
    *count += 1;
    *count <= times
}
