//! Which blob of an artifact is the component.
//!
//! The CNCF's layout (<https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/>) has one layer of type
//! `application/wasm`. Older tools used types of their own for the same thing; all of them are taken.

use serde::Deserialize;

use super::super::{ArtifactError, Digest};

/// Media types of manifests and indexes, newest first.
pub(super) const ACCEPTED: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// Media types of a layer that is a component, as it is.
const COMPONENT_LAYERS: [&str; 5] = [
    "application/wasm",
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.module.wasm.content.layer.v1+wasm",
    "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
    "application/vnd.bytecodealliance.component.layer.v1+wasm",
];

/// What a manifest leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The component itself.
    Component { digest: Digest, size: u64 },
    /// Another manifest.
    Manifest(Digest),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
}

/// Reads a manifest or an index.
pub(super) fn read(image: &str, bytes: &[u8]) -> Result<Target, ArtifactError> {
    let none = |found: String| ArtifactError::NotAComponentImage { image: image.to_owned(), found };
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|error| none(format!("its manifest cannot be read ({error})")))?;
    let digest = |descriptor: &Descriptor| {
        let text = &descriptor.digest;
        text.parse::<Digest>().map_err(|reason| none(format!("its manifest has the digest `{text}`, but {reason}")))
    };
    if !manifest.manifests.is_empty() {
        return match choose(&manifest.manifests) {
            Some(entry) => Ok(Target::Manifest(digest(entry)?)),
            None => Err(none(format!(
                "it is an index of {} images, none of them for the architecture `wasm`",
                manifest.manifests.len()
            ))),
        };
    }
    let mut components = manifest.layers.iter().filter(|layer| COMPONENT_LAYERS.contains(&layer.media_type.as_str()));
    match (components.next(), components.count()) {
        (Some(layer), 0) => Ok(Target::Component { digest: digest(layer)?, size: layer.size }),
        (Some(_), more) => Err(none(format!("it has {} component layers, and one is needed", more + 1))),
        (None, _) => Err(none(what_it_is(&manifest))),
    }
}

/// The entry of an index that is for WebAssembly, or its only one.
fn choose(entries: &[Descriptor]) -> Option<&Descriptor> {
    let wasm = |entry: &&Descriptor| entry.platform.as_ref().is_some_and(|platform| platform.architecture == "wasm");
    entries.iter().find(wasm).or(match entries {
        [only] => Some(only),
        _ => None,
    })
}

fn what_it_is(manifest: &Manifest) -> String {
    let types: Vec<&str> = manifest.layers.iter().map(|layer| layer.media_type.as_str()).collect();
    let listed = if types.is_empty() {
        format!("its manifest ({}) has no layers", manifest.media_type.as_deref().unwrap_or("of no stated type"))
    } else {
        // A container image has dozens of the same.
        let mut kinds = types.clone();
        kinds.dedup();
        format!("its {} layer(s) are of type {}", types.len(), kinds.join(", "))
    };
    if types
        .iter()
        .any(|kind| kind.contains("docker.image") || kind.contains("oci.image.layer") || kind.contains("tar"))
    {
        format!("it is a container image ({listed})")
    } else {
        listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(n: u8) -> String {
        format!("sha256:{}", format!("{n:02x}").repeat(32))
    }

    fn with_layers(types: &[&str]) -> String {
        let layers: Vec<String> = types
            .iter()
            .enumerate()
            .map(|(i, kind)| format!(r#"{{"mediaType":"{kind}","digest":"{}","size":{}}}"#, hex(i as u8), 10 + i))
            .collect();
        format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[{}]}}"#,
            layers.join(",")
        )
    }

    fn fault(text: &str) -> String {
        read("reg/a:1", text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn every_known_layout() {
        for kind in COMPONENT_LAYERS {
            let target = read("x", with_layers(&["application/vnd.wit", kind]).as_bytes()).unwrap();
            assert_eq!(target, Target::Component { digest: hex(1).parse().unwrap(), size: 11 }, "{kind}");
        }
    }

    #[test]
    fn indexes() {
        let entry = |n: u8, architecture: &str| {
            format!(
                r#"{{"mediaType":"m","digest":"{}","size":1,"platform":{{"architecture":"{architecture}","os":"wasip2"}}}}"#,
                hex(n)
            )
        };
        let index = |entries: &[String]| format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
        let chosen = |text: String| read("reg/a:1", text.as_bytes());
        assert_eq!(
            chosen(index(&[entry(1, "amd64"), entry(2, "wasm")])),
            Ok(Target::Manifest(hex(2).parse().unwrap()))
        );
        assert_eq!(chosen(index(&[entry(3, "amd64")])), Ok(Target::Manifest(hex(3).parse().unwrap())));
        assert_eq!(
            fault(&index(&[entry(1, "amd64"), entry(2, "arm64")])),
            "`reg/a:1` holds no component: it is an index of 2 images, none of them for the architecture `wasm`; push the \
             .wasm file itself, for instance with `wash oci push` or `oras push <image> component.wasm:application/wasm`"
        );
    }

    #[test]
    fn what_is_no_component() {
        let advice = "; push the .wasm file itself, for instance with `wash oci push` or `oras push <image> \
                      component.wasm:application/wasm`";
        for (text, found) in [
            (
                with_layers(&["application/vnd.docker.image.rootfs.diff.tar.gzip"; 3]),
                "it is a container image (its 3 layer(s) are of type application/vnd.docker.image.rootfs.diff.tar.gzip)",
            ),
            (with_layers(&["application/json"]), "its 1 layer(s) are of type application/json"),
            (with_layers(&[]), "its manifest (application/vnd.oci.image.manifest.v1+json) has no layers"),
            (with_layers(&["application/wasm", "application/wasm"]), "it has 2 component layers, and one is needed"),
            (
                with_layers(&["application/wasm"]).replace("sha256:", "sha512:"),
                &format!("its manifest has the digest `sha512:{}`, but it must begin with `sha256:`", "00".repeat(32)),
            ),
            ("<html>".to_owned(), "its manifest cannot be read (expected value at line 1 column 1)"),
        ] {
            assert_eq!(fault(&text), format!("`reg/a:1` holds no component: {found}{advice}"));
        }
    }
}
