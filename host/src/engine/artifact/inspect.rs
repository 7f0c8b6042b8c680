//! What a component imports and exports, and what the host does about it.

use serde::Serialize;
use wit_component::{DecodedWasm, WitPrinter};
use wit_parser::{PackageId, Resolve, TypeDefKind, WorldItem, WorldKey};

use super::{ArtifactError, Digest, sniff};
use crate::engine::offered::{self, Offer};

/// Everything about a component that can be told without running it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// As it was asked for.
    pub image: String,
    /// Of the component's bytes.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// In the component's order.
    pub imports: Vec<Import>,
    /// In the component's order.
    pub exports: Vec<Export>,
    /// Its world and every package it needs, as WIT text.
    pub wit: String,
}

/// One import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Import {
    /// `wasi:http/types@0.2.0`, or the name of a function.
    pub name: String,
    /// What the host does about it.
    #[serde(flatten)]
    pub offer: Offer,
}

/// One export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Export {
    /// `wasi:http/incoming-handler@0.2.0`, or the name of a function.
    pub name: String,
    /// What the host does with it.
    pub role: Role,
}

/// What the host does with an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Serves HTTP requests with it, as `wasi:http/incoming-handler` (0.2).
    Http02,
    /// Serves HTTP requests with it, as `wasi:http/handler` (0.3).
    Http03,
    /// Nothing of its own accord; other components of the workload may import it.
    Linkable,
}

/// Inspects the component in `bytes`; `image` is for errors. Blocks.
///
/// # Errors
///
/// When `bytes` are no component (each case with its own advice), or one whose interfaces cannot be read.
pub fn inspect(image: &str, bytes: &[u8]) -> Result<Inspection, ArtifactError> {
    sniff::check(image, bytes)?;
    let fault = |reason: String| ArtifactError::Undecodable { origin: image.to_owned(), reason };
    let decoded = wit_component::decode(bytes).map_err(|error| fault(format!("{error:#}")))?;
    let DecodedWasm::Component(resolve, world) = &decoded else {
        return Err(fault("it is a WIT package in binary form; build a component that implements it".to_owned()));
    };
    let world = &resolve.worlds[*world];
    let imports = world.imports.iter().map(|(key, item)| {
        let name = resolve.name_world_key(key);
        let offer = if is_types_only(resolve, item) { Offer::TypesOnly } else { offered::look_up(&name) };
        Import { name, offer }
    });
    // A type that the world itself needs is no import of its own.
    let imports = imports.zip(world.imports.values()).filter(|(_, item)| !matches!(item, WorldItem::Type { .. }));
    let exports = world.exports.keys().map(|key| export(resolve, key));
    Ok(Inspection {
        image: image.to_owned(),
        digest: Digest::of(bytes).to_string(),
        size: bytes.len() as u64,
        imports: imports.map(|(import, _)| import).collect(),
        exports: exports.collect(),
        wit: print(resolve, decoded.package()).map_err(fault)?,
    })
}

fn export(resolve: &Resolve, key: &WorldKey) -> Export {
    let name = resolve.name_world_key(key);
    let role = match name.split_once('@') {
        Some(("wasi:http/incoming-handler", version)) if offered::matches(version, "0.2.0") => Role::Http02,
        Some(("wasi:http/handler", version)) if offered::matches(version, "0.3.0") => Role::Http03,
        _ => Role::Linkable,
    };
    Export { name, role }
}

/// Whether there is nothing in an interface that anyone would have to implement: the linker asks for nothing then.
fn is_types_only(resolve: &Resolve, item: &WorldItem) -> bool {
    let WorldItem::Interface { id, .. } = item else { return false };
    let interface = &resolve.interfaces[*id];
    let resource = |id| matches!(&resolve.types[id].kind, TypeDefKind::Resource);
    interface.functions.is_empty() && !interface.types.values().any(|id| resource(*id))
}

fn print(resolve: &Resolve, main: PackageId) -> Result<String, String> {
    let others: Vec<PackageId> = resolve.packages.iter().map(|(id, _)| id).filter(|id| *id != main).collect();
    let mut printer = WitPrinter::default();
    printer.print(resolve, main, &others).map_err(|error| format!("{error:#}"))?;
    Ok(printer.output.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(wat: &str) -> Result<Inspection, ArtifactError> {
        inspect("reg/a:1", &wat::parse_str(wat).unwrap())
    }

    #[test]
    fn imports_exports_and_wit() {
        let found = of(r#"(component
            (import "wasi:random/random@0.2.3" (instance
                (export "get-random-u64" (func (result u64)))))
            (import "acme:tools/hammer@1.0.0" (instance $hammer
                (export "hit" (func))))
            (import "acme:tools/sizes@1.0.0" (instance
                (type $t (record (field "x" u8)))
                (export "size" (type (eq $t)))))
            (import "log" (func (param "text" string)))
            (alias export $hammer "hit" (func $hit))
            (instance $out (export "hit" (func $hit)))
            (export "acme:tools/other@2.0.0" (instance $out))
        )"#)
        .unwrap();
        assert_eq!(
            found.imports,
            [
                Import {
                    name: "wasi:random/random@0.2.3".into(),
                    offer: Offer::Offered { version: "0.2.12".into(), note: None }
                },
                Import { name: "acme:tools/hammer@1.0.0".into(), offer: Offer::NotOffered { nearest: None } },
                Import { name: "acme:tools/sizes@1.0.0".into(), offer: Offer::TypesOnly },
                Import { name: "log".into(), offer: Offer::NotOffered { nearest: None } },
            ]
        );
        assert_eq!(found.exports, [Export { name: "acme:tools/other@2.0.0".into(), role: Role::Linkable }]);
        for line in ["world root {", "import wasi:random/random@0.2.3;", "get-random-u64: func() -> u64;"] {
            assert!(found.wit.contains(line), "no `{line}` in\n{}", found.wit);
        }
        let json = serde_json::to_value(&found.imports[0]).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"name": "wasi:random/random@0.2.3", "offer": "offered", "version": "0.2.12"})
        );
    }

    #[test]
    fn roles() {
        for (name, role) in [
            ("wasi:http/incoming-handler@0.2.0", Role::Http02),
            ("wasi:http/incoming-handler@0.2.9", Role::Http02),
            ("wasi:http/handler@0.3.0", Role::Http03),
            ("wasi:http/handler@0.3.0-rc-2025-09-16", Role::Linkable),
            ("wasi:cli/run@0.2.0", Role::Linkable),
        ] {
            let wat = format!(r#"(component (instance $i) (export "{name}" (instance $i)))"#);
            assert_eq!(of(&wat).unwrap().exports, [Export { name: name.into(), role }]);
        }
    }

    #[test]
    fn what_is_no_component() {
        assert_eq!(inspect("a", b"\0asm\x01\0\0\0").unwrap_err(), ArtifactError::CoreModule { origin: "a".into() });
        let error = inspect("a", b"\0asm\x0d\0\x01\0\x07\x01\xff").unwrap_err().to_string();
        assert!(error.starts_with("the interfaces of `a` cannot be read: "), "{error}");
    }
}
