//! Empty volumes: folders that live as long as their share.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use penstock_api::snapshot;

use super::share::StartError;

/// Where the empty volumes of one process live. Processes may share a cache folder: each takes the first part of it
/// that no other one holds, and what a dead one left there goes.
pub(crate) struct ScratchSpace {
    path: PathBuf,
    /// Held for its lock, which the system lets go of with the process, however that ends.
    _lock: File,
}

/// The folders behind a share's volumes.
pub(super) struct Scratch {
    paths: BTreeMap<String, PathBuf>,
    own: Option<PathBuf>,
    /// Not given to another process while the share still has folders in it.
    _space: Arc<ScratchSpace>,
}

// === impl ScratchSpace ===

impl ScratchSpace {
    pub(crate) fn take(base: &Path) -> io::Result<Arc<Self>> {
        fs::create_dir_all(base)?;
        for number in 0_u32.. {
            let lock = File::create(base.join(format!("{number}.lock")))?;
            match lock.try_lock() {
                Ok(()) => {
                    let path = base.join(number.to_string());
                    match fs::remove_dir_all(&path) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                        _ => return Ok(Arc::new(Self { path, _lock: lock })),
                    }
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::other("every part of it is taken"))
    }
}

// === impl Scratch ===

impl Scratch {
    pub(super) fn new(spec: &snapshot::Share, space: &Arc<ScratchSpace>) -> Result<Self, StartError> {
        let mut scratch = Self { paths: BTreeMap::new(), own: None, _space: Arc::clone(space) };
        for (index, volume) in spec.volumes.iter().enumerate() {
            let path = match &volume.host_path {
                Some(path) => PathBuf::from(path),
                None => {
                    let own = space.path.join(spec.id.replace(['/', '@'], "_"));
                    let path = own.join(index.to_string());
                    scratch.own = Some(own);
                    fs::create_dir_all(&path).map_err(|error| {
                        let (name, path) = (&volume.name, path.display());
                        StartError::Instance(format!("volume '{name}': cannot make {path}: {error}"))
                    })?;
                    path
                }
            };
            scratch.paths.insert(volume.name.clone(), path);
        }
        Ok(scratch)
    }

    pub(super) fn path(&self, volume: &str) -> Option<PathBuf> {
        self.paths.get(volume).cloned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(own) = &self.own
            && let Err(error) = fs::remove_dir_all(own)
        {
            tracing::warn!(folder = %own.display(), %error, "an empty volume could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_with_one_cache_folder_do_not_share_volumes() {
        let base = tempfile::tempdir().unwrap();
        let one = ScratchSpace::take(base.path()).unwrap();
        let other = ScratchSpace::take(base.path()).unwrap();
        assert_ne!(one.path, other.path);

        let volume = snapshot::Volume { name: "data".into(), host_path: None };
        let spec = snapshot::Share { id: "a/b@1".into(), volumes: vec![volume], ..snapshot::Share::default() };
        let (mine, theirs) = (Scratch::new(&spec, &one).unwrap(), Scratch::new(&spec, &other).unwrap());
        fs::write(theirs.path("data").unwrap().join("file"), "theirs").unwrap();
        let path = mine.path("data").unwrap();
        drop(mine);
        assert!(!path.exists());
        assert!(theirs.path("data").unwrap().join("file").exists());

        // What a process that died left behind goes when the next one takes its place.
        fs::create_dir_all(one.path.join("left")).unwrap();
        let left = one.path.clone();
        drop(one);
        let next = ScratchSpace::take(base.path()).unwrap();
        assert_eq!(next.path, left);
        assert!(!left.join("left").exists());
    }
}
