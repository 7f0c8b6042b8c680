//! With what a registry is asked: the workload's pull secret, else docker's configuration, else nothing.
//!
//! The file's format and the helpers' protocol are docker's
//! (<https://docs.docker.com/reference/cli/docker/login/#credential-helper-protocol>).

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use oci_client::secrets::RegistryAuth;
use penstock_api::snapshot::PullSecret;
use serde::Deserialize;
use tokio::{io::AsyncWriteExt as _, process::Command};

/// A helper that asks a person something has no one to answer it here.
const HELPER_TIMEOUT: Duration = Duration::from_secs(10);
/// The key under which docker keeps the account of Docker Hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Where the credentials of one attempt came from. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// None were found.
    Nothing,
    /// The workload's image pull secret.
    PullSecret,
    /// Docker's configuration file.
    DockerConfig(PathBuf),
    /// A credential helper that docker's configuration names.
    Helper(String),
    /// Docker's configuration was there, but could not be used.
    Unusable(String),
}

/// Where docker's configuration is, and where helpers are looked for.
#[derive(Clone, Debug)]
pub(super) struct DockerConfig {
    /// The folder with `config.json`.
    pub(super) folder: Option<PathBuf>,
    /// `PATH` for credential helpers; `None`: this process's own.
    pub(super) path: Option<OsString>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ConfigFile {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(alias = "identitytoken")]
    identity_token: Option<String>,
    #[serde(alias = "registrytoken")]
    registry_token: Option<String>,
}

/// What a helper prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

// === impl Tried ===

impl Tried {
    /// What to do when a registry refuses these.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Nothing => {
                "none were given; name an `imagePullSecret` in the workload, or run `docker login` as the \
                              user that runs the host"
                    .to_owned()
            }
            Self::PullSecret => {
                "it refused the user name or password in the workload's `imagePullSecret`; correct the \
                                 secret"
                    .to_owned()
            }
            Self::DockerConfig(file) => {
                format!("it refused those in {}; run `docker login` again", file.display())
            }
            Self::Helper(name) => {
                format!("it refused those that `{name}` gave; log in again with the tool it belongs to")
            }
            Self::Unusable(reason) => format!("none could be found, since {reason}"),
        }
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing | Self::Unusable(_) => f.write_str("no credentials"),
            Self::PullSecret => f.write_str("the workload's `imagePullSecret`"),
            Self::DockerConfig(file) => write!(f, "the credentials in {}", file.display()),
            Self::Helper(name) => write!(f, "the credentials from `{name}`"),
        }
    }
}

/// The credentials for one repository, and where they came from. Whatever is wrong with docker's configuration is told
/// only if the registry does not answer without: public artifacts need none.
pub(super) async fn find(
    registry: &str,
    repository: &str,
    secret: Option<&PullSecret>,
    docker: &DockerConfig,
) -> (RegistryAuth, Tried) {
    if let Some(PullSecret { username, password }) = secret {
        return (RegistryAuth::Basic(username.clone(), password.clone()), Tried::PullSecret);
    }
    let Some(file) = docker.folder.as_ref().map(|folder| folder.join("config.json")) else {
        return (RegistryAuth::Anonymous, Tried::Nothing);
    };
    let config = match read(&file).await {
        Ok(Some(config)) => config,
        Ok(None) => return (RegistryAuth::Anonymous, Tried::Nothing),
        Err(reason) => return (RegistryAuth::Anonymous, Tried::Unusable(reason)),
    };
    let mut trouble = None;
    if let Some(name) = config.helper(registry) {
        match ask_helper(&name, registry, docker).await {
            Ok(Some(auth)) => return (auth, Tried::Helper(name)),
            Ok(None) => {}
            Err(reason) => trouble = Some(reason),
        }
    }
    match config.entry(registry, repository).map(|entry| entry.auth(&file)) {
        Some(Ok(Some(auth))) => return (auth, Tried::DockerConfig(file)),
        Some(Err(reason)) => trouble = Some(reason),
        Some(Ok(None)) | None => {}
    }
    (RegistryAuth::Anonymous, trouble.map_or(Tried::Nothing, Tried::Unusable))
}

async fn read(file: &Path) -> Result<Option<ConfigFile>, String> {
    match tokio::fs::read(file).await {
        // Of the error only the place: its text may quote what it stumbled over, which may be a password.
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            format!("{} is malformed at line {}, column {}; correct it", file.display(), error.line(), error.column())
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} cannot be read ({error})", file.display())),
    }
}

/// A registry's name as docker writes it, less what people put around it.
fn bare(key: &str) -> &str {
    let key = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    key.trim_end_matches("/v1").trim_end_matches("/v2")
}

fn is_hub(registry: &str) -> bool {
    matches!(registry, "docker.io" | "index.docker.io" | "registry-1.docker.io")
}

// === impl ConfigFile ===

impl ConfigFile {
    /// The program that keeps this registry's credentials.
    fn helper(&self, registry: &str) -> Option<String> {
        let own = self.cred_helpers.iter().find(|(key, _)| names(bare(key), registry)).map(|(_, name)| name);
        let name = own.or(self.creds_store.as_ref())?;
        // A name, not a path to just any program.
        (!name.is_empty() && !name.contains('/')).then(|| format!("docker-credential-{name}"))
    }

    /// The entry for the repository's longest prefix: some tools keep accounts by `registry/namespace`.
    fn entry(&self, registry: &str, repository: &str) -> Option<&Entry> {
        let whole = format!("{registry}/{repository}");
        let mut found: Option<(&str, &Entry)> = None;
        for (key, entry) in &self.auths {
            let key = bare(key);
            let fits = names(key, registry)
                || whole.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            if fits && found.is_none_or(|(other, _)| key.len() > other.len()) {
                found = Some((key, entry));
            }
        }
        found.map(|(_, entry)| entry)
    }
}

fn names(key: &str, registry: &str) -> bool {
    key == registry || (is_hub(key) && is_hub(registry))
}

// === impl Entry ===

impl Entry {
    /// `None` for an empty entry, as docker leaves it beside a helper.
    fn auth(&self, file: &Path) -> Result<Option<RegistryAuth>, String> {
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = filled(&self.registry_token) {
            return Ok(Some(RegistryAuth::Bearer(token)));
        }
        if let (Some(username), Some(password)) = (filled(&self.username), filled(&self.password)) {
            return Ok(Some(RegistryAuth::Basic(username, password)));
        }
        if filled(&self.identity_token).is_some() {
            return Err(format!(
                "the entry in {} is an identity token, which cannot be used here; name an `imagePullSecret` with user \
                 name and password",
                file.display()
            ));
        }
        let Some(auth) = filled(&self.auth) else { return Ok(None) };
        let decoded = BASE64_STANDARD.decode(auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        match decoded.as_deref().and_then(|text| text.split_once(':')) {
            Some((username, password)) => {
                Ok(Some(RegistryAuth::Basic(username.to_owned(), password.trim_end_matches('\0').to_owned())))
            }
            None => {
                Err(format!("`auth` in {} is not `user:password` in base64; run `docker login` again", file.display()))
            }
        }
    }
}

/// Asks `docker-credential-<name> get`. `None`: it has none for this registry.
async fn ask_helper(name: &str, registry: &str, docker: &DockerConfig) -> Result<Option<RegistryAuth>, String> {
    let mut command = Command::new(name);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    if let Some(path) = &docker.path {
        command.env("PATH", path);
    }
    let server = if is_hub(registry) { DOCKER_HUB } else { registry };
    let ask = async {
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that ends without reading is judged by what it printed.
            let _ = stdin.write_all(server.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let output = match tokio::time::timeout(HELPER_TIMEOUT, ask).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => {
            return Err(format!(
                "`{name}` does not start ({error}); install it, or remove it from docker's configuration"
            ));
        }
        Err(_) => return Err(format!("`{name}` did not answer within {} s", HELPER_TIMEOUT.as_secs())),
    };
    if !output.status.success() {
        // The protocol's way of saying that there is none; anything else is a fault, whose text may be trusted no further.
        let absent = String::from_utf8_lossy(&output.stdout).to_lowercase().contains("credentials not found");
        return if absent { Ok(None) } else { Err(format!("`{name}` failed ({})", output.status)) };
    }
    let answer: HelperAnswer = serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("`{name}` answered something else than credentials"))?;
    if answer.username == "<token>" {
        return Err(format!(
            "`{name}` gave an identity token, which cannot be used here; name an `imagePullSecret` with user name and password"
        ));
    }
    Ok(Some(RegistryAuth::Basic(answer.username, answer.secret)))
}

#[cfg(test)]
mod tests;
