//! The control stream's certificate: kept in a Secret, renewed in time, and its authorities published for hosts to trust.
//!
//! Every operator looks after it, with optimistic concurrency: who is late finds what the other has made.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use futures_util::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, Client, ResourceExt,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    admin::Health,
    backoff::{self, Backoff},
    hosts::{AuthorityError, Certificates, Material, TlsError},
    metrics::Metrics,
    plan::names::FIELD_MANAGER,
};

/// The Secret with the keys, and the ConfigMap with what hosts trust.
pub const NAME: &str = "penstock-ca";
/// The key in the ConfigMap.
const BUNDLE: &str = "ca.crt";
/// What readiness waits for.
pub(crate) const CERTIFICATE: &str = "certificate";
/// How often its age is looked at.
const LOOK: Duration = Duration::from_secs(6 * 60 * 60);

/// Why there is no certificate now.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Kube(#[from] kube::Error),
    #[error("Secret {NAME}: {0}")]
    Authority(#[from] AuthorityError),
    #[error("Secret {NAME}: {0}")]
    Tls(#[from] TlsError),
}

/// Keeps the certificate until the token is cancelled.
pub(crate) struct Keeper {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    /// Names and addresses under which hosts reach operators.
    pub(crate) names: Vec<String>,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
}

impl Keeper {
    pub(crate) async fn run(self, done: CancellationToken) {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut secret_changes = pin!(watcher::watch_object(secrets.clone(), NAME).backoff(Backoff::default()));
        let mut map_changes = pin!(watcher::watch_object(maps.clone(), NAME).backoff(Backoff::default()));
        let mut failures = 0;
        loop {
            let pause = match self.look(&secrets, &maps).await {
                Ok(()) => {
                    failures = 0;
                    self.health.done(CERTIFICATE);
                    LOOK
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, "the control stream's certificate cannot be looked after");
                    backoff::pause(failures)
                }
            };
            tokio::select! {
                () = done.cancelled() => return,
                () = sleep(pause) => {}
                _ = secret_changes.next() => {}
                _ = map_changes.next() => {}
            }
        }
    }

    async fn look(&self, secrets: &Api<Secret>, maps: &Api<ConfigMap>) -> Result<(), Trouble> {
        let material = loop {
            let kept = secrets.get_opt(NAME).await?;
            let before = kept.as_ref().map(|it| Material::from_data(&text(it))).transpose()?;
            let renewal = Material::renew(before.as_ref(), &self.names, Timestamp::now())?;
            if !renewal.changed {
                break renewal.material;
            }
            match self.keep(secrets, kept, &renewal.material).await {
                Ok(_) => {
                    tracing::info!(secret = NAME, "the control stream has a new certificate");
                    break renewal.material;
                }
                // Another operator was faster.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(error.into()),
            }
        };
        self.certificates.set(&material)?;
        if let Some(end) = end_of(&material.certificate) {
            self.metrics.certificate_end.set(end);
        }
        let bundle = material.bundle();
        let published = maps.get_opt(NAME).await?;
        if published.and_then(|it| it.data?.remove(BUNDLE)).as_ref() != Some(&bundle) {
            let map = json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": { "name": NAME, "namespace": self.namespace },
                "data": { BUNDLE: bundle },
            });
            maps.patch(NAME, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(map)).await?;
        }
        Ok(())
    }

    async fn keep(&self, secrets: &Api<Secret>, kept: Option<Secret>, material: &Material) -> kube::Result<Secret> {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                namespace: Some(self.namespace.clone()),
                labels: kept.as_ref().map(|it| it.labels().clone()),
                resource_version: kept.as_ref().and_then(|it| it.metadata.resource_version.clone()),
                ..ObjectMeta::default()
            },
            string_data: Some(material.to_data()),
            type_: Some("kubernetes.io/tls".to_owned()),
            ..Secret::default()
        };
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match kept {
            Some(_) => secrets.replace(NAME, &parameters, &secret).await,
            None => secrets.create(&parameters, &secret).await,
        }
    }
}

fn text(secret: &Secret) -> BTreeMap<String, String> {
    let data = secret.data.iter().flatten();
    data.filter_map(|(key, value)| Some((key.clone(), String::from_utf8(value.0.clone()).ok()?))).collect()
}

/// When a certificate ends, in seconds since the epoch.
fn end_of(pem: &str) -> Option<i64> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    Some(pem.parse_x509().ok()?.validity().not_after.timestamp())
}
