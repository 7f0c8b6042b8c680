//! Machine code for components, made once and kept on disk.

use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};
use wasmtime::{Engine, component::Component};

use super::{
    ArtifactError, ArtifactWarning, Digest,
    common::{Common, CommonOptions, Found},
    disk::Disk,
    precompiled::{self, Code},
    seal::{Sealed, Unsealed},
};

/// Changes when entries of older versions of this program must not be found any more.
const FORMAT: &[u8] = b"penstock compiled component 1";

/// A component ready to be linked. Those who run it keep this, not the [`Component`] alone: as long as one is kept, all
/// that ask for the same bytes share it, and its files stay in the cache folder.
pub struct Compiled {
    /// The component.
    pub component: Component,
    /// Of the component's bytes.
    pub digest: Digest,
    /// How it came to be.
    pub origin: Origin,
    /// What somebody should know; told to the first who asked only.
    pub warning: Option<ArtifactWarning>,
}

/// How a compiled component came to be, and how long that took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Mapped from the cache folder, unread.
    Mapped(Duration),
    /// Mapped from the cache folder after its whole content was checked.
    Checked(Duration),
    /// Taken from another host of the cluster.
    Shared(Duration),
    /// Compiled.
    Compiled(Duration),
}

/// The cache of compiled components of one engine.
pub(super) struct CompiledCache {
    engine: Engine,
    /// Version and settings of the engine, and the machine's features that it compiles for.
    engine_hash: [u8; 32],
    disk: Arc<Disk>,
    /// What other hosts have compiled.
    common: Option<Common>,
    /// Whether somebody knows that nothing can be stored.
    warned: AtomicBool,
}

// === impl Compiled ===

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiled")
            .field("digest", &self.digest)
            .field("origin", &self.origin)
            .field("warning", &self.warning)
            .finish_non_exhaustive()
    }
}

// === impl CompiledCache ===

impl CompiledCache {
    pub(super) fn new(engine: Engine, disk: Arc<Disk>, common: Option<&CommonOptions>) -> Result<Self, ArtifactError> {
        let engine_hash = engine_hash(&engine);
        let common = common.map(Common::open).transpose()?;
        Ok(Self { engine, engine_hash, disk, common, warned: AtomicBool::new(false) })
    }

    /// The name under which a component with this digest is kept.
    pub(super) fn key(&self, digest: &Digest) -> String {
        let mut hasher = Sha256::new();
        hasher.update(FORMAT);
        hasher.update(self.engine_hash);
        hasher.update(digest.as_bytes());
        hex::encode(hasher.finalize())
    }

    /// The stored component, if there is a sound one. An unsound one is deleted. Blocks.
    pub(super) fn load(&self, digest: &Digest) -> Option<Compiled> {
        let start = Instant::now();
        let key = self.key(digest);
        let reason = match Sealed::find(&self.disk, &key) {
            Ok(file) => match precompiled::map(&self.engine, &file) {
                Ok(component) => {
                    let took = start.elapsed();
                    let origin = if file.was_hashed() { Origin::Checked(took) } else { Origin::Mapped(took) };
                    return Some(Compiled { component, digest: *digest, origin, warning: None });
                }
                Err(error) => format!("{error:#}"),
            },
            Err(Unsealed::Absent) => return None,
            Err(Unsealed::Rejected(reason)) => reason,
        };
        tracing::warn!(%digest, folder = %self.disk.compiled().display(), reason, "stored compiled component deleted, to be compiled again");
        Sealed::discard(&self.disk, &key);
        None
    }

    /// Compiles `bytes`, which `digest` is of, unless another host has, and stores the result. Blocks for as long as it takes.
    pub(super) fn compile(&self, origin: &str, digest: &Digest, bytes: &[u8]) -> Result<Compiled, ArtifactError> {
        let fault = |error: wasmtime::Error| ArtifactError::Compile {
            origin: origin.to_owned(),
            reason: one_line(&format!("{error:#}")),
        };
        let start = Instant::now();
        let key = self.key(digest);
        let compile = || Code::compile(&self.engine, bytes).map_err(fault);
        let (code, how): (_, fn(Duration) -> Origin) = match self.common.as_ref().map(|it| (it, it.find(&key))) {
            Some((_, Found::Code(code))) => (Code::signed(code), Origin::Shared),
            Some((common, Found::Turn(_turn))) => {
                let code = compile()?;
                common.offer(&key, code.bytes());
                (code, Origin::Compiled)
            }
            None => (compile()?, Origin::Compiled),
        };
        let how = how(start.elapsed());
        // Mapped rather than kept in memory: pages that are not used can be given back at any time.
        let stored = Sealed::store(&self.disk, &key, code.bytes());
        let (component, warning) = match stored {
            Ok(file) => {
                self.warned.store(false, Ordering::Relaxed);
                match precompiled::map(&self.engine, &file) {
                    Ok(component) => (component, None),
                    // Deleted meanwhile, or a file system that cannot be mapped.
                    Err(_) => (code.load(&self.engine).map_err(fault)?, None),
                }
            }
            Err(error) => {
                let warning = ArtifactWarning::NotStored {
                    what: "the compiled form",
                    origin: origin.to_owned(),
                    folder: self.disk.root().to_owned(),
                    reason: error.to_string(),
                };
                let first = !self.warned.swap(true, Ordering::Relaxed);
                (code.load(&self.engine).map_err(fault)?, first.then_some(warning))
            }
        };
        Ok(Compiled { component, digest: *digest, origin: how, warning })
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Everything of the engine that its machine code depends on: wasmtime's exact version, its settings, and the target.
fn engine_hash(engine: &Engine) -> [u8; 32] {
    struct Feed(Sha256);
    impl Hasher for Feed {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        fn finish(&self) -> u64 {
            0 // The whole hash is taken instead.
        }
    }
    let mut feed = Feed(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut feed);
    feed.0.finalize().into()
}
