//! One conversation with a registry: attempts, time limits, and what is said when all fail.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use oci_client::{Client, Reference, RegistryOperation, errors::OciDistributionError, secrets::RegistryAuth};

use super::{
    super::{ArtifactError, Digest},
    Tried,
    fault::{Asked, Fault},
    manifest,
};

/// How patient pulls are.
#[derive(Clone, Copy, Debug)]
pub struct PullLimits {
    /// How often one request is tried when the network or the registry is at fault. At least 1.
    pub attempts: u32,
    /// Waiting time before the second attempt; doubles with each further one, and varies by up to half.
    pub backoff: Duration,
    /// For a connection.
    pub connect_timeout: Duration,
    /// For a manifest or a token, and between two parts of a layer.
    pub answer_timeout: Duration,
    /// For a whole layer.
    pub layer_timeout: Duration,
}

impl Default for PullLimits {
    fn default() -> Self {
        Self {
            // 0.25 + 0.5 + 1 + 2 s: rides out the restart of a registry, and tells a person soon enough that it is gone.
            attempts: 5,
            backoff: Duration::from_millis(250),
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
            layer_timeout: Duration::from_secs(600),
        }
    }
}

/// One pull of one image.
pub(super) struct Pull<'a> {
    pub(super) image: &'a str,
    pub(super) reference: &'a Reference,
    pub(super) client: Client,
    pub(super) auth: RegistryAuth,
    pub(super) tried: Tried,
    pub(super) limits: PullLimits,
}

// === impl Pull ===

impl Pull<'_> {
    /// The digest that the registry has for this reference now.
    pub(super) async fn head(&self) -> Result<Option<Digest>, ArtifactError> {
        let digest = self
            .attempt(Asked::Manifest, self.limits.answer_timeout, || {
                self.client.fetch_manifest_digest(self.reference, &self.auth)
            })
            .await?;
        // Another algorithm is no fault; the manifest itself is then asked for.
        Ok(digest.parse().ok())
    }

    /// The manifest of this reference, or the one with the digest given.
    pub(super) async fn manifest(&self, digest: Option<&Digest>) -> Result<(Bytes, Digest), ArtifactError> {
        let reference = match digest {
            Some(digest) => &self.reference.clone_with_digest(digest.to_string()),
            None => self.reference,
        };
        let get = || self.client.pull_manifest_raw(reference, &self.auth, &manifest::ACCEPTED);
        self.attempt(Asked::Manifest, self.limits.answer_timeout, || async {
            match get().await {
                // The client goes on without a token when it gets none, and cannot tell why. Asking for it alone tells a
                // refusal from a token service that is out of reach.
                Err(OciDistributionError::UnauthorizedError { .. }) => {
                    self.client.auth(reference, &self.auth, RegistryOperation::Pull).await?;
                    get().await
                }
                result => result,
            }
        })
        .await
        .map(|(bytes, _)| {
            let digest = Digest::of(&bytes);
            (bytes, digest)
        })
    }

    /// The layer, if it is what its descriptor says.
    pub(super) async fn layer(&self, digest: &Digest, size: u64) -> Result<Bytes, ArtifactError> {
        let name = digest.to_string();
        let result = self
            .attempt(Asked::Layer, self.limits.layer_timeout, || async {
                // By digest alone: a descriptor's `urls` would let a manifest send this host anywhere.
                let mut stream = self.client.pull_blob_stream(self.reference, name.as_str()).await?;
                // What the manifest announces is not yet true, so not all of it is reserved.
                let mut bytes = BytesMut::with_capacity(usize::try_from(size).unwrap_or(0).min(16 << 20));
                while let Some(chunk) = stream.try_next().await? {
                    if (bytes.len() + chunk.len()) as u64 > size {
                        return Ok(None);
                    }
                    bytes.extend_from_slice(&chunk);
                }
                Ok(Some(bytes.freeze()))
            })
            .await?;
        let Some(bytes) = result else {
            return Err(self.fault(format!("a layer is longer than the {size} bytes that its manifest says")));
        };
        let actual = Digest::of(&bytes);
        if actual != *digest {
            return Err(ArtifactError::mismatch(self.image.to_owned(), *digest, actual, "layer"));
        }
        Ok(bytes)
    }

    /// Tries until it works, it cannot work, or often enough.
    async fn attempt<T, F>(&self, asked: Asked, timeout: Duration, request: impl Fn() -> F) -> Result<T, ArtifactError>
    where
        F: Future<Output = Result<T, OciDistributionError>>,
    {
        let mut attempt = 1;
        let mut wait = self.limits.backoff;
        loop {
            let fault = match tokio::time::timeout(timeout, request()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => Fault::of(self, asked, error),
                Err(_) => Fault::timeout(self, timeout.as_secs()),
            };
            if !fault.transient || attempt >= self.limits.attempts {
                return Err(match fault.error {
                    ArtifactError::RegistryUnreachable { image, registry, reason, .. } => {
                        ArtifactError::RegistryUnreachable { image, registry, reason, attempts: attempt }
                    }
                    error => error,
                });
            }
            tracing::debug!(image = self.image, attempt, error = %fault.error, "pull failed, to be tried again");
            // Hosts that lost the same registry at the same time should not come back at the same time.
            tokio::time::sleep(wait.mul_f64(1.0 + fastrand::f64() / 2.0)).await;
            wait *= 2;
            attempt += 1;
        }
    }

    /// Takes the password out of a text that came from elsewhere.
    pub(super) fn scrub(&self, text: &str) -> String {
        let secret = match &self.auth {
            RegistryAuth::Basic(_, password) => password,
            RegistryAuth::Bearer(token) => token,
            RegistryAuth::Anonymous => return text.to_owned(),
        };
        if secret.is_empty() { text.to_owned() } else { text.replace(secret.as_str(), "***") }
    }

    /// The beginning of a registry's message, on one line.
    pub(super) fn excerpt(&self, message: &str) -> String {
        let line = self.scrub(message).split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            return "with no further words".to_owned();
        }
        let short: String = line.chars().take(160).collect();
        format!("\"{short}{}\"", if short.len() < line.len() { "..." } else { "" })
    }

    fn registry(&self) -> String {
        self.reference.registry().to_owned()
    }

    pub(super) fn unreachable(&self, reason: String) -> ArtifactError {
        ArtifactError::RegistryUnreachable {
            image: self.image.to_owned(),
            registry: self.registry(),
            reason,
            attempts: 1,
        }
    }

    pub(super) fn tls(&self, reason: String) -> ArtifactError {
        ArtifactError::Tls { image: self.image.to_owned(), registry: self.registry(), reason }
    }

    pub(super) fn unauthorized(&self) -> ArtifactError {
        ArtifactError::Unauthorized {
            image: self.image.to_owned(),
            registry: self.registry(),
            tried: self.tried.clone(),
        }
    }

    pub(super) fn forbidden(&self) -> ArtifactError {
        ArtifactError::Forbidden { image: self.image.to_owned(), registry: self.registry(), tried: self.tried.clone() }
    }

    pub(super) fn not_found(&self) -> ArtifactError {
        ArtifactError::ImageNotFound { image: self.image.to_owned(), registry: self.registry() }
    }

    pub(super) fn fault(&self, reason: String) -> ArtifactError {
        ArtifactError::RegistryFault { image: self.image.to_owned(), registry: self.registry(), reason }
    }
}
