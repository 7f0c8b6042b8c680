//! What can go wrong on the way from an `image` to a compiled component. Each text says what is wrong, where, and what to
//! do next, since it ends up in a workload's status, in front of somebody who may not know this program.

use std::path::PathBuf;

use super::{Digest, oci::Tried};

/// Why a component cannot be had. Plain data, so that all who wait for the same work get the same answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// The `image` is neither a file nor a registry reference.
    #[error("the image `{image}` is not understood: {reason}")]
    InvalidReference {
        /// As written.
        image: String,
        /// What is wrong and what to write.
        reason: String,
    },
    /// The `digest` is not `sha256:<hex>`, or contradicts the reference's own.
    #[error("the digest `{digest}` of `{image}` cannot be used: {reason}")]
    InvalidDigest {
        /// As written.
        image: String,
        /// As written.
        digest: String,
        /// What is wrong.
        reason: String,
    },
    /// No such file.
    #[error("there is no file {}: build the component, or correct the path in `image`", path.display())]
    FileNotFound {
        /// The path looked at.
        path: PathBuf,
    },
    /// A folder where a file is needed.
    #[error("{} is a folder, not a component: name the .wasm file in it{hint}", path.display())]
    IsDirectory {
        /// The path looked at.
        path: PathBuf,
        /// `, such as <file>`, or nothing.
        hint: String,
    },
    /// The file may not be read.
    #[error("{} may not be read: give the user that runs the host read permission on it and on its folders", path.display())]
    PermissionDenied {
        /// The path looked at.
        path: PathBuf,
    },
    /// Any other fault of reading a file.
    #[error("{} cannot be read: {reason}", path.display())]
    FileUnreadable {
        /// The path looked at.
        path: PathBuf,
        /// The system's own words.
        reason: String,
    },
    /// No bytes at all.
    #[error("`{origin}` is empty: its build has probably failed half way; build it again")]
    Empty {
        /// The image.
        origin: String,
    },
    /// A core module.
    #[error(
        "`{origin}` is a core WebAssembly module, not a component: wrap it with `wasm-tools component new` (with \
         `--adapt` if it uses WASI preview 1), or build it for a component target such as wasm32-wasip2"
    )]
    CoreModule {
        /// The image.
        origin: String,
    },
    /// Something else than WebAssembly.
    #[error("`{origin}` is not a WebAssembly component: it looks like {looks_like}")]
    NotWasm {
        /// The image.
        origin: String,
        /// What it seems to be, and what to do about it.
        looks_like: String,
    },
    /// A component encoding that this engine does not know.
    #[error(
        "`{origin}` is encoded as version {version:#x} of the component format, which is not supported: rebuild it with current tools"
    )]
    UnknownEncoding {
        /// The image.
        origin: String,
        /// The version field of the header.
        version: u16,
    },
    /// The bytes end too early.
    #[error("`{origin}` is cut off: it has {have} bytes and needs at least {need}; copy or build it again")]
    Truncated {
        /// The image.
        origin: String,
        /// Bytes there are.
        have: u64,
        /// Bytes that its own sections ask for.
        need: u64,
    },
    /// More bytes than the host accepts.
    #[error(
        "`{origin}` is too large: {size} bytes, and this host accepts at most {limit}; strip it, or raise the host's limit on component size"
    )]
    TooLarge {
        /// The image.
        origin: String,
        /// Bytes it has, or has announced.
        size: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The bytes are not those that were asked for.
    #[error(
        "`{origin}` has the digest {actual}, but {expected} was asked for: update the digest if the change was meant, else find out who changed the {what}"
    )]
    DigestMismatch {
        /// The image.
        origin: String,
        /// The digest demanded.
        expected: Box<Digest>,
        /// The digest found.
        actual: Box<Digest>,
        /// `file`, `manifest` or `layer`.
        what: &'static str,
    },
    /// No connection, a broken one, or no answer in time, on every attempt.
    #[error(
        "the registry {registry} of `{image}` cannot be reached ({reason}, {attempts} attempts): check its name, the network, and proxy settings"
    )]
    RegistryUnreachable {
        /// The image.
        image: String,
        /// Host and port.
        registry: String,
        /// The last attempt's fault.
        reason: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// TLS cannot be agreed on.
    #[error(
        "no trusted TLS connection to the registry {registry} of `{image}`: {reason}; add its CA to the host's certificates \
         (SSL_CERT_FILE), or, if it speaks plain HTTP only, list it as an insecure registry"
    )]
    Tls {
        /// The image.
        image: String,
        /// Host and port.
        registry: String,
        /// What TLS says.
        reason: String,
    },
    /// 401, or the token service refused.
    #[error("the registry {registry} wants other credentials for `{image}`: {}", tried.advice())]
    Unauthorized {
        /// The image.
        image: String,
        /// Host and port.
        registry: String,
        /// Where the credentials came from, and what to do.
        tried: Tried,
    },
    /// 403.
    #[error(
        "the registry {registry} forbids to pull `{image}`: give the account read access to this repository (it was asked with {tried})"
    )]
    Forbidden {
        /// The image.
        image: String,
        /// Host and port.
        registry: String,
        /// Where the credentials came from, and what to do.
        tried: Tried,
    },
    /// 404 for the manifest.
    #[error("the registry {registry} has no `{image}`: check repository and tag, or push it first")]
    ImageNotFound {
        /// The image.
        image: String,
        /// Host and port.
        registry: String,
    },
    /// The registry answers, but not as it should.
    #[error("the registry {registry} cannot serve `{image}`: {reason}")]
    RegistryFault {
        /// The image.
        image: String,
        /// Host and port.
        registry: String,
        /// What it answered.
        reason: String,
    },
    /// An artifact without a component in it.
    #[error(
        "`{image}` holds no component: {found}; push the .wasm file itself, for instance with `wash oci push` or \
         `oras push <image> component.wasm:application/wasm`"
    )]
    NotAComponentImage {
        /// The image.
        image: String,
        /// What the manifest holds instead.
        found: String,
    },
    /// The policy forbids asking, and nothing is on disk.
    #[error(
        "`{image}` is not on this host, and its pull policy `Never` forbids to ask the registry: use `IfNotPresent`, or load it first"
    )]
    NeverPulled {
        /// The image.
        image: String,
    },
    /// A stored blob is not what its name says. It is gone by now.
    #[error("the stored copy of `{origin}` was damaged and has been deleted: the next attempt fetches it again")]
    StoredCopyDamaged {
        /// The image.
        origin: String,
    },
    /// The engine refuses the component.
    #[error(
        "`{origin}` does not compile: {reason}; `wasm-tools validate --features all` on it tells whether its build is at fault"
    )]
    Compile {
        /// The image.
        origin: String,
        /// The engine's own words.
        reason: String,
    },
    /// The WIT of a component cannot be read.
    #[error("the interfaces of `{origin}` cannot be read: {reason}")]
    Undecodable {
        /// The image.
        origin: String,
        /// The decoder's own words.
        reason: String,
    },
    /// The cache folder belongs to somebody else.
    #[error("the cache folder {} cannot be trusted: {reason}", path.display())]
    CacheFolder {
        /// The folder.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The key for machine code of other hosts is not usable.
    #[error("the key for shared machine code {}: {reason}", path.display())]
    CommonKey {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The work was stopped, or failed in a way that is this program's own fault.
    #[error("`{origin}` was not finished: {reason}; if the host is not shutting down, this is a bug")]
    Unfinished {
        /// The image.
        origin: String,
        /// What happened.
        reason: String,
    },
}

// === impl ArtifactError ===

impl ArtifactError {
    pub(super) fn mismatch(origin: String, expected: Digest, actual: Digest, what: &'static str) -> Self {
        // In boxes: two digests would make every `Result` with this error as large as both.
        Self::DigestMismatch { origin, expected: expected.into(), actual: actual.into(), what }
    }

    /// Whether trying again later may help with nothing else changed: the network or the registry was at fault. The others
    /// stay as they are until somebody changes the manifest, the file, the registry's content or the credentials.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::RegistryUnreachable { .. }
                | Self::RegistryFault { .. }
                | Self::StoredCopyDamaged { .. }
                | Self::Unfinished { .. }
        )
    }
}

/// Something that does not stop a component from running, but that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactWarning {
    /// A pulled or compiled form could not be stored.
    #[error(
        "{what} of `{origin}` cannot be kept in {} ({reason}): it runs all the same, but a restart has to do this work again; \
         make room there, or choose another cache folder", folder.display()
    )]
    NotStored {
        /// `the pulled copy` or `the compiled form`.
        what: &'static str,
        /// The image.
        origin: String,
        /// The cache folder.
        folder: PathBuf,
        /// The system's own words.
        reason: String,
    },
    /// The registry could not be asked, and the copy on disk is used.
    #[error("the copy of `{image}` on disk is used, though its policy is `Always`: {reason}")]
    Stale {
        /// The image.
        image: String,
        /// Why the registry could not be asked.
        reason: String,
    },
}
