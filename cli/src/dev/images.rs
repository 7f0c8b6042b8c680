//! Digests of component files: a file that was built anew is a new revision.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use penstock_host::engine::artifact::Digest;

/// Digests of files by path, computed anew only where a file changed.
#[derive(Debug, Default)]
pub(crate) struct Images {
    known: HashMap<PathBuf, (Option<Stamp>, Option<String>)>,
    changed: Vec<PathBuf>,
}

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Images {
    /// The digest of a file; `None` while it cannot be read.
    pub(crate) fn digest(&mut self, path: &Path) -> Option<String> {
        let stamp = fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|metadata| Stamp {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        });
        let known = self.known.get(path);
        if let Some((seen, digest)) = known
            && *seen == stamp
        {
            return digest.clone();
        }
        let digest = stamp.and_then(|_| fs::read(path).ok()).map(|bytes| Digest::of(&bytes).to_string());
        if known.is_some_and(|(_, before)| *before != digest) {
            self.changed.push(path.to_owned());
        }
        self.known.insert(path.to_owned(), (stamp, digest.clone()));
        digest
    }

    /// The files that another digest was given for than before, since this was last asked.
    pub(crate) fn take_changed(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.changed)
    }
}

/// The path of a `file:` image that is one, relative ones from `folder` on; `None` for what comes from a registry.
pub(crate) fn path(image: &str, folder: &Path) -> Option<PathBuf> {
    let path = match image.strip_prefix("file:") {
        Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
        None if image.starts_with(['/', '.']) => image,
        None => return None,
    };
    (!path.is_empty()).then(|| super::files::absolute(&folder.join(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_follows_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.wasm");
        let mut images = Images::default();
        assert_eq!(images.digest(&file), None);
        fs::write(&file, "abc").unwrap();
        let first = images.digest(&file).unwrap();
        assert_eq!(first, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        fs::write(&file, "abcd").unwrap();
        assert_ne!(images.digest(&file).unwrap(), first);
        fs::write(folder.path().join("b.wasm"), "abc").unwrap();
        fs::rename(folder.path().join("b.wasm"), &file).unwrap();
        assert_eq!(images.digest(&file).unwrap(), first);
        assert_eq!(images.take_changed(), vec![file.clone(); 3]);
        fs::write(&file, "abc").unwrap();
        assert_eq!(images.digest(&file).unwrap(), first);
        assert_eq!(images.digest(folder.path()), None);
        assert_eq!(images.take_changed(), Vec::<PathBuf>::new());
    }

    #[test]
    fn images_that_are_files() {
        for (image, expected) in [
            ("file:///srv/a.wasm", Some("/srv/a.wasm")),
            ("file://../components/a.wasm", Some("/m/components/a.wasm")),
            ("file:a.wasm", Some("/m/manifests/a.wasm")),
            ("./a.wasm", Some("/m/manifests/a.wasm")),
            ("/srv/a.wasm", Some("/srv/a.wasm")),
            ("file://", None),
            ("registry.example/a:1", None),
        ] {
            assert_eq!(path(image, Path::new("/m/manifests")), expected.map(PathBuf::from), "{image}");
        }
    }
}
