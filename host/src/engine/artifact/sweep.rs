//! Keeps the cache folder within its size: what was used longest ago goes first.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::disk::{Disk, UNFINISHED, remove};

/// An unfinished file of this age was left by a crash.
const ABANDONED: Duration = Duration::from_secs(3600);

/// What one sweep did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Swept {
    /// Bytes there are afterwards.
    pub(super) kept: u64,
    /// Bytes deleted.
    pub(super) deleted: u64,
}

/// Files that stand and fall together: a payload and its seal, or one blob.
struct Entry {
    files: Vec<PathBuf>,
    bytes: u64,
    used: SystemTime,
}

/// Deletes the entries used longest ago until at most `limit` bytes are left; never those in `pinned` (paths of blobs and
/// payloads in use: deleting them would free nothing now and cost work after a restart). Blocks.
pub(super) fn sweep(disk: &Disk, limit: u64, pinned: &HashSet<PathBuf>) -> Swept {
    let mut entries = Vec::new();
    for folder in [disk.blobs(), disk.compiled()] {
        if let Err(error) = list(&folder, &mut entries) {
            tracing::debug!(folder = %folder.display(), %error, "cannot list");
        }
    }
    let mut swept = Swept { kept: entries.iter().map(|entry| entry.bytes).sum(), deleted: 0 };
    if swept.kept <= limit {
        return swept;
    }
    entries.retain(|entry| !entry.files.iter().any(|file| pinned.contains(file)));
    entries.sort_by_key(|entry| entry.used);
    for entry in entries {
        if swept.kept <= limit {
            break;
        }
        entry.files.iter().for_each(|file| remove(file));
        swept.kept -= entry.bytes;
        swept.deleted += entry.bytes;
    }
    tracing::info!(folder = %disk.root().display(), kept = swept.kept, deleted = swept.deleted, "cache folder swept");
    swept
}

fn list(folder: &Path, entries: &mut Vec<Entry>) -> io::Result<()> {
    for file in fs::read_dir(folder)? {
        let file = file?;
        let (path, Ok(metadata)) = (file.path(), file.metadata()) else { continue };
        let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        if file.file_name().to_string_lossy().starts_with(UNFINISHED) {
            if used.elapsed().is_ok_and(|age| age > ABANDONED) {
                remove(&path);
            }
            continue;
        }
        match path.extension().and_then(|extension| extension.to_str()) {
            // Counted with its payload. One without is worth nothing.
            Some("seal") => {
                if !path.with_extension("cwasm").exists() {
                    remove(&path);
                }
            }
            Some("cwasm") => {
                let seal = path.with_extension("seal");
                // The seal's time is the time of use: to touch the payload would break the seal.
                let used = fs::metadata(&seal).and_then(|seal| seal.modified()).unwrap_or(used);
                // The seal first: a payload without one is never used, a seal without a payload neither.
                entries.push(Entry { files: vec![seal, path], bytes: metadata.len(), used });
            }
            _ => entries.push(Entry { files: vec![path], bytes: metadata.len(), used }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::artifact::{Digest, seal::Sealed};

    fn aged(path: &Path, seconds: u64) {
        let time = SystemTime::now() - Duration::from_secs(seconds);
        fs::File::open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn the_longest_unused_goes_first_and_pinned_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path().into()).unwrap();
        let blobs: Vec<PathBuf> = (0..4_u64)
            .map(|i| {
                let digest = Digest::of(&i.to_le_bytes());
                disk.write_blob(&digest, &[0; 1000]).unwrap();
                aged(&disk.blob(&digest), 1000 - i * 100);
                disk.blob(&digest)
            })
            .collect();
        Sealed::store(&disk, "key", &[0; 500]).unwrap();
        let (payload, seal) = super::super::seal::paths(&disk, "key");
        aged(&seal, 750);
        let exist = || {
            blobs.iter().chain([&payload, &seal]).map(|path| if path.exists() { '+' } else { '-' }).collect::<String>()
        };

        let none = HashSet::new();
        assert_eq!(sweep(&disk, 4500, &none), Swept { kept: 4500, deleted: 0 });
        assert_eq!(exist(), "++++++");
        // By age: blob 0, blob 1, blob 2, the compiled one, blob 3 would be wrong: the compiled one is older than blob 3.
        let pinned = HashSet::from([blobs[0].clone()]);
        assert_eq!(sweep(&disk, 2400, &pinned), Swept { kept: 2000, deleted: 2500 });
        assert_eq!(exist(), "+--+--");
        assert_eq!(sweep(&disk, 0, &none), Swept { kept: 0, deleted: 2000 });
        assert_eq!(exist(), "------");
    }

    #[test]
    fn what_a_crash_left_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path().into()).unwrap();
        let (old, new) = (disk.compiled().join(".unfinished-a"), disk.compiled().join(".unfinished-b"));
        let orphan = disk.compiled().join("k.seal");
        for path in [&old, &new, &orphan] {
            fs::write(path, b"x").unwrap();
        }
        aged(&old, 7200);
        assert_eq!(sweep(&disk, 1 << 20, &HashSet::new()), Swept::default());
        assert_eq!([&old, &new, &orphan].map(|path| path.exists()), [false, true, false]);
    }
}
