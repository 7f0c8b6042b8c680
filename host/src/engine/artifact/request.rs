//! What is asked of a store, under which terms, and what it brings.

use std::{fmt, path::PathBuf, sync::Arc};

use bytes::Bytes;
use penstock_api::snapshot::{Component as ComponentSpec, PullPolicy, PullSecret};

use super::{ArtifactError, ArtifactWarning, CommonOptions, Digest, ImageRef, InvalidDigest, PullLimits, disk::Disk};

/// How a store works.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Registries that speak plain HTTP: `host` or `host:port`. Those on this machine (loopback) always do.
    pub insecure_registries: Vec<String>,
    /// The folder with docker's `config.json`, for registry credentials.
    pub docker_config: Option<PathBuf>,
    /// The largest component accepted, in bytes.
    pub max_component_bytes: u64,
    /// What the cache folder may hold, in bytes. What is in use may go beyond it.
    pub max_cache_bytes: u64,
    /// Components compiled at once. Each uses all cores for the better part of its time, and tens of times its size in
    /// memory.
    pub max_compiles: usize,
    /// Where hosts share what they have compiled; `None`: each compiles for itself.
    pub common: Option<CommonOptions>,
    /// Attempts and time limits of pulls.
    pub pull: PullLimits,
}

impl Default for StoreOptions {
    fn default() -> Self {
        let docker = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
        Self {
            insecure_registries: Vec::new(),
            docker_config: docker.or_else(home),
            // JavaScript and Python components have 10 to 40 MB.
            max_component_bytes: 256 << 20,
            max_cache_bytes: 10 << 30,
            max_compiles: 2,
            common: None,
            pull: PullLimits::default(),
        }
    }
}

/// One component that a workload asks for.
#[derive(Clone, Default)]
pub struct ImageRequest {
    /// `file:///path` or a registry reference.
    pub image: String,
    /// `sha256:...` that the file or the manifest must have.
    pub digest: Option<String>,
    /// When to ask the registry.
    pub pull_policy: PullPolicy,
    /// Registry credentials; `None`: docker's configuration on this host.
    pub pull_secret: Option<PullSecret>,
}

impl From<&ComponentSpec> for ImageRequest {
    fn from(component: &ComponentSpec) -> Self {
        Self {
            image: component.image.clone(),
            digest: component.digest.clone(),
            pull_policy: component.pull_policy,
            pull_secret: component.pull_secret.clone(),
        }
    }
}

impl fmt::Debug for ImageRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageRequest")
            .field("image", &self.image)
            .field("digest", &self.digest)
            .field("pull_policy", &self.pull_policy)
            .field("pull_secret", &self.pull_secret.as_ref().map(|_| "***"))
            .finish()
    }
}

/// A component at hand: in memory, or on disk under its digest.
#[derive(Clone)]
pub struct Fetched {
    /// As it was asked for.
    pub image: Arc<str>,
    /// Of the component's bytes.
    pub digest: Digest,
    /// Of its manifest, if it came from a registry.
    pub manifest: Option<Digest>,
    /// What somebody should know.
    pub warning: Option<ArtifactWarning>,
    pub(super) bytes: Option<Bytes>,
    pub(super) blobs: Arc<[PathBuf]>,
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched")
            .field("image", &self.image)
            .field("digest", &self.digest)
            .field("manifest", &self.manifest)
            .field("warning", &self.warning)
            .finish_non_exhaustive()
    }
}

// === impl Fetched ===

impl Fetched {
    /// The component's bytes. Blocks.
    pub(super) fn read(&self, disk: &Disk) -> Result<Bytes, ArtifactError> {
        if let Some(bytes) = &self.bytes {
            return Ok(bytes.clone());
        }
        let damaged = || ArtifactError::StoredCopyDamaged { origin: self.image.to_string() };
        disk.read_blob(&self.digest).map(Bytes::from).ok_or_else(damaged)
    }
}

/// The digest that must be had, from the request and from the reference.
pub(super) fn pinned(request: &ImageRequest, image: &ImageRef) -> Result<Option<Digest>, ArtifactError> {
    let inside = image.pinned();
    let Some(text) = &request.digest else { return Ok(inside) };
    let refuse =
        |reason: String| ArtifactError::InvalidDigest { image: request.image.clone(), digest: text.clone(), reason };
    let outside = text.parse().map_err(|error: InvalidDigest| refuse(error.to_string()))?;
    match inside {
        Some(inside) if inside != outside => {
            Err(refuse("the image itself names another one; remove one of the two".into()))
        }
        _ => Ok(Some(outside)),
    }
}
