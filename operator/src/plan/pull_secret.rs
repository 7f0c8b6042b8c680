//! Registry credentials out of a Secret of type `kubernetes.io/dockerconfigjson`.

use k8s_openapi::ByteString;
use penstock_api::{manifest::ObjectKey, reasons, snapshot::PullSecret};
use serde::Deserialize;

use super::{Findings, Name, Values, values};

const KEY: &str = ".dockerconfigjson";

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: std::collections::BTreeMap<String, Auth>,
}

#[derive(Deserialize)]
struct Auth {
    username: Option<String>,
    password: Option<String>,
    /// `user:password` in base64, instead of both.
    auth: Option<ByteString>,
}

/// The credentials for an image's registry. None if the Secret is missing or unreadable, which has been said then; some
/// none if it has nothing for that registry.
pub(super) fn resolve(
    image: &str,
    secret: &str,
    objects: &dyn Values,
    object: &ObjectKey,
    at: &str,
    findings: &mut Findings,
) -> Option<Option<PullSecret>> {
    let name = Name::new(&object.namespace, secret);
    let path = format!("{at}.imagePullSecret.name");
    let Some(secret) = objects.secret(&name) else {
        let message = format!("there is no Secret {name}: create it with `kubectl create secret docker-registry`");
        findings.error(object, path, reasons::SECRET_NOT_FOUND, message);
        return None;
    };
    let text = values::secret_key(&secret, KEY);
    let Some(config) = text.and_then(|it| serde_json::from_str::<DockerConfig>(&it).ok()) else {
        let message =
            format!("Secret {name} has no readable key `{KEY}`: it must be of type kubernetes.io/dockerconfigjson");
        findings.error(object, path, reasons::KEY_NOT_FOUND, message);
        return None;
    };
    let registry = registry(image);
    let found = config.auths.iter().find(|(server, _)| host(server) == registry).and_then(|(_, it)| credentials(it));
    if found.is_none() {
        let message = format!("Secret {name} has no credentials for {registry}: the image is pulled without any");
        findings.warn(object, path, reasons::KEY_NOT_FOUND, message);
    }
    Some(found)
}

fn credentials(auth: &Auth) -> Option<PullSecret> {
    if let (Some(username), Some(password)) = (&auth.username, &auth.password) {
        return Some(PullSecret { username: username.clone(), password: password.clone() });
    }
    let pair = String::from_utf8(auth.auth.as_ref()?.0.clone()).ok()?;
    let (username, password) = pair.split_once(':')?;
    Some(PullSecret { username: username.to_owned(), password: password.to_owned() })
}

/// The registry of an image; without one, it is Docker's.
fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => host(first),
        _ => "docker.io",
    }
}

/// The host of a server as docker's configuration names it, such as `https://index.docker.io/v1/`.
fn host(server: &str) -> &str {
    let server = server.split_once("://").map_or(server, |(_, rest)| rest);
    match server.split('/').next().unwrap_or_default() {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}
