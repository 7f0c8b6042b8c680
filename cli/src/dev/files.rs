//! From the places that a user names to the texts of manifests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Component, Path, PathBuf},
};

/// Folders whose contents are built, not written: they may hold a hundred thousand files, and no manifests.
const SKIPPED: [&str; 2] = ["node_modules", "target"];

/// A file that may be a manifest.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its name for people: the place as it was named, and what is below it.
    pub(crate) name: String,
    /// Whether the user named this very file.
    pub(crate) named: bool,
    /// What it holds, or why that cannot be read.
    pub(crate) text: Result<String, String>,
}

/// Everything below `places` by absolute path. `enter` is called with each folder before it is listed, so that a
/// watcher set up there misses nothing. A place that is gone is an empty one.
pub(crate) fn scan(places: &[PathBuf], enter: &mut dyn FnMut(&Path)) -> BTreeMap<PathBuf, Found> {
    let mut scan = Scan { found: BTreeMap::new(), seen: BTreeSet::new(), enter };
    for place in places {
        let absolute = absolute(place);
        if absolute.is_dir() {
            scan.folder(&absolute, place);
        } else {
            if let Some(parent) = absolute.parent() {
                (scan.enter)(parent);
            }
            scan.file(&absolute, place, true);
        }
    }
    scan.found
}

/// Whether every place is there.
///
/// # Errors
///
/// A sentence about the first that is not.
pub(crate) fn check(places: &[PathBuf]) -> Result<(), String> {
    places.iter().try_for_each(|place| match fs::metadata(place) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(format!(
            "there is no file or folder {}: name one that holds manifests, such as examples/quickstart/manifests",
            place.display()
        )),
        Err(error) => Err(format!("{} cannot be read: {error}", place.display())),
    })
}

/// An absolute path without `.` and `..`, as far as that can be told from its text.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}

/// A path as people read it: from the current folder on, if it is below it.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

struct Scan<'a> {
    found: BTreeMap<PathBuf, Found>,
    seen: BTreeSet<PathBuf>,
    enter: &'a mut dyn FnMut(&Path),
}

impl Scan<'_> {
    fn folder(&mut self, path: &Path, name: &Path) {
        // A link may lead back to a folder above it.
        if !self.seen.insert(path.canonicalize().unwrap_or_else(|_| path.to_owned())) {
            return;
        }
        (self.enter)(path);
        // It may be gone by now; then there is nothing in it.
        let Ok(entries) = fs::read_dir(path) else { return };
        for entry in entries.flatten() {
            let file = entry.file_name();
            let text = file.to_string_lossy();
            // Hidden: version control, editors' own files, the folders behind a mounted ConfigMap.
            if text.starts_with('.') {
                continue;
            }
            let (path, name) = (path.join(&file), name.join(&file));
            if path.is_dir() {
                if !SKIPPED.contains(&&*text) {
                    self.folder(&path, &name);
                }
            } else if is_manifest(&path) {
                self.file(&path, &name, false);
            }
        }
    }

    fn file(&mut self, path: &Path, name: &Path, named: bool) {
        let text = match fs::read_to_string(path) {
            Ok(text) => Ok(text),
            // Removed since it was listed, or a place that is gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err("it is not a text file in UTF-8".to_owned())
            }
            Err(error) => Err(format!("it cannot be read: {error}")),
        };
        let name = name.strip_prefix(".").unwrap_or(name).display().to_string();
        let found = self.found.entry(path.to_owned()).or_insert(Found { name, named, text });
        found.named |= named;
    }
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|it| it == "yaml" || it == "yml" || it == "json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        folder
    }

    #[test]
    fn manifests_are_found_at_any_depth_and_nothing_else() {
        let folder = tree(&[
            "a.yaml",
            "b/c.yml",
            "b/d/e.json",
            "b/readme.md",
            ".git/x.yaml",
            "target/debug/x.yaml",
            "b/node_modules/p/package.json",
            ".a.yaml.swp",
        ]);
        let mut entered = Vec::new();
        let found = scan(&[folder.path().into()], &mut |path| entered.push(path.to_owned()));
        let names: Vec<_> = found.keys().map(|path| path.strip_prefix(folder.path()).unwrap().to_owned()).collect();
        assert_eq!(names, ["a.yaml", "b/c.yml", "b/d/e.json"].map(PathBuf::from));
        assert_eq!(entered, [folder.path().into(), folder.path().join("b"), folder.path().join("b/d")]);
        assert!(found.values().all(|it| !it.named));
    }

    #[test]
    fn a_named_file_needs_no_ending_and_counts_once() {
        let folder = tree(&["a.yaml", "manifest"]);
        let places = ["manifest", "a.yaml", ""].map(|it| folder.path().join(it));
        let found = scan(&places, &mut |_| {});
        let named: Vec<_> = found.values().map(|it| (it.text.clone().unwrap(), it.named)).collect();
        assert_eq!(named, [("a.yaml".into(), true), ("manifest".into(), true)]);
    }

    #[test]
    fn a_link_to_a_folder_above_ends() {
        let folder = tree(&["a/b.yaml"]);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/up")).unwrap();
        assert_eq!(scan(&[folder.path().into()], &mut |_| {}).len(), 1);
    }

    #[test]
    fn what_is_no_text_says_so() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), [0xff, 0xfe, 0x00]).unwrap();
        let found = scan(&[folder.path().into()], &mut |_| {});
        assert_eq!(found.values().next().unwrap().text, Err("it is not a text file in UTF-8".into()));
    }

    #[test]
    fn paths_are_cleaned() {
        assert_eq!(absolute(Path::new("/a/./b/../c")), Path::new("/a/c"));
        assert_eq!(absolute(Path::new("/../a")), Path::new("/a"));
    }
}
