//! Components from `file://` paths.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

use bytes::Bytes;

use super::ArtifactError;

/// Reads the file at `path`, at most `limit` bytes of it. Blocks.
pub(super) fn read(path: &Path, limit: u64) -> Result<Bytes, ArtifactError> {
    let fault = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ArtifactError::FileNotFound { path: path.into() },
        io::ErrorKind::PermissionDenied => ArtifactError::PermissionDenied { path: path.into() },
        io::ErrorKind::IsADirectory => ArtifactError::IsDirectory { path: path.into(), hint: hint(path) },
        _ => ArtifactError::FileUnreadable { path: path.into(), reason: error.to_string() },
    };
    // Before it is opened: opening a named pipe waits for a writer.
    let metadata = fs::metadata(path).map_err(fault)?;
    if metadata.is_dir() {
        return Err(fault(io::ErrorKind::IsADirectory.into()));
    }
    if !metadata.is_file() {
        return Err(fault(io::Error::other("it is not a regular file")));
    }
    let too_large = |size| ArtifactError::TooLarge { origin: format!("file://{}", path.display()), size, limit };
    if metadata.len() > limit {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    // It may be growing while it is read.
    fs::File::open(path).map_err(fault)?.take(limit + 1).read_to_end(&mut bytes).map_err(fault)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes.into())
}

/// `, such as <the first .wasm file in the folder>`.
fn hint(folder: &Path) -> String {
    let Ok(entries) = fs::read_dir(folder) else { return String::new() };
    let first = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .min();
    first.map_or(String::new(), |path| format!(", such as {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_file_of_just_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wasm");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), &b"12345"[..]);
    }

    #[test]
    fn sentences() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display();
        let path = folder.path().join("a.wasm");

        assert_eq!(
            read(&path, 5).unwrap_err().to_string(),
            format!("there is no file {root}/a.wasm: build the component, or correct the path in `image`")
        );
        assert_eq!(
            read(folder.path(), 5).unwrap_err().to_string(),
            format!("{root} is a folder, not a component: name the .wasm file in it")
        );
        fs::write(&path, b"123456").unwrap();
        assert_eq!(
            read(folder.path(), 5).unwrap_err().to_string(),
            format!("{root} is a folder, not a component: name the .wasm file in it, such as {root}/a.wasm")
        );
        assert_eq!(
            read(&path, 5).unwrap_err().to_string(),
            format!(
                "`file://{root}/a.wasm` is too large: 6 bytes, and this host accepts at most 5; strip it, or raise the \
                 host's limit on component size"
            )
        );
        assert_eq!(
            read(&path.join("b.wasm"), 5).unwrap_err().to_string(),
            format!("there is no file {root}/a.wasm/b.wasm: build the component, or correct the path in `image`")
        );
        assert_eq!(
            read(Path::new("/dev/null"), 5).unwrap_err().to_string(),
            "/dev/null cannot be read: it is not a regular file"
        );
        // That of a file without read permission is in tests/artifact_errors.rs: it needs another user than root.
        assert_eq!(
            ArtifactError::PermissionDenied { path: "/srv/a.wasm".into() }.to_string(),
            "/srv/a.wasm may not be read: give the user that runs the host read permission on it and on its folders"
        );
    }
}
