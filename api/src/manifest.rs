//! Manifests as people write them: several YAML documents in a file, read leniently and with positions.
//!
//! What is wrong is said with file, line, field path and a sentence of advice; a field that nobody knows is a warning
//! and the rest of its object is used. Nothing here reads files: [`parse`] takes a name and a text.

mod check;
mod diagnostic;
mod node;
mod object;
mod path;
mod rules;
mod schema;

pub use self::{
    diagnostic::{Diagnostic, Severity, Source},
    object::{Manifest, Object, ObjectKey},
};
use self::{
    node::{Node, Value},
    object::Kind,
    path::Path,
};

/// What a text holds.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// The objects without errors, in their order.
    pub manifests: Vec<Manifest>,
    /// Errors, warnings and notes, in the order of their lines.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parsed {
    /// Whether anything must be put right before all of the text can be used.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|it| it.severity == Severity::Error)
    }
}

/// Reads all YAML (or JSON) documents of a text. `file` is its name in diagnostics. Never fails as a whole: an object
/// with an error is left out, and every error is in [`Parsed::diagnostics`].
#[must_use]
pub fn parse(file: &str, text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    for document in node::documents(text) {
        match document {
            Ok(node) => Reader { file, parsed: &mut parsed }.read(&node, &Path::root()),
            Err(error) => parsed.diagnostics.push(Diagnostic {
                severity: Severity::Error,
                source: Source { file: file.into(), line: error.line, column: error.column },
                object: None,
                path: String::new(),
                message: error.message,
                advice: error.advice,
            }),
        }
    }
    parsed.diagnostics.sort_by_key(|it| (it.source.line, it.source.column));
    parsed
}

struct Reader<'a> {
    file: &'a str,
    parsed: &'a mut Parsed,
}

impl Reader<'_> {
    fn read(&mut self, node: &Node, base: &Path<'_>) {
        let Value::Map(_) = &node.value else {
            let message = format!("expected an object, found {}", node.value);
            let advice = "every document begins with `apiVersion:` and `kind:`";
            return self.say(node, Severity::Error, None, base.to_string(), message, Some(advice));
        };
        let (Some(version), Some(kind)) = (node.text("apiVersion"), node.text("kind")) else {
            let missing = if node.text("kind").is_none() { "kind" } else { "apiVersion" };
            let message = format!("`{missing}` is missing");
            let advice = "every object begins with `apiVersion:` and `kind:`, both texts";
            return self.say(node, Severity::Error, None, base.to_string(), message, Some(advice));
        };
        if (version, kind) == ("v1", "List") {
            return self.read_list(node, base);
        }
        match Kind::find(version, kind) {
            Ok(found) => self.read_object(found, node),
            Err(Some(wanted)) => {
                let message = format!("{kind} has apiVersion `{version}`, but only `{wanted}` is read");
                let at = node.get("apiVersion").unwrap_or(node);
                let advice = format!("write `apiVersion: {wanted}`");
                self.say(at, Severity::Error, node.object_name(kind), "apiVersion".into(), message, Some(&advice));
            }
            Err(None) => {
                let message = format!("{version} {kind} is not read, it was skipped");
                self.say(node, Severity::Note, node.object_name(kind), String::new(), message, None);
            }
        }
    }

    /// What `kubectl get -o yaml` writes for several objects.
    fn read_list(&mut self, node: &Node, base: &Path<'_>) {
        let items = base.field("items");
        match node.get("items").map(|it| &it.value) {
            Some(Value::List(list)) => {
                for (index, item) in list.iter().enumerate() {
                    self.read(item, &items.index(index));
                }
            }
            Some(Value::Null) | None => {}
            Some(other) => {
                let message = format!("expected a list, found {other}");
                self.say(node, Severity::Error, None, items.to_string(), message, None);
            }
        }
    }

    fn read_object(&mut self, kind: Kind, node: &Node) {
        let object_name = node.object_name(kind.name());
        let mut problems = check::check(kind.schema(), node);
        if !problems.iter().any(|it| it.severity == Severity::Error) {
            match kind.read(node) {
                Ok(object) => {
                    problems.extend(rules::check(&object));
                    let failed = problems.iter().any(|it| it.severity == Severity::Error);
                    if !failed {
                        let lines = node.lines();
                        self.parsed.manifests.push(Manifest::new(object, self.source(node), lines));
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        for problem in problems {
            let at = node.locate(&problem.path);
            let source = Source { file: self.file.into(), line: at.0, column: at.1 };
            self.parsed.diagnostics.push(Diagnostic {
                severity: problem.severity,
                source,
                object: object_name.clone(),
                path: problem.path,
                message: problem.message,
                advice: problem.advice,
            });
        }
    }

    fn source(&self, node: &Node) -> Source {
        Source { file: self.file.into(), line: node.line, column: node.column }
    }

    fn say(
        &mut self,
        at: &Node,
        severity: Severity,
        object: Option<String>,
        path: String,
        message: String,
        advice: Option<&str>,
    ) {
        let source = self.source(at);
        let advice = advice.map(ToOwned::to_owned);
        self.parsed.diagnostics.push(Diagnostic { severity, source, object, path, message, advice });
    }
}
