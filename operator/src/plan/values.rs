//! Values of ConfigMaps and Secrets, merged.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use penstock_api::{manifest::ObjectKey, reasons, workload::ConfigSource};

use super::{Findings, Name, Values};

/// Where values come from: `config` is the base, then each ConfigMap, then each Secret; the last that has a key wins.
pub(super) struct Sources<'a> {
    pub(super) config: &'a BTreeMap<String, String>,
    pub(super) config_from: &'a [ConfigSource],
    pub(super) secret_from: &'a [ConfigSource],
}

/// Merges them. None if a reference cannot be resolved; then all that are missing have been said.
pub(super) fn merge(
    sources: &Sources<'_>,
    objects: &dyn Values,
    object: &ObjectKey,
    at: &str,
    findings: &mut Findings,
) -> Option<BTreeMap<String, String>> {
    let mut values = sources.config.clone();
    let mut complete = true;
    for (index, source) in sources.config_from.iter().enumerate() {
        let name = Name::new(&object.namespace, &source.name);
        match objects.config_map(&name) {
            Some(it) => values.extend(it.data.iter().flatten().map(|(key, value)| (key.clone(), value.clone()))),
            None => {
                let message = format!("there is no ConfigMap {name}: create it, or remove the reference");
                let path = format!("{at}.configFrom[{index}].name");
                findings.error(object, path, reasons::CONFIG_MAP_NOT_FOUND, message);
                complete = false;
            }
        }
    }
    for (index, source) in sources.secret_from.iter().enumerate() {
        let name = Name::new(&object.namespace, &source.name);
        let path = format!("{at}.secretFrom[{index}].name");
        let Some(secret) = objects.secret(&name) else {
            let message = format!("there is no Secret {name}: create it, or remove the reference");
            findings.error(object, path, reasons::SECRET_NOT_FOUND, message);
            complete = false;
            continue;
        };
        for (key, value) in secret_data(&secret) {
            match value {
                Ok(value) => drop(values.insert(key, value)),
                Err(()) => {
                    let message = format!("key {key:?} of Secret {name} is no UTF-8 text: mount such files instead");
                    findings.error(object, &path, reasons::NOT_TEXT, message);
                    complete = false;
                }
            }
        }
    }
    complete.then_some(values)
}

/// Every key of a Secret; `stringData` replaces `data`, as the API server does it.
fn secret_data(secret: &Secret) -> BTreeMap<String, Result<String, ()>> {
    let text = |it: &ByteString| String::from_utf8(it.0.clone()).map_err(|_| ());
    let data = secret.data.iter().flatten().map(|(key, value)| (key.clone(), text(value)));
    let strings = secret.string_data.iter().flatten().map(|(key, value)| (key.clone(), Ok(value.clone())));
    data.chain(strings).collect()
}

/// One key of a Secret as text.
pub(super) fn secret_key(secret: &Secret, key: &str) -> Option<String> {
    secret_data(secret).remove(key)?.ok()
}
