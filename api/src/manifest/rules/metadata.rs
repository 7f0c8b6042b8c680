//! Names of objects.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::super::diagnostic::Problem;

pub(super) fn check(metadata: &ObjectMeta, problems: &mut Vec<Problem>) {
    match metadata.name.as_deref() {
        None | Some("") => {
            problems.push(Problem::error("metadata.name", "the object has no name", "add `metadata: {name: ...}`"));
        }
        Some(name) if name.len() > 253 || !name.split('.').all(is_label) => problems.push(Problem::error(
            "metadata.name",
            format!("`{name}` is no name of an object"),
            "use at most 253 lower-case letters, digits, `-` and `.`, and begin and end with a letter or digit",
        )),
        Some(_) => {}
    }
    if let Some(namespace) = metadata.namespace.as_deref()
        && (namespace.len() > 63 || !is_label(namespace))
    {
        problems.push(Problem::error(
            "metadata.namespace",
            format!("`{namespace}` is no name of a namespace"),
            "use at most 63 lower-case letters, digits and `-`, and begin and end with a letter or digit",
        ));
    }
}

/// RFC 1123's label in lower case, of any length.
fn is_label(text: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|it| it != b'-');
    text.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-')
        && edge(text.bytes().next())
        && edge(text.bytes().last())
}
