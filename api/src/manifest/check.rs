//! Holds a document against its kind's schema: types, bounds, enums, missing fields, and fields that nobody knows.

use serde_json::Value as Schema;

use super::{
    diagnostic::Problem,
    node::{Entry, Node, Value},
    path::Path,
};
use crate::{duration::GatewayDuration, size::ByteSize};

/// Every deviation. What is null counts as left out, as it does for Kubernetes.
pub(super) fn check(schema: &Schema, node: &Node) -> Vec<Problem> {
    let mut problems = Vec::new();
    visit(schema, node, &Path::root(), &mut problems);
    problems
}

fn visit(schema: &Schema, node: &Node, path: &Path<'_>, problems: &mut Vec<Problem>) {
    if matches!(node.value, Value::Null) {
        return;
    }
    if schema["x-kubernetes-int-or-string"] == true {
        match &node.value {
            Value::Number(it) if schema["pattern"] == ByteSize::PATTERN => size(&it.to_string(), path, problems),
            Value::Text(it) if schema["pattern"] == ByteSize::PATTERN => size(it, path, problems),
            Value::Number(_) | Value::Text(_) => {}
            other => problems.push(mismatch(path, "a number or a text", other)),
        }
        return;
    }
    match (schema["type"].as_str(), &node.value) {
        (Some("object"), Value::Map(entries)) => object(schema, entries, path, problems),
        (Some("array"), Value::List(list)) => array(schema, list, path, problems),
        (Some("string"), Value::Text(it)) => text(schema, it, path, problems),
        (Some("integer"), Value::Number(it)) => integer(schema, it, path, problems),
        (Some("number"), Value::Number(_)) | (Some("boolean"), Value::Bool(_)) | (None, _) => {}
        (Some("object"), other) => problems.push(mismatch(path, "an object", other)),
        (Some("array"), other) => problems.push(mismatch(path, "a list", other)),
        (Some("string"), other) => problems.push(mismatch(path, "a text", other)),
        (Some("boolean"), other) => problems.push(mismatch(path, "true or false", other)),
        (Some(_), other) => problems.push(mismatch(path, "a number", other)),
    }
}

fn mismatch(path: &Path<'_>, expected: &str, found: &Value) -> Problem {
    let advice = match (expected, found) {
        ("a text", Value::Number(it)) => format!("put it in quotes: \"{it}\""),
        ("a text", Value::Bool(_)) => "put it in quotes: words such as yes, no, on, off, true and false are truth \
                                       values in YAML"
            .to_owned(),
        ("a number" | "true or false", Value::Text(_)) => "write it without quotes and units".to_owned(),
        ("a list", _) => "begin each of its lines with `- `".to_owned(),
        ("an object", _) => "write its fields below it, indented, each as `name: value`".to_owned(),
        _ => format!("write {expected}"),
    };
    Problem::error(path, format!("expected {expected}, found {found}"), advice)
}

// === objects ===

fn object(schema: &Schema, entries: &[Entry], path: &Path<'_>, problems: &mut Vec<Problem>) {
    let properties = schema["properties"].as_object();
    for entry in entries {
        let path = path.field(&entry.key);
        match properties.and_then(|it| it.get(&entry.key)) {
            Some(property) => visit(property, &entry.node, &path, problems),
            None => match (&schema["additionalProperties"], properties) {
                (Schema::Object(values), _) => visit(&Schema::Object(values.clone()), &entry.node, &path, problems),
                (Schema::Bool(true), _) | (_, None) => {}
                _ if schema["x-kubernetes-preserve-unknown-fields"] == true => {}
                (_, Some(properties)) => {
                    let advice = nearest(&entry.key, properties.keys()).map(|it| format!("did you mean {it}?"));
                    problems.push(Problem::warning(path, "unknown field", advice));
                }
            },
        }
    }
    let there = |name: &str| entries.iter().any(|it| it.key == name && !matches!(it.node.value, Value::Null));
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Schema::as_str) {
        if !there(name) {
            let description = properties.and_then(|it| it[name]["description"].as_str()).unwrap_or_default();
            let first = description.split_inclusive(". ").next().unwrap_or_default().trim_end_matches(['.', ' ']);
            let hint = if first.is_empty() { String::new() } else { format!(" ({first})") };
            problems.push(Problem::error(path, format!("`{name}` is missing"), format!("add `{name}:`{hint}")));
        }
    }
}

/// The known name that was probably meant: at most a third of its letters differ.
fn nearest<'n>(text: &str, names: impl Iterator<Item = &'n String>) -> Option<&'n String> {
    let lower = text.to_lowercase();
    names
        .map(|name| (strsim::osa_distance(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= (name.chars().count() / 3).max(1))
        .min()
        .map(|(_, name)| name)
}

// === lists and scalars ===

fn array(schema: &Schema, list: &[Node], path: &Path<'_>, problems: &mut Vec<Problem>) {
    if let Some(least) = schema["minItems"].as_u64()
        && (list.len() as u64) < least
    {
        problems.push(Problem::error(path, "the list is empty", format!("it needs at least {least} entry")));
    }
    if let Some(most) = schema["maxItems"].as_u64()
        && (list.len() as u64) > most
    {
        let advice = format!("it may have at most {most}, split the object");
        problems.push(Problem::error(path, format!("the list has {} entries", list.len()), advice));
    }
    for (index, node) in list.iter().enumerate() {
        let path = path.index(index);
        if matches!(node.value, Value::Null) {
            problems.push(Problem::error(path, "the entry is empty", "write something after the `-`, or remove it"));
        } else {
            visit(&schema["items"], node, &path, problems);
        }
    }
}

fn text(schema: &Schema, text: &str, path: &Path<'_>, problems: &mut Vec<Problem>) {
    let length = text.chars().count() as u64;
    if let Some(names) = schema["enum"].as_array() {
        let names: Vec<String> = names.iter().filter_map(Schema::as_str).map(ToOwned::to_owned).collect();
        if !names.iter().any(|it| it == text) {
            let advice = match nearest(text, names.iter()) {
                Some(name) => format!("did you mean {name}?"),
                None => format!("write one of {}", names.join(", ")),
            };
            problems.push(Problem::error(path, format!("`{text}` is not allowed"), advice));
        }
    } else if schema["minLength"].as_u64().is_some_and(|least| length < least) {
        problems.push(Problem::error(path, "the text is empty", "write something, or remove the field"));
    } else if let Some(most) = schema["maxLength"].as_u64()
        && length > most
    {
        let message = format!("the text has {length} characters");
        problems.push(Problem::error(path, message, format!("it may have at most {most}")));
    } else if schema["pattern"] == GatewayDuration::PATTERN
        && let Err(error) = text.parse::<GatewayDuration>()
    {
        problems.push(Problem::error(path, format!("`{text}` is no duration"), error.advice()));
    }
}

fn size(text: &str, path: &Path<'_>, problems: &mut Vec<Problem>) {
    if text.parse::<ByteSize>().is_err() {
        let advice = "write a whole number of bytes, alone or with k, M, G, Ki, Mi or Gi, such as 64Ki or 10M";
        problems.push(Problem::error(path, format!("`{text}` is no size"), advice));
    }
}

fn integer(schema: &Schema, number: &serde_json::Number, path: &Path<'_>, problems: &mut Vec<Problem>) {
    let Some(value) = number.as_i128() else {
        return problems.push(Problem::error(path, format!("{number} is no whole number"), "leave the fraction out"));
    };
    let of_format = match schema["format"].as_str() {
        Some("int32") => (i128::from(i32::MIN), i128::from(i32::MAX)),
        Some("uint32") => (0, i128::from(u32::MAX)),
        Some("uint16") => (0, i128::from(u16::MAX)),
        Some("uint64" | "uint") => (0, i128::from(i64::MAX)),
        _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
    };
    // Schemas hold bounds as integers or as floats without a fraction.
    let bound = |name: &str| schema[name].as_i64().map(i128::from).or_else(|| Some(schema[name].as_f64()? as i128));
    let least = bound("minimum").unwrap_or(of_format.0).max(of_format.0);
    let most = bound("maximum").unwrap_or(of_format.1).min(of_format.1);
    if value < least {
        problems.push(Problem::error(path, format!("{value} is too small"), format!("write {least} or more")));
    } else if value > most {
        problems.push(Problem::error(path, format!("{value} is too large"), format!("write {most} or less")));
    }
}
