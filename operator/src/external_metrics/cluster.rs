//! The one file here that knows Kubernetes: who the front proxy is, who may read, and which authority the API server is to
//! trust in turn.

use std::{
    collections::HashMap,
    fmt,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt;
use http::Request;
use k8s_openapi::{ByteString, api::core::v1::ConfigMap, kube_aggregator::pkg::apis::apiregistration::v1::APIService};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Access, Authorize, FrontProxy, GROUP, User, VERSION, Verdict, subject_access_review};
use crate::{
    backoff::{self, Backoff},
    certificate,
};

/// Where the API server says who its front proxy is.
const AUTHENTICATION: &str = "extension-apiserver-authentication";
const AUTHENTICATION_NAMESPACE: &str = "kube-system";
/// The key of the operator's ConfigMap with what is to be trusted.
const BUNDLE: &str = "ca.crt";

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
/// Reviews at once: the API server has others to serve too.
const AT_ONCE: usize = 16;
/// How long a review may take: an HPA asks again soon.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a yes counts. The API server has asked itself before it passed the request on, so what is taken away is taken
/// away at once; this asks a second time.
const COUNTS: Duration = Duration::from_secs(60);
/// Answers that are remembered.
const MOST: usize = 10_000;

/// Asks the API server who may read.
pub struct Reviewer {
    client: Client,
    turns: Semaphore,
    allowed: Mutex<HashMap<String, Instant>>,
}

// === impl Reviewer ===

impl Reviewer {
    /// Needs the right to create `subjectaccessreviews.authorization.k8s.io`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, turns: Semaphore::new(AT_ONCE), allowed: Mutex::default() }
    }

    async fn ask(&self, user: &User, access: Access<'_>) -> Result<Verdict, String> {
        let question = subject_access_review(user, access).to_string();
        if self.allowed.lock().get(&question).is_some_and(|until| Instant::now() < *until) {
            return Ok(Verdict::Allowed);
        }
        let _turn = self.turns.acquire().await;
        let request = Request::post(REVIEWS).header("content-type", "application/json");
        let request = request.body(question.clone().into_bytes()).map_err(|error| error.to_string())?;
        let review: Value = timeout(PATIENCE, self.client.request(request))
            .await
            .map_err(|_| format!("the API server has not answered within {PATIENCE:?}"))?
            .map_err(|error| format!("the API server cannot say: {error}"))?;
        let verdict = Verdict::read(&review);
        if verdict == Verdict::Allowed {
            let (mut allowed, now) = (self.allowed.lock(), Instant::now());
            if allowed.len() >= MOST {
                allowed.retain(|_, until| now < *until);
            }
            if allowed.len() < MOST {
                allowed.insert(question, now + COUNTS);
            }
        }
        Ok(verdict)
    }
}

impl Authorize for Reviewer {
    fn authorize<'a>(
        &'a self,
        user: &'a User,
        access: Access<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Verdict, String>> + Send + 'a>> {
        Box::pin(self.ask(user, access))
    }
}

impl fmt::Debug for Reviewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reviewer").finish_non_exhaustive()
    }
}

/// Follows who the front proxy is until the token is cancelled. What cannot be read changes nothing.
pub async fn follow(client: Client, told: watch::Sender<Option<Arc<FrontProxy>>>, done: CancellationToken) {
    let maps: Api<ConfigMap> = Api::namespaced(client, AUTHENTICATION_NAMESPACE);
    let mut changes = pin!(watcher::watch_object(maps, AUTHENTICATION).backoff(Backoff::default()));
    while let Some(Some(change)) = done.run_until_cancelled(changes.next()).await {
        match change {
            Ok(map) => match FrontProxy::read(&map.and_then(|it| it.data).unwrap_or_default()) {
                Ok(front) => drop(told.send_replace(Some(Arc::new(front)))),
                Err(error) => tracing::warn!(%error, "ConfigMap {AUTHENTICATION_NAMESPACE}/{AUTHENTICATION}"),
            },
            Err(error) => {
                tracing::debug!(%error, "ConfigMap {AUTHENTICATION_NAMESPACE}/{AUTHENTICATION} cannot be watched");
            }
        }
    }
}

/// Keeps the authority that the API server trusts what it is, until the token is cancelled: in the APIService, if there is
/// one, and if it is for `service` of `namespace` and not another adapter's.
pub async fn publish_trust(client: Client, namespace: String, service: String, done: CancellationToken) {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let services: Api<APIService> = Api::all(client);
    let name = format!("{VERSION}.{GROUP}");
    let mut map_changes = pin!(watcher::watch_object(maps, certificate::NAME).backoff(Backoff::default()));
    let mut service_changes = pin!(watcher::watch_object(services.clone(), &name).backoff(Backoff::default()));
    let (mut bundle, mut there, mut failures) = (None, None, 0);
    loop {
        tokio::select! {
            () = done.cancelled() => return,
            Some(change) = map_changes.next() => match change {
                Ok(map) => bundle = map.and_then(|it| it.data?.remove(BUNDLE)),
                Err(error) => tracing::debug!(%error, "the authority cannot be watched"),
            },
            Some(change) = service_changes.next() => match change {
                Ok(service) => there = service,
                Err(error) => tracing::debug!(%error, "APIService {name} cannot be watched"),
            },
            () = sleep(backoff::pause(failures)), if failures > 0 => {}
        }
        let Some(patch) = trust(there.as_ref(), bundle.as_deref(), &namespace, &service) else {
            failures = 0;
            continue;
        };
        match services.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(patched) => {
                tracing::info!("APIService {name} has a new authority");
                (there, failures) = (Some(patched), 0);
            }
            Err(error) => {
                failures += 1;
                tracing::warn!(%error, "APIService {name} cannot be changed");
            }
        }
    }
}

/// What is to be changed. None: nothing.
fn trust(there: Option<&APIService>, bundle: Option<&str>, namespace: &str, service: &str) -> Option<Value> {
    let (spec, bundle) = (there?.spec.as_ref()?, bundle?);
    let leads_to = spec.service.as_ref()?;
    let ours = leads_to.namespace.as_deref() == Some(namespace) && leads_to.name.as_deref() == Some(service);
    let bundle = ByteString(bundle.as_bytes().to_vec());
    (ours && spec.ca_bundle.as_ref() != Some(&bundle)).then(|| json!({ "spec": { "caBundle": bundle } }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_api_service_is_changed_and_only_if_it_differs() {
        let there = |namespace: &str, bundle: Option<&str>| -> APIService {
            let bundle = bundle.map(|it| ByteString(it.as_bytes().to_vec()));
            let service = json!({ "namespace": namespace, "name": "penstock-autoscaling", "port": 443 });
            let spec = json!({
                "group": GROUP,
                "version": VERSION,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "service": service,
                "caBundle": bundle,
            });
            serde_json::from_value(json!({ "metadata": { "name": "v1beta1.external.metrics.k8s.io" }, "spec": spec }))
                .unwrap()
        };
        let patch =
            |there: Option<&APIService>, bundle| trust(there, bundle, "penstock-system", "penstock-autoscaling");
        let ours = there("penstock-system", None);
        assert_eq!(patch(Some(&ours), Some("pem")), Some(json!({ "spec": { "caBundle": "cGVt" } })));
        assert!(patch(Some(&there("penstock-system", Some("old"))), Some("pem")).is_some());
        assert_eq!(patch(Some(&there("penstock-system", Some("pem"))), Some("pem")), None);
        assert_eq!(patch(Some(&there("keda", None)), Some("pem")), None);
        assert_eq!(patch(None, Some("pem")), None);
        assert_eq!(patch(Some(&ours), None), None);
    }
}
