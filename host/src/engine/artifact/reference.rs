//! What an `image` names: a file, or an artifact in a registry.

use std::path::{Path, PathBuf};

use oci_client::{ParseError, Reference};

use super::{ArtifactError, Digest};

/// A parsed `image`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageRef {
    /// `file:///absolute/path.wasm`.
    File(PathBuf),
    /// `registry/repository:tag`, `registry/repository@sha256:...` or both.
    Oci(Reference),
}

// === impl ImageRef ===

impl ImageRef {
    /// Reads an `image` as manifests have it. A relative `file://` path must have been made absolute before.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::InvalidReference`], with the form to write instead.
    pub fn parse(image: &str) -> Result<Self, ArtifactError> {
        let refuse = |reason: String| ArtifactError::InvalidReference { image: image.to_owned(), reason };
        if image.trim() != image {
            return Err(refuse("it begins or ends with white space; remove that".to_owned()));
        }
        if image.is_empty() {
            return Err(refuse(
                "it is empty; write `registry/repository:tag` or `file:///path/to/component.wasm`".to_owned(),
            ));
        }
        if let Some(rest) = image.strip_prefix("file:") {
            return file(rest).map(Self::File).map_err(refuse);
        }
        if let Some((scheme, rest)) = image.split_once("://") {
            let advice = if scheme == "oci" || scheme == "docker" {
                format!("write it without `{scheme}://`: `{rest}`")
            } else {
                "only files (`file:///path`) and registries (`registry/repository:tag`) are known".to_owned()
            };
            return Err(refuse(format!("`{scheme}://` is not a way to name a component; {advice}")));
        }
        if image.starts_with('/') {
            return Err(refuse(format!("it looks like a path; write `file://{image}`")));
        }
        // Without this, `build/hello.wasm` would be looked for in Docker Hub, and reported as missing there.
        let has_registry = image.split_once('/').is_some_and(|(host, _)| host.contains(['.', ':']));
        let bare_file = image.ends_with(".wasm") && !has_registry;
        if image.starts_with(['.', '~']) || bare_file {
            return Err(refuse("it looks like a path; write `file://` and the whole path".to_owned()));
        }
        let reference = Reference::try_from(image).map_err(|error| refuse(explain(&error)))?;
        match reference.digest().map(str::parse::<Digest>) {
            Some(Err(_)) => Err(refuse(explain(&ParseError::DigestUnsupported))),
            _ => Ok(Self::Oci(reference)),
        }
    }

    /// The digest that the reference itself demands: `@sha256:...`.
    pub(super) fn pinned(&self) -> Option<Digest> {
        match self {
            Self::File(_) => None,
            Self::Oci(reference) => reference.digest().and_then(|text| text.parse().ok()),
        }
    }
}

/// The path of `file:<rest>`. It is taken as written: `%20` stays `%20`, since manifests hold paths as people type them.
fn file(rest: &str) -> Result<PathBuf, String> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let path = path.strip_prefix("localhost/").map_or(path.to_owned(), |path| format!("/{path}"));
    if path.is_empty() || path == "/" {
        return Err("no path follows `file://`; write `file:///path/to/component.wasm`".to_owned());
    }
    if !Path::new(&path).is_absolute() {
        return Err(format!("`{path}` is a relative path; here it must be absolute: `file:///path/to/{path}`"));
    }
    Ok(PathBuf::from(path))
}

fn explain(error: &ParseError) -> String {
    match error {
        ParseError::DigestInvalidFormat | ParseError::DigestInvalidLength | ParseError::DigestUnsupported => {
            "after `@` it must have `sha256:` and 64 hexadecimal digits".to_owned()
        }
        ParseError::NameTooLong => "its repository is longer than 255 characters".to_owned(),
        _ => "write `registry/repository:tag` (lower case) or `file:///path/to/component.wasm`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn oci(image: &str) -> Reference {
        match ImageRef::parse(image).unwrap() {
            ImageRef::Oci(reference) => reference,
            ImageRef::File(path) => panic!("{image} is the file {}", path.display()),
        }
    }

    #[test]
    fn files() {
        for (image, path) in [
            ("file:///srv/a.wasm", "/srv/a.wasm"),
            ("file:/srv/a.wasm", "/srv/a.wasm"),
            ("file://localhost/srv/a.wasm", "/srv/a.wasm"),
            ("file:///srv/with space%20.wasm", "/srv/with space%20.wasm"),
        ] {
            assert_eq!(ImageRef::parse(image), Ok(ImageRef::File(path.into())), "{image}");
        }
    }

    #[test]
    fn registries() {
        for (image, registry, repository, tag, digest) in [
            ("registry.example/hello:1.0.0", "registry.example", "hello", Some("1.0.0"), None),
            ("localhost:5000/team/hello", "localhost:5000", "team/hello", Some("latest"), None),
            ("hello:v2", "docker.io", "library/hello", Some("v2"), None),
            (&format!("ghcr.io/a/b@sha256:{HEX}"), "ghcr.io", "a/b", None, Some(HEX)),
            (&format!("ghcr.io/a/b:1@sha256:{HEX}"), "ghcr.io", "a/b", Some("1"), Some(HEX)),
        ] {
            let reference = oci(image);
            assert_eq!(reference.registry(), registry, "{image}");
            assert_eq!(reference.repository(), repository, "{image}");
            assert_eq!(reference.tag(), tag, "{image}");
            assert_eq!(ImageRef::Oci(reference).pinned().map(|d| d.hex()), digest.map(str::to_owned), "{image}");
        }
    }

    #[test]
    fn what_is_refused_and_what_to_write() {
        for (image, message) in [
            (
                "",
                "the image `` is not understood: it is empty; write `registry/repository:tag` or \
                 `file:///path/to/component.wasm`",
            ),
            (
                "file://a/b.wasm",
                "the image `file://a/b.wasm` is not understood: `a/b.wasm` is a relative path; here it must be \
                 absolute: `file:///path/to/a/b.wasm`",
            ),
            (
                "file://",
                "the image `file://` is not understood: no path follows `file://`; write \
                 `file:///path/to/component.wasm`",
            ),
            (
                "oci://ghcr.io/a/b:1",
                "the image `oci://ghcr.io/a/b:1` is not understood: `oci://` is not a way to name a component; write \
                 it without `oci://`: `ghcr.io/a/b:1`",
            ),
            (
                "https://example.com/a.wasm",
                "the image `https://example.com/a.wasm` is not understood: `https://` is not a way to name a \
                 component; only files (`file:///path`) and registries (`registry/repository:tag`) are known",
            ),
            (
                "/srv/a.wasm",
                "the image `/srv/a.wasm` is not understood: it looks like a path; write `file:///srv/a.wasm`",
            ),
            (
                "build/hello.wasm",
                "the image `build/hello.wasm` is not understood: it looks like a path; write `file://` and the whole path",
            ),
            (
                "./hello.wasm",
                "the image `./hello.wasm` is not understood: it looks like a path; write `file://` and the whole path",
            ),
            (
                "ghcr.io/A/b:1",
                "the image `ghcr.io/A/b:1` is not understood: write `registry/repository:tag` (lower case) or \
                 `file:///path/to/component.wasm`",
            ),
            (
                "ghcr.io/a/b@sha256:00112233445566778899aabbccddeeff",
                "the image `ghcr.io/a/b@sha256:00112233445566778899aabbccddeeff` is not understood: after `@` it must \
                 have `sha256:` and 64 hexadecimal digits",
            ),
            (
                &format!("a:1@sha512:{HEX}{HEX}"),
                &format!(
                    "the image `a:1@sha512:{HEX}{HEX}` is not understood: after `@` it must have `sha256:` and 64 \
                     hexadecimal digits"
                ),
            ),
            (
                "hello.wasm",
                "the image `hello.wasm` is not understood: it looks like a path; write `file://` and the whole path",
            ),
            (" a:1", "the image ` a:1` is not understood: it begins or ends with white space; remove that"),
        ] {
            assert_eq!(ImageRef::parse(image).unwrap_err().to_string(), message);
        }
    }
}
