//! Components from OCI registries: what is on disk, what has to be asked for, and what is kept.

mod credentials;
mod fault;
mod manifest;
mod pull;

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use bytes::Bytes;
use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol},
    secrets::RegistryAuth,
};
use parking_lot::Mutex;
use penstock_api::snapshot::{PullPolicy, PullSecret};
use tokio::sync::Semaphore;

pub use credentials::Tried;
pub use pull::PullLimits;

use super::{ArtifactError, ArtifactWarning, Digest, StoreOptions, disk::Disk};
use credentials::DockerConfig;
use manifest::Target;
use pull::Pull;

/// An index may lead to an index; to more than that, only by mistake or malice.
const MAX_MANIFESTS: usize = 3;
/// Pulls under way at once: each holds a whole component in memory.
const MAX_PULLS: usize = 8;
/// Connections and tokens are kept for so many accounts.
const MAX_CLIENTS: usize = 64;

/// Registries, and what has been pulled from them.
pub(super) struct OciSource {
    disk: Arc<Disk>,
    docker: DockerConfig,
    insecure: Vec<String>,
    limits: PullLimits,
    max_bytes: u64,
    pulls: Semaphore,
    /// By registry and credentials: a client remembers the first credentials it was given for a registry, and would let
    /// one workload pull with those of another.
    clients: Mutex<HashMap<Digest, Client>>,
}

/// What to pull.
#[derive(Debug)]
pub(super) struct OciRequest {
    pub(super) image: String,
    pub(super) reference: Reference,
    /// The manifest's digest, if it must be a certain one.
    pub(super) pinned: Option<Digest>,
    pub(super) policy: PullPolicy,
    pub(super) secret: Option<Redacted<PullSecret>>,
}

/// Keeps a secret out of every `Debug`.
#[derive(Clone)]
pub(super) struct Redacted<T>(pub(super) T);

/// A component that is at hand.
#[derive(Debug)]
pub(super) struct Pulled {
    pub(super) manifest: Digest,
    pub(super) component: Digest,
    /// `None`: read the blob from disk.
    pub(super) bytes: Option<Bytes>,
    /// The blobs it consists of on disk.
    pub(super) blobs: Vec<PathBuf>,
    pub(super) warning: Option<ArtifactWarning>,
}

impl<T> std::fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

// === impl OciSource ===

impl OciSource {
    pub(super) fn new(disk: Arc<Disk>, options: &StoreOptions) -> Self {
        Self {
            disk,
            docker: DockerConfig { folder: options.docker_config.clone(), path: None },
            insecure: options.insecure_registries.clone(),
            limits: options.pull,
            max_bytes: options.max_component_bytes,
            pulls: Semaphore::new(MAX_PULLS),
            clients: Mutex::default(),
        }
    }

    /// Brings the component to hand: from disk if the policy allows and it is there, else from the registry.
    pub(super) async fn fetch(&self, request: &OciRequest) -> Result<Pulled, ArtifactError> {
        let tag = tag_of(&request.reference);
        // A digest names one content for ever, so there is nothing to ask about it.
        let known = request.pinned.or_else(|| self.disk.tag(&tag));
        let local = match known {
            Some(digest) => self.local(request, digest)?,
            None => None,
        };
        let ask = request.policy == PullPolicy::Always && request.pinned.is_none();
        match local {
            Some(pulled) if !ask => Ok(pulled),
            None if request.policy == PullPolicy::Never => {
                Err(ArtifactError::NeverPulled { image: request.image.clone() })
            }
            None => self.pull(request, &tag).await,
            Some(pulled) => match self.refresh(request, &tag, &pulled).await {
                Ok(None) => Ok(pulled),
                Ok(Some(newer)) => Ok(newer),
                // Start without the registry rather than not at all. A refusal is an answer and stands.
                Err(error @ (ArtifactError::RegistryUnreachable { .. } | ArtifactError::RegistryFault { .. })) => {
                    let warning = ArtifactWarning::Stale { image: request.image.clone(), reason: error.to_string() };
                    Ok(Pulled { warning: Some(warning), ..pulled })
                }
                Err(error) => Err(error),
            },
        }
    }

    /// What disk has under this manifest's digest, if it has all of it.
    fn local(&self, request: &OciRequest, manifest: Digest) -> Result<Option<Pulled>, ArtifactError> {
        let mut blobs = Vec::new();
        let mut next = manifest;
        for _ in 0..MAX_MANIFESTS {
            let Some(bytes) = self.disk.read_blob(&next) else { return Ok(None) };
            blobs.push(self.disk.blob(&next));
            match manifest::read(&request.image, &bytes)? {
                Target::Manifest(digest) => next = digest,
                Target::Component { digest, size } => {
                    self.check_size(request, size)?;
                    if !self.disk.has_blob(&digest, size) {
                        return Ok(None);
                    }
                    blobs.push(self.disk.blob(&digest));
                    return Ok(Some(Pulled { manifest, component: digest, bytes: None, blobs, warning: None }));
                }
            }
        }
        Ok(None)
    }

    /// Asks whether the tag has moved. `None`: it has not.
    async fn refresh(&self, request: &OciRequest, tag: &str, have: &Pulled) -> Result<Option<Pulled>, ArtifactError> {
        let pull = self.open(request).await?;
        if pull.head().await? == Some(have.manifest) {
            return Ok(None);
        }
        self.pull_with(request, tag, &pull).await.map(Some)
    }

    async fn pull(&self, request: &OciRequest, tag: &str) -> Result<Pulled, ArtifactError> {
        let pull = self.open(request).await?;
        self.pull_with(request, tag, &pull).await
    }

    async fn pull_with(&self, request: &OciRequest, tag: &str, pull: &Pull<'_>) -> Result<Pulled, ArtifactError> {
        let result = self.pull_parts(request, tag, pull).await;
        if let Err(ArtifactError::Unauthorized { .. } | ArtifactError::Forbidden { .. }) = &result {
            // Its tokens may have been withdrawn.
            self.clients.lock().remove(&self.account(request, &pull.auth));
        }
        result
    }

    async fn pull_parts(&self, request: &OciRequest, tag: &str, pull: &Pull<'_>) -> Result<Pulled, ArtifactError> {
        let _place = self.pulls.acquire().await;
        let (mut bytes, manifest) = pull.manifest(request.pinned.as_ref()).await?;
        if let Some(expected) = request.pinned.filter(|expected| *expected != manifest) {
            let origin = request.image.clone();
            return Err(ArtifactError::mismatch(origin, expected, manifest, "manifest"));
        }
        let mut parts = vec![(manifest, bytes.clone())];
        for _ in 0..MAX_MANIFESTS {
            match manifest::read(&request.image, &bytes)? {
                Target::Manifest(digest) => {
                    bytes = pull.manifest(Some(&digest)).await?.0;
                    parts.push((digest, bytes.clone()));
                }
                Target::Component { digest, size } => {
                    self.check_size(request, size)?;
                    // Another tag may have brought the same component.
                    let at_hand = self.disk.has_blob(&digest, size);
                    let component = if at_hand { None } else { Some(pull.layer(&digest, size).await?) };
                    let blobs = parts.iter().map(|(digest, _)| self.disk.blob(digest)).chain([self.disk.blob(&digest)]);
                    let blobs = blobs.collect();
                    parts.extend(component.clone().map(|bytes| (digest, bytes)));
                    let stored = self.store(parts, request.pinned.is_none().then(|| tag.to_owned()), manifest).await;
                    let warning = stored.err().map(|error| ArtifactWarning::NotStored {
                        what: "the pulled copy",
                        origin: request.image.clone(),
                        folder: self.disk.root().to_owned(),
                        reason: error.to_string(),
                    });
                    return Ok(Pulled { manifest, component: digest, bytes: component, blobs, warning });
                }
            }
        }
        let found = "its indexes lead to indexes without end".to_owned();
        Err(ArtifactError::NotAComponentImage { image: request.image.clone(), found })
    }

    /// Writes all parts, then the tag that leads to them: a crash between leaves no tag that leads nowhere.
    async fn store(&self, parts: Vec<(Digest, Bytes)>, tag: Option<String>, manifest: Digest) -> std::io::Result<()> {
        let disk = self.disk.clone();
        let write = move || {
            for (digest, bytes) in parts.iter().rev() {
                disk.write_blob(digest, bytes)?;
            }
            tag.map_or(Ok(()), |tag| disk.write_tag(&tag, &manifest))
        };
        tokio::task::spawn_blocking(write).await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }

    fn check_size(&self, request: &OciRequest, size: u64) -> Result<(), ArtifactError> {
        if size > self.max_bytes {
            return Err(ArtifactError::TooLarge { origin: request.image.clone(), size, limit: self.max_bytes });
        }
        Ok(())
    }

    /// Finds credentials and a client.
    async fn open<'a>(&self, request: &'a OciRequest) -> Result<Pull<'a>, ArtifactError> {
        let reference = &request.reference;
        let secret = request.secret.as_ref().map(|secret| &secret.0);
        let (auth, tried) = credentials::find(reference.registry(), reference.repository(), secret, &self.docker).await;
        let client = self.client(request, &auth)?;
        Ok(Pull { image: &request.image, reference, client, auth, tried, limits: self.limits })
    }

    fn client(&self, request: &OciRequest, auth: &RegistryAuth) -> Result<Client, ArtifactError> {
        let account = self.account(request, auth);
        if let Some(client) = self.clients.lock().get(&account) {
            return Ok(client.clone());
        }
        let registry = request.reference.resolve_registry();
        let config = ClientConfig {
            protocol: if self.is_plain(registry) { ClientProtocol::Http } else { ClientProtocol::Https },
            connect_timeout: Some(self.limits.connect_timeout),
            read_timeout: Some(self.limits.answer_timeout),
            user_agent: concat!("penstock/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|error| ArtifactError::Tls {
            image: request.image.clone(),
            registry: request.reference.registry().to_owned(),
            reason: format!("TLS cannot be set up on this host ({error})"),
        })?;
        let mut clients = self.clients.lock();
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(account, client.clone());
        Ok(client)
    }

    /// Names a registry and an account in it, without holding the secret.
    fn account(&self, request: &OciRequest, auth: &RegistryAuth) -> Digest {
        let (user, secret) = match auth {
            RegistryAuth::Anonymous => ("", ""),
            RegistryAuth::Basic(username, password) => (username.as_str(), password.as_str()),
            RegistryAuth::Bearer(token) => ("<token>", token.as_str()),
        };
        Digest::of([request.reference.resolve_registry(), user, secret].join("\0").as_bytes())
    }

    /// Whether a registry is spoken to without TLS: the listed ones, and those on this machine, as docker does.
    fn is_plain(&self, registry: &str) -> bool {
        let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
        let loopback =
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        loopback || self.insecure.iter().any(|listed| listed == registry || listed == host)
    }
}

/// The name under which the tag's digest is kept.
fn tag_of(reference: &Reference) -> String {
    format!("{}/{}:{}", reference.registry(), reference.repository(), reference.tag().unwrap_or("latest"))
}
