//! All components of one host, each fetched and compiled once.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    path::PathBuf,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wasmtime::Engine;

use super::{
    ArtifactError, Compiled, Digest, Fetched, ImageRef, ImageRequest, Inspection, StoreOptions,
    compiled::CompiledCache,
    disk::Disk,
    file, inspect,
    oci::{OciRequest, OciSource, Redacted},
    request::pinned,
    seal,
    single_flight::SingleFlight,
    sniff, sweep,
};

/// All components of one host. A clone is the same store.
#[derive(Clone)]
pub struct ArtifactStore {
    inner: Arc<Inner>,
}

struct Inner {
    options: StoreOptions,
    disk: Arc<Disk>,
    oci: Arc<OciSource>,
    cache: Arc<CompiledCache>,
    fetches: SingleFlight<Digest, Result<Fetched, ArtifactError>>,
    compiles: SingleFlight<Digest, Result<Arc<Compiled>, ArtifactError>>,
    compile_places: Arc<Semaphore>,
    /// What is in use, with the blobs it came from.
    live: Mutex<HashMap<Digest, Live>>,
}

struct Live {
    compiled: Weak<Compiled>,
    blobs: Arc<[PathBuf]>,
}

// === impl ArtifactStore ===

impl fmt::Debug for ArtifactStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArtifactStore").field("folder", &self.inner.disk.root()).finish_non_exhaustive()
    }
}

impl ArtifactStore {
    /// Opens the store in the folder `dir`, which is made if it is missing. A folder that cannot be written is used as far
    /// as it goes.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::CacheFolder`] if parts of it belong to another user.
    pub fn new(engine: Engine, dir: PathBuf, options: StoreOptions) -> Result<Self, ArtifactError> {
        let disk = Arc::new(Disk::open(dir)?);
        let inner = Inner {
            oci: Arc::new(OciSource::new(disk.clone(), &options)),
            cache: Arc::new(CompiledCache::new(engine, disk.clone(), options.common.as_ref())?),
            fetches: SingleFlight::new(),
            compiles: SingleFlight::new(),
            compile_places: Arc::new(Semaphore::new(options.max_compiles.max(1))),
            live: Mutex::default(),
            disk,
            options,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Fetches and compiles. What most callers want.
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch) and [`compile`](Self::compile).
    pub async fn load(&self, request: &ImageRequest) -> Result<(Fetched, Arc<Compiled>), ArtifactError> {
        let fetched = self.fetch(request).await?;
        match self.compile(&fetched).await {
            // The damaged copy is gone by now.
            Err(ArtifactError::StoredCopyDamaged { .. }) => {
                let fetched = self.fetch(request).await?;
                self.compile(&fetched).await.map(|compiled| (fetched, compiled))
            }
            result => result.map(|compiled| (fetched, compiled)),
        }
    }

    /// Brings a component to hand and checks its digest. Asks for the same at the same time share one download; a caller
    /// that leaves does not disturb the others.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the reference, the file, the network, the registry or the credentials.
    pub async fn fetch(&self, request: &ImageRequest) -> Result<Fetched, ArtifactError> {
        let image = ImageRef::parse(&request.image)?;
        let pinned = pinned(request, &image)?;
        match image {
            ImageRef::File(path) => {
                let limit = self.inner.options.max_component_bytes;
                let name = request.image.clone();
                blocking(&request.image, move || {
                    let bytes = file::read(&path, limit)?;
                    let digest = Digest::of(&bytes);
                    match pinned {
                        Some(expected) if expected != digest => {
                            Err(ArtifactError::mismatch(name, expected, digest, "file"))
                        }
                        _ => Ok(Fetched {
                            image: name.into(),
                            digest,
                            manifest: None,
                            warning: None,
                            bytes: Some(bytes),
                            blobs: Arc::new([]),
                        }),
                    }
                })
                .await
            }
            ImageRef::Oci(reference) => {
                let request = OciRequest {
                    image: request.image.clone(),
                    reference,
                    pinned,
                    policy: request.pull_policy,
                    secret: request.pull_secret.clone().map(Redacted),
                };
                let oci = self.inner.oci.clone();
                self.inner.fetches.run(flight(&request), || pull(oci, request)).await
            }
        }
    }

    /// Compiles, or maps what was compiled before. Asks for the same bytes at the same time share one compilation, and
    /// those that follow share the component as long as anyone keeps it. Compilations wait for one of
    /// [`StoreOptions::max_compiles`] places.
    ///
    /// # Errors
    ///
    /// When the bytes are no component that this engine can run.
    pub async fn compile(&self, fetched: &Fetched) -> Result<Arc<Compiled>, ArtifactError> {
        let digest = fetched.digest;
        if let Some(compiled) = self.inner.live(&digest) {
            return Ok(compiled);
        }
        let store = self.clone();
        let fetched = fetched.clone();
        self.inner.compiles.run(digest, || async move { store.compile_now(fetched).await }).await
    }

    async fn compile_now(&self, fetched: Fetched) -> Result<Arc<Compiled>, ArtifactError> {
        let inner = &self.inner;
        // It may have come to life between the caller's look and this flight's start.
        if let Some(compiled) = inner.live(&fetched.digest) {
            return Ok(compiled);
        }
        let (cache, digest) = (inner.cache.clone(), fetched.digest);
        let stored = blocking(&fetched.image, move || Ok(cache.load(&digest))).await?;
        let compiled = match stored {
            Some(compiled) => compiled,
            None => {
                // The place goes with the work: a caller that leaves ends the waiting, not a compilation that has begun.
                let place = inner.compile_places.clone().acquire_owned().await;
                let (cache, disk, work) = (inner.cache.clone(), inner.disk.clone(), fetched.clone());
                blocking(&fetched.image, move || {
                    let _place = place;
                    let bytes = work.read(&disk)?;
                    sniff::check(&work.image, &bytes)?;
                    cache.compile(&work.image, &work.digest, &bytes)
                })
                .await?
            }
        };
        tracing::info!(image = %fetched.image, %digest, origin = ?compiled.origin, "component ready");
        let compiled = Arc::new(compiled);
        inner.keep(&compiled, fetched.blobs.clone());
        self.sweep_if_due();
        Ok(compiled)
    }

    /// What a component imports and exports, and what the host offers for it.
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch), and when the bytes are no component.
    pub async fn inspect(&self, request: &ImageRequest) -> Result<Inspection, ArtifactError> {
        let fetched = self.fetch(request).await?;
        let disk = self.inner.disk.clone();
        blocking(&request.image, move || {
            let bytes = fetched.read(&disk)?;
            inspect(&fetched.image, &bytes)
        })
        .await
    }

    /// Looks at the cache folder's size when a tenth of what it may hold has been written since the last look, and first
    /// thing after the start.
    fn sweep_if_due(&self) {
        let limit = self.inner.options.max_cache_bytes;
        if self.inner.disk.take_due(limit / 10) {
            let inner = self.inner.clone();
            // Nobody waits for it: it ends by itself, and its end changes nothing for anyone.
            drop(tokio::task::spawn_blocking(move || sweep::sweep(&inner.disk, limit, &inner.pinned())));
        }
    }
}

// === impl Inner ===

impl Inner {
    fn live(&self, digest: &Digest) -> Option<Arc<Compiled>> {
        self.live.lock().get(digest)?.compiled.upgrade()
    }

    fn keep(&self, compiled: &Arc<Compiled>, blobs: Arc<[PathBuf]>) {
        let mut live = self.live.lock();
        // Now and then, so that the map is never more than twice what is in use.
        if live.len() == live.capacity() {
            live.retain(|_, entry| entry.compiled.strong_count() > 0);
        }
        live.insert(compiled.digest, Live { compiled: Arc::downgrade(compiled), blobs });
    }

    /// The files that what is in use came from.
    fn pinned(&self) -> HashSet<PathBuf> {
        let live = self.live.lock();
        let used = live.iter().filter(|(_, entry)| entry.compiled.strong_count() > 0);
        used.flat_map(|(digest, entry)| {
            let (payload, _) = seal::paths(&self.disk, &self.cache.key(digest));
            entry.blobs.iter().cloned().chain([payload])
        })
        .collect()
    }
}

/// Names a fetch: two share it only if they would do the very same with the very same right to do so.
fn flight(request: &OciRequest) -> Digest {
    let secret = request.secret.as_ref().map(|secret| (&secret.0.username, &secret.0.password));
    Digest::of(format!("{:?}", (&request.image, request.pinned, request.policy, secret)).as_bytes())
}

async fn pull(oci: Arc<OciSource>, request: OciRequest) -> Result<Fetched, ArtifactError> {
    let pulled = oci.fetch(&request).await?;
    Ok(Fetched {
        image: request.image.into(),
        digest: pulled.component,
        manifest: Some(pulled.manifest),
        warning: pulled.warning,
        bytes: pulled.bytes,
        blobs: pulled.blobs.into(),
    })
}

/// Runs blocking work elsewhere. A panic in it, or a runtime that shuts down, becomes an error.
async fn blocking<T: Send + 'static>(
    origin: &str,
    work: impl FnOnce() -> Result<T, ArtifactError> + Send + 'static,
) -> Result<T, ArtifactError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        let reason = if error.is_panic() { "its work panicked" } else { "the host shuts down" };
        Err(ArtifactError::Unfinished { origin: origin.to_owned(), reason: reason.to_owned() })
    })
}
