//! What the API answers: plain functions, no HTTP.

use serde_json::{Value, json};

/// What the environment decides.
pub struct Settings {
    /// The name to answer under, in `x-component`.
    pub component: String,
    revision: String,
    greeting: String,
}

/// A status and a JSON body.
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    /// The methods that would have been right.
    pub allow: Option<&'static str>,
    pub json: Value,
}

impl From<Vec<(String, String)>> for Settings {
    fn from(environment: Vec<(String, String)>) -> Self {
        let get = |name: &str, default: &str| {
            let found = environment.iter().find(|(key, _)| key == name);
            found.map_or(default, |(_, value)| value).to_owned()
        };
        Self {
            component: get("COMPONENT", "api"),
            revision: get("REVISION", "unknown"),
            greeting: get("GREETING", "Hello"),
        }
    }
}

/// Who answers.
pub fn info(settings: &Settings) -> Answer {
    ok(json!({
        "component": settings.component,
        "revision": settings.revision,
        "version": env!("CARGO_PKG_VERSION"),
        "language": "Rust",
        "wasi": "0.3",
    }))
}

/// A greeting for `?name=`.
pub fn greeting(settings: &Settings, query: &str) -> Answer {
    let name = parameter(query, "name").filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| String::from("world"));
    ok(json!({
        "greeting": format!("{}, {name}!", settings.greeting),
        "component": settings.component,
        "revision": settings.revision,
    }))
}

/// The body, as JSON if it is JSON, as text otherwise.
pub fn echo(settings: &Settings, body: &[u8]) -> Answer {
    let text = || Value::from(String::from_utf8_lossy(body));
    ok(json!({
        "echo": serde_json::from_slice(body).unwrap_or_else(|_| text()),
        "bytes": body.len(),
        "component": settings.component,
    }))
}

/// How many ticks `?count=` asks for.
pub fn ticks(query: &str) -> u64 {
    const MOST: u64 = 100;
    parameter(query, "count").and_then(|count| count.parse().ok()).unwrap_or(5).min(MOST)
}

/// A refusal that tells which methods are right.
pub fn not_allowed(methods: &'static str, path: &str) -> Answer {
    Answer { allow: Some(methods), ..problem(405, &format!("This takes {methods}"), path) }
}

/// A refusal as RFC 9457 has it.
pub fn problem(status: u16, title: &str, path: &str) -> Answer {
    let json = json!({ "type": "about:blank", "title": title, "status": status, "instance": path });
    Answer { status, content_type: "application/problem+json", allow: None, json }
}

fn ok(json: Value) -> Answer {
    Answer { status: 200, content_type: "application/json", allow: None, json }
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let mut parameters = query.split('&').filter_map(|parameter| parameter.split_once('='));
    parameters.find(|(key, _)| *key == name).map(|(_, value)| decode(value))
}

/// Undoes percent-encoding and `+`; what is not a valid escape stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = tail.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        if let Some(byte) = escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
