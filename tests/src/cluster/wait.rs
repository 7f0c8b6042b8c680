//! Waiting by watch.

use std::{collections::BTreeMap, fmt::Debug, pin::pin, time::Duration};

use anyhow::{Result, bail};
use futures_util::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, Resource, ResourceExt as _,
    runtime::watcher::{self, Event, watcher},
};
use serde::de::DeserializeOwned;

/// Objects by name.
pub(super) type Objects<K> = BTreeMap<String, K>;

pub(super) async fn until<K, T>(
    api: Api<K>,
    what: &str,
    within: Duration,
    mut pick: impl FnMut(&Objects<K>) -> Option<T>,
) -> Result<T>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut objects = Objects::new();
    let mut fresh = Objects::new();
    // Streaming lists would be one request fewer, but a test also runs against older API servers.
    let mut events = pin!(watcher(api, watcher::Config::default()));
    let found = tokio::time::timeout(within, async {
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => fresh = Objects::new(),
                Ok(Event::InitApply(it)) => {
                    fresh.insert(it.name_any(), it);
                    continue;
                }
                Ok(Event::InitDone) => objects = std::mem::take(&mut fresh),
                Ok(Event::Apply(it)) => {
                    objects.insert(it.name_any(), it);
                }
                Ok(Event::Delete(it)) => {
                    objects.remove(&it.name_any());
                }
                // An API server that is away comes back; the watcher tries again by itself.
                Err(_) => tokio::task::yield_now().await,
            }
            if let Some(found) = pick(&objects) {
                return Some(found);
            }
        }
        None
    })
    .await;
    match found {
        Ok(Some(found)) => Ok(found),
        _ => bail!("waited {within:?} in vain for {what}; there is {objects:#?}"),
    }
}

/// Whether a condition is `True`, and about this generation.
#[must_use]
pub fn condition(conditions: &[Condition], name: &str, generation: Option<i64>) -> bool {
    conditions.iter().any(|it| {
        it.type_ == name && it.status == "True" && (generation.is_none() || it.observed_generation >= generation)
    })
}
