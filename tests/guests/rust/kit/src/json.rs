//! Just enough JSON for answers.

use std::fmt::Write;

/// An object, written field by field.
pub struct Json(String);

impl Json {
    /// `{` and no field yet.
    pub fn new() -> Self {
        Self(String::from("{"))
    }

    /// A field with a string.
    pub fn text(self, name: &str, value: &str) -> Self {
        let value = quote(value);
        self.raw(name, &value)
    }

    /// A field with a number.
    pub fn number(self, name: &str, value: u64) -> Self {
        self.raw(name, &value.to_string())
    }

    /// A field whose value is JSON already.
    pub fn raw(mut self, name: &str, json: &str) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        let _ = write!(self.0, "{}:{json}", quote(name));
        self
    }

    /// The whole object and a line feed.
    pub fn end(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::new()
    }
}

/// An array of `[name, value]`, in order and with repeated names, as headers need.
pub fn pairs<N: AsRef<str>, V: AsRef<[u8]>>(entries: impl IntoIterator<Item = (N, V)>) -> String {
    let rows: Vec<_> = entries
        .into_iter()
        .map(|(name, value)| format!("[{},{}]", quote(name.as_ref()), quote(&String::from_utf8_lossy(value.as_ref()))))
        .collect();
    format!("[{}]", rows.join(","))
}

fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
