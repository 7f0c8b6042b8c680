//! Whether a file of machine code is the one that this program wrote.
//!
//! Beside `<key>.cwasm` lies `<key>.seal`: what the key, length and SHA-256 of the payload are, and which file on disk
//! (device, inode, modification and change time) they were last checked against. A payload whose file is still exactly
//! that one is taken without reading it, so that it can be mapped and paged in as needed; any other is hashed first,
//! and sealed anew if it is what it should be. A file's change time moves with every write, rename, link and change of
//! owner or mode, and cannot be set by programs.
//!
//! What this does not see is a medium that returns other bytes than were written to it, with no error. Neither does any
//! other mapped program on the machine.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    Digest,
    disk::{Disk, touch},
};

/// Changes with the meaning of the fields below.
const MAGIC: &str = "penstock-compiled-1";

/// What `<key>.seal` holds.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Seal {
    magic: String,
    key: String,
    length: u64,
    sha256: String,
    checked: Identity,
}

/// One state of one file on this machine.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Identity {
    device: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A payload that has been found to be what this program wrote. There is no other way to make one.
#[derive(Debug)]
pub(super) struct Sealed {
    path: PathBuf,
    hashed: bool,
}

/// Why there is no sound payload.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unsealed {
    /// Nothing is stored under this key.
    Absent,
    /// Something is, and must not be used.
    Rejected(String),
}

// === impl Sealed ===

impl Sealed {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the whole payload had to be read.
    pub(super) fn was_hashed(&self) -> bool {
        self.hashed
    }

    /// Finds the payload of `key` and checks it.
    pub(super) fn find(disk: &Disk, key: &str) -> Result<Self, Unsealed> {
        let (payload, side) = paths(disk, key);
        let metadata = match fs::symlink_metadata(&payload) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unsealed::Absent),
            Err(error) => return Err(Unsealed::Rejected(error.to_string())),
        };
        for path in [&disk.compiled(), &payload, &side] {
            trusted(path, disk.owner()).map_err(Unsealed::Rejected)?;
        }
        let seal = fs::read(&side)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Seal>(&bytes).ok())
            .ok_or_else(|| Unsealed::Rejected("its seal cannot be read".to_owned()))?;
        let reject = |why: &str| Err(Unsealed::Rejected(why.to_owned()));
        if seal.magic != MAGIC {
            return reject("its seal is of another version of this program");
        }
        if seal.key != key {
            return reject("its seal is for another component or other engine settings");
        }
        if seal.length != metadata.len() {
            return reject("its length is not the one that was sealed");
        }
        if seal.checked == Identity::of(&metadata) {
            touch(&side);
            return Ok(Self { path: payload, hashed: false });
        }
        let hash = fs::File::open(&payload).and_then(|mut file| Digest::of_reader(&mut file));
        match hash {
            Ok((digest, _)) if digest.hex() == seal.sha256 => {}
            Ok(_) => return reject("its content is not what was sealed"),
            Err(error) => return Err(Unsealed::Rejected(error.to_string())),
        }
        // A folder that was copied or restored: sound, and from now on known by its new identity.
        if let Err(error) = write(disk, &side, &Seal { checked: Identity::of(&metadata), ..seal }) {
            tracing::debug!(%error, "cannot renew a seal; the file is read whole each time");
        }
        Ok(Self { path: payload, hashed: true })
    }

    /// Stores `payload` under `key`.
    pub(super) fn store(disk: &Disk, key: &str, payload: &[u8]) -> io::Result<Self> {
        let (path, side) = paths(disk, key);
        disk.publish(&path, payload)?;
        let seal = Seal {
            magic: MAGIC.to_owned(),
            key: key.to_owned(),
            length: payload.len() as u64,
            sha256: Digest::of(payload).hex(),
            // After the rename, which moves the change time.
            checked: Identity::of(&fs::symlink_metadata(&path)?),
        };
        write(disk, &side, &seal).inspect_err(|_| super::disk::remove(&path))?;
        Ok(Self { path, hashed: false })
    }

    /// Deletes whatever is stored under `key`.
    pub(super) fn discard(disk: &Disk, key: &str) {
        let (payload, side) = paths(disk, key);
        super::disk::remove(&side);
        super::disk::remove(&payload);
    }
}

impl Identity {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// `<key>.cwasm` and `<key>.seal`.
pub(super) fn paths(disk: &Disk, key: &str) -> (PathBuf, PathBuf) {
    let payload = disk.compiled().join(key).with_extension("cwasm");
    let side = payload.with_extension("seal");
    (payload, side)
}

fn write(disk: &Disk, side: &Path, seal: &Seal) -> io::Result<()> {
    disk.publish(side, &serde_json::to_vec(seal)?)
}

/// Whether nobody but `owner` (and root) could have written this file or folder.
fn trusted(path: &Path, owner: u32) -> Result<(), String> {
    let metadata = fs::symlink_metadata(path).map_err(|_| format!("{} is missing", path.display()))?;
    if metadata.is_symlink() {
        return Err(format!("{} is a symbolic link", path.display()));
    }
    if metadata.uid() != owner {
        return Err(format!("{} belongs to user {}, not to {owner}", path.display(), metadata.uid()));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(format!("{} may be written by others", path.display()));
    }
    Ok(())
}
