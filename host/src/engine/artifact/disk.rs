//! The cache folder: pulled blobs by digest, which digest a tag had, and compiled components.
//!
//! ```text
//! blobs/sha256/<hex>       manifests and components, named by their content
//! tags/<hex>.json          registry/repository:tag -> digest of its manifest, as last seen
//! compiled/<key>.cwasm     machine code, see `seal`
//! compiled/<key>.seal
//! ```
//! Every file is written under another name, synced and renamed, so that a crash leaves either nothing or the whole.
//! Files are never changed in place nor shortened: compiled ones are mapped into memory while they are in use. Several
//! hosts may share the folder as long as they run as the same user.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::{ArtifactError, Digest};

/// Files under this prefix are unfinished.
pub(super) const UNFINISHED: &str = ".unfinished-";

/// The cache folder of one host.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    owner: u32,
    /// Bytes written since the last count of what there is.
    written: AtomicU64,
}

/// `tags/<hex>.json`.
#[derive(Serialize, Deserialize)]
struct TagRecord {
    reference: String,
    digest: String,
}

// === impl Disk ===

impl Disk {
    /// Opens the folder and makes what is missing in it, closed to everybody else. A folder that cannot be made or written
    /// is no error here: whatever cannot be stored is reported when it cannot be stored.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::CacheFolder`] if a part of it belongs to another user: what is in it could make this process run
    /// anything.
    pub(super) fn open(root: PathBuf) -> Result<Self, ArtifactError> {
        let disk = Self { root, owner: rustix::process::geteuid().as_raw(), written: AtomicU64::new(u64::MAX / 2) };
        for folder in [disk.blobs(), disk.tags(), disk.compiled()] {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
            if let Err(error) = made {
                tracing::debug!(folder = %folder.display(), %error, "cache folder not made");
            }
            disk.check_folder(&folder).map_err(|reason| ArtifactError::CacheFolder { path: folder, reason })?;
        }
        Ok(disk)
    }

    fn check_folder(&self, folder: &Path) -> Result<(), String> {
        let Ok(metadata) = fs::symlink_metadata(folder) else { return Ok(()) };
        if !metadata.is_dir() {
            // Nothing can be stored or found there, which is reported when it matters.
            return Ok(());
        }
        if metadata.uid() != self.owner {
            let (theirs, ours) = (metadata.uid(), self.owner);
            return Err(format!(
                "it belongs to user {theirs}, and this host runs as user {ours}; give it to that user, or choose another folder"
            ));
        }
        if metadata.mode() & 0o077 != 0 && fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).is_err() {
            return Err("others may write to it; run `chmod 0700` on it".to_owned());
        }
        Ok(())
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The user that every file must belong to.
    pub(super) fn owner(&self) -> u32 {
        self.owner
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    pub(super) fn tags(&self) -> PathBuf {
        self.root.join("tags")
    }

    pub(super) fn compiled(&self) -> PathBuf {
        self.root.join("compiled")
    }

    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    /// Whether the blob is there with this length. Its content is checked when it is read.
    pub(super) fn has_blob(&self, digest: &Digest, length: u64) -> bool {
        fs::metadata(self.blob(digest)).is_ok_and(|metadata| metadata.is_file() && metadata.len() == length)
    }

    /// The blob, if it is there and whole. A damaged one is deleted.
    pub(super) fn read_blob(&self, digest: &Digest) -> Option<Vec<u8>> {
        let path = self.blob(digest);
        let bytes = fs::read(&path).ok()?;
        if Digest::of(&bytes) == *digest {
            touch(&path);
            return Some(bytes);
        }
        tracing::warn!(path = %path.display(), "stored blob is damaged: deleted, to be fetched again");
        remove(&path);
        None
    }

    pub(super) fn write_blob(&self, digest: &Digest, bytes: &[u8]) -> io::Result<()> {
        self.publish(&self.blob(digest), bytes)
    }

    /// The digest that `reference` (`registry/repository:tag`) had when it was last pulled.
    pub(super) fn tag(&self, reference: &str) -> Option<Digest> {
        let record: TagRecord = serde_json::from_slice(&fs::read(self.tag_path(reference)).ok()?).ok()?;
        (record.reference == reference).then(|| record.digest.parse().ok()).flatten()
    }

    pub(super) fn write_tag(&self, reference: &str, digest: &Digest) -> io::Result<()> {
        let record = TagRecord { reference: reference.to_owned(), digest: digest.to_string() };
        self.publish(&self.tag_path(reference), &serde_json::to_vec(&record)?)
    }

    fn tag_path(&self, reference: &str) -> PathBuf {
        self.tags().join(Digest::of(reference.as_bytes()).hex()).with_extension("json")
    }

    /// Writes a file so that it is either absent or whole, even after a crash.
    pub(super) fn publish(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let mut unfinished = Unfinished::create(folder, 0o600)?;
        unfinished.file.write_all(bytes)?;
        unfinished.file.sync_all()?;
        unfinished.finish(path)?;
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        fs::File::open(folder)?.sync_all()
    }

    /// Whether enough has been written to look at the folder's size again; the next to ask is told no.
    pub(super) fn take_due(&self, every: u64) -> bool {
        self.written.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n >= every).then_some(0)).is_ok()
    }
}

/// A file that is being written. Unless it is finished, it goes away.
pub(super) struct Unfinished {
    path: PathBuf,
    pub(super) file: fs::File,
}

impl Unfinished {
    pub(super) fn create(folder: &Path, mode: u32) -> io::Result<Self> {
        loop {
            let path = folder.join(format!("{UNFINISHED}{:016x}", fastrand::u64(..)));
            match new_file(&path, mode) {
                Ok(file) => return Ok(Self { path, file }),
                // Another's name by chance, or by a generator that two processes began with the same seed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn finish(mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.path.clear();
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            remove(&self.path);
        }
    }
}

/// A file that must not be there yet.
pub(super) fn new_file(path: &Path, mode: u32) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

/// Marks a file as just used: the sweep deletes what has not been used for longest.
pub(super) fn touch(path: &Path) {
    if let Ok(file) = fs::File::open(path) {
        let _ = file.set_modified(SystemTime::now());
    }
}

/// Deletes a file; that it is gone already is fine, anything else is worth a line in the log.
pub(super) fn remove(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(path = %path.display(), %error, "cannot delete from the cache folder"),
    }
}
