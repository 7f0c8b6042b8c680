//! A YAML document as a tree in which every value and every key knows its place.

use std::{collections::BTreeMap, fmt, io::Cursor};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::Number;
use serde_saphyr::{Location, Spanned, UserMessageFormatter};

use super::path::Path;

/// Deep enough for any resource, and shallow enough for any stack.
const MAX_DEPTH: usize = 64;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key, its place, and what it stands for.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    line: u32,
    column: u32,
    pub(super) node: Node,
}

/// Why a text is no YAML.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) message: String,
    pub(super) advice: Option<String>,
}

/// All documents of a text that are not empty. After a syntax error there are no more.
pub(super) fn documents(text: &str) -> Vec<Result<Node, SyntaxError>> {
    let budget = serde_saphyr::budget! { max_depth: MAX_DEPTH, max_reader_input_bytes: None };
    let options = serde_saphyr::options! { budget: budget, with_snippet: false };
    let mut reader = Cursor::new(text.as_bytes());
    let documents = serde_saphyr::read_with_options::<_, Node>(&mut reader, options);
    documents.map(|it| it.map_err(|error| syntax_error(&error))).collect()
}

fn syntax_error(error: &serde_saphyr::Error) -> SyntaxError {
    let (line, column) = error.location().map_or((1, 1), place);
    let message = error.without_snippet().render_with_formatter(&UserMessageFormatter);
    // The place is said once, in front.
    let message = message.split(" at line ").next().unwrap_or_default().lines().next().unwrap_or_default().to_owned();
    let advice = match error.without_snippet() {
        serde_saphyr::Error::DuplicateMappingKey { .. } => "keep one of them",
        _ if message.contains("a tab") => "indent with spaces",
        _ => "check the indentation, the colons and the quotes up to here",
    };
    SyntaxError { line, column, message, advice: Some(advice.to_owned()) }
}

fn place(location: Location) -> (u32, u32) {
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
    (small(location.line()), small(location.column()))
}

impl Node {
    /// The value of a field, if there is one.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|it| it.key == name).map(|it| &it.node),
            _ => None,
        }
    }

    /// The text of a field, if it has one.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match &self.get(name)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// `kind namespace/name`, if it has a name.
    pub(super) fn object_name(&self, kind: &str) -> Option<String> {
        let metadata = self.get("metadata")?;
        let name = metadata.text("name")?;
        let namespace = metadata.text("namespace").unwrap_or(super::object::DEFAULT_NAMESPACE);
        Some(format!("{kind} {namespace}/{name}"))
    }

    /// As JSON. Fields that are null are left out: to Kubernetes they are the same as none.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(it) => (*it).into(),
            Value::Number(it) => it.clone().into(),
            Value::Text(it) => it.clone().into(),
            Value::List(list) => list.iter().map(Self::to_json).collect(),
            Value::Map(entries) => entries
                .iter()
                .filter(|it| !matches!(it.node.value, Value::Null))
                .map(|it| (it.key.clone(), it.node.to_json()))
                .collect(),
        }
    }

    /// The place of every field, by path. A field's place is its key, an element's place is its value.
    pub(super) fn lines(&self) -> BTreeMap<String, (u32, u32)> {
        let mut lines = BTreeMap::new();
        self.visit(&Path::root(), (self.line, self.column), &mut lines);
        lines
    }

    fn visit(&self, path: &Path<'_>, at: (u32, u32), lines: &mut BTreeMap<String, (u32, u32)>) {
        lines.insert(path.to_string(), at);
        match &self.value {
            Value::List(list) => {
                for (index, node) in list.iter().enumerate() {
                    node.visit(&path.index(index), (node.line, node.column), lines);
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    entry.node.visit(&path.field(&entry.key), (entry.line, entry.column), lines);
                }
            }
            _ => {}
        }
    }

    /// The place of a field, or of the nearest one around it.
    pub(super) fn locate(&self, path: &str) -> (u32, u32) {
        locate(&self.lines(), path).unwrap_or((self.line, self.column))
    }
}

/// The place of a field, or of the nearest one around it.
pub(super) fn locate(lines: &BTreeMap<String, (u32, u32)>, path: &str) -> Option<(u32, u32)> {
    let mut path = path;
    loop {
        if let Some(place) = lines.get(path) {
            return Some(*place);
        }
        if path.is_empty() {
            return None;
        }
        path = &path[..path.rfind(['.', '[']).unwrap_or(0)];
    }
}

impl fmt::Display for Value {
    /// As part of a sentence: `the number 8080`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("nothing"),
            Self::Bool(it) => write!(f, "the truth value {it}"),
            Self::Number(it) => write!(f, "the number {it}"),
            Self::Text(it) => {
                let short: String = it.chars().take(40).collect();
                write!(f, "the text {short:?}{}", if short.len() < it.len() { "…" } else { "" })
            }
            Self::List(_) => f.write_str("a list"),
            Self::Map(_) => f.write_str("an object"),
        }
    }
}

// === reading ===

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        let (line, column) = place(spanned.referenced);
        Ok(Self { line, column, value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, it: bool) -> Result<Value, E> {
        Ok(Value::Bool(it))
    }

    fn visit_i64<E>(self, it: i64) -> Result<Value, E> {
        Ok(Value::Number(it.into()))
    }

    fn visit_u64<E>(self, it: u64) -> Result<Value, E> {
        Ok(Value::Number(it.into()))
    }

    fn visit_f64<E>(self, it: f64) -> Result<Value, E> {
        Ok(Number::from_f64(it).map_or_else(|| Value::Text(it.to_string()), Value::Number))
    }

    fn visit_str<E>(self, it: &str) -> Result<Value, E> {
        Ok(Value::Text(it.to_owned()))
    }

    fn visit_string<E>(self, it: String) -> Result<Value, E> {
        Ok(Value::Text(it))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = access.next_element()? {
            list.push(node);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            let (line, column) = place(key.referenced);
            entries.push(Entry { key: key.value, line, column, node: access.next_value()? });
        }
        Ok(Value::Map(entries))
    }
}
