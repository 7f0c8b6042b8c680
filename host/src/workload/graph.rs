//! Which component's import is satisfied by which sibling's export. Pure: names in, links out.

use thiserror::Error;

/// What linking needs to know of a component.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// Imported interfaces, such as `wasi:http/types@0.2.12`.
    pub(crate) imports: Vec<String>,
    /// Exported interfaces.
    pub(crate) exports: Vec<String>,
}

/// One import and the sibling that satisfies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// The import's name as the importing component has it.
    pub(crate) import: String,
    /// The export's name as the sibling has it: the version may be a compatible other one.
    pub(crate) export: String,
    /// The sibling's place in the list.
    pub(crate) provider: usize,
}

/// The links of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Links {
    /// For each component, in the order given.
    pub(crate) of: Vec<Vec<Link>>,
    /// An order in which every component comes after those it imports from.
    pub(crate) order: Vec<usize>,
}

/// Why the components of a workload do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LinkError {
    /// Two siblings export what a third imports.
    #[error(
        "component '{component}' imports {interface}, which {} all export: compose it with the one that is meant (wac plug), or split the workload in two",
        quoted(candidates)
    )]
    Ambiguous {
        /// Who imports.
        component: String,
        /// What is imported.
        interface: String,
        /// Who could satisfy it.
        candidates: Vec<String>,
    },
    /// Components import from each other in a circle.
    #[error(
        "components import from each other in a cycle, {}: compose them into one component (wac compose), or split the workload in two",
        path.join(" -> ")
    )]
    Cycle {
        /// The components on the circle, the first one again at the end.
        path: Vec<String>,
    },
    /// Nobody exports what a component imports.
    #[error(
        "component '{component}' imports {interface}, which Penstock does not offer and no other component of the workload exports: add a component that exports it, or compose one in (wac plug)"
    )]
    Missing {
        /// Who imports.
        component: String,
        /// What is imported.
        interface: String,
    },
    /// The interface has something that cannot pass between two components of a workload.
    #[error(
        "component '{component}' imports {interface} from component '{provider}', but {what} cannot pass between components of a workload yet: compose the two into one component (wac plug)"
    )]
    NotPlain {
        /// Who imports.
        component: String,
        /// Who exports.
        provider: String,
        /// What is imported.
        interface: String,
        /// Which item of it.
        what: String,
    },
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(" and ")
}

/// Finds the links. `offered` tells what the host itself satisfies.
pub(crate) fn resolve(nodes: &[Node], offered: impl Fn(usize, &str) -> bool) -> Result<Links, LinkError> {
    let mut of = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let mut links = Vec::new();
        for import in &node.imports {
            let candidates: Vec<(usize, &String)> = nodes
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != index)
                .filter_map(|(other, node)| {
                    Some((other, node.exports.iter().find(|export| compatible(import, export))?))
                })
                .collect();
            match candidates.as_slice() {
                [] if offered(index, import) => {}
                [] => return Err(LinkError::Missing { component: node.name.clone(), interface: import.clone() }),
                [(provider, export)] => {
                    links.push(Link { import: import.clone(), export: (*export).clone(), provider: *provider });
                }
                several => {
                    return Err(LinkError::Ambiguous {
                        component: node.name.clone(),
                        interface: import.clone(),
                        candidates: several
                            .iter()
                            .filter_map(|(index, _)| Some(nodes.get(*index)?.name.clone()))
                            .collect(),
                    });
                }
            }
        }
        of.push(links);
    }
    let order = order(nodes, &of)?;
    Ok(Links { of, order })
}

/// Depth first; what is still open when it is met again closes a cycle.
fn order(nodes: &[Node], links: &[Vec<Link>]) -> Result<Vec<usize>, LinkError> {
    fn visit(
        index: usize,
        nodes: &[Node],
        links: &[Vec<Link>],
        open: &mut Vec<usize>,
        done: &mut Vec<usize>,
    ) -> Result<(), LinkError> {
        if done.contains(&index) {
            return Ok(());
        }
        if let Some(start) = open.iter().position(|&other| other == index) {
            let circle = open.iter().skip(start).chain([&index]);
            let path = circle.filter_map(|&index| Some(format!("'{}'", nodes.get(index)?.name))).collect();
            return Err(LinkError::Cycle { path });
        }
        open.push(index);
        for link in links.get(index).into_iter().flatten() {
            visit(link.provider, nodes, links, open, done)?;
        }
        open.pop();
        done.push(index);
        Ok(())
    }
    let (mut open, mut done) = (Vec::new(), Vec::new());
    for index in 0..nodes.len() {
        visit(index, nodes, links, &mut open, &mut done)?;
    }
    Ok(done)
}

/// Whether an export satisfies an import: the same interface in a compatible version (the same major version, or the
/// same minor version of 0; Component Model, "canonical interface name").
pub(crate) fn compatible(import: &str, export: &str) -> bool {
    let (import, wanted) = split_version(import);
    let (export, found) = split_version(export);
    import == export && track(wanted) == track(found)
}

fn split_version(name: &str) -> (&str, Option<&str>) {
    match name.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (name, None),
    }
}

/// The part of a version that compatible versions share; a pre-release is compatible with itself only.
fn track(version: Option<&str>) -> Option<&str> {
    let version = version?;
    if version.contains('-') {
        return Some(version);
    }
    let mut dots = version.match_indices('.').map(|(at, _)| at);
    let (major, minor) = (dots.next(), dots.next());
    let end = if version.starts_with("0.0.") {
        None
    } else if version.starts_with("0.") {
        minor
    } else {
        major
    };
    Some(end.and_then(|end| version.get(..end)).unwrap_or(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, imports: &[&str], exports: &[&str]) -> Node {
        let own = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Node { name: name.to_owned(), imports: own(imports), exports: own(exports) }
    }

    fn wasi(_: usize, import: &str) -> bool {
        import.starts_with("wasi:")
    }

    #[test]
    fn an_import_is_satisfied_by_the_one_sibling_that_exports_it() {
        let nodes =
            [node("front", &["wasi:io/streams@0.2.0", "a:b/c@1.1.0"], &[]), node("back", &[], &["a:b/c@1.0.0"])];
        let links = resolve(&nodes, wasi).unwrap();
        let link = Link { import: "a:b/c@1.1.0".into(), export: "a:b/c@1.0.0".into(), provider: 1 };
        assert_eq!(links, Links { of: vec![vec![link], vec![]], order: vec![1, 0] });
    }

    #[test]
    fn two_siblings_may_export_the_same_as_long_as_no_sibling_imports_it() {
        let both = [node("x", &[], &["a:b/c"]), node("y", &[], &["a:b/c"])];
        assert!(resolve(&both, wasi).is_ok());
        let [x, y] = both;
        let error = resolve(&[x, y, node("z", &["a:b/c"], &[])], wasi).unwrap_err();
        assert_eq!(
            error.to_string(),
            "component 'z' imports a:b/c, which 'x' and 'y' all export: compose it with the one that is meant (wac plug), or split the workload in two"
        );
    }

    #[test]
    fn a_cycle_is_named() {
        let nodes = [node("w", &["x"], &[]), node("a", &["y"], &["x"]), node("b", &["x"], &["y"])];
        assert_eq!(
            resolve(&nodes, wasi).unwrap_err().to_string(),
            "components import from each other in a cycle, 'a' -> 'b' -> 'a': compose them into one component (wac compose), or split the workload in two"
        );
    }

    #[test]
    fn what_nobody_offers_is_named() {
        let error = resolve(&[node("x", &["nobody:offers/this@1.0.0"], &[])], wasi).unwrap_err();
        assert_eq!(
            error.to_string(),
            "component 'x' imports nobody:offers/this@1.0.0, which Penstock does not offer and no other component of the workload exports: add a component that exports it, or compose one in (wac plug)"
        );
    }

    #[test]
    fn versions_are_compatible_as_the_component_model_says() {
        for (import, export, fits) in [
            ("a:b/c@0.2.0", "a:b/c@0.2.9", true),
            ("a:b/c@0.2.0", "a:b/c@0.3.0", false),
            ("a:b/c@1.0.0", "a:b/c@1.9.0", true),
            ("a:b/c@1.0.0", "a:b/c@2.0.0", false),
            ("a:b/c@0.0.1", "a:b/c@0.0.2", false),
            ("a:b/c@0.2.0-draft", "a:b/c@0.2.0", false),
            ("a:b/c", "a:b/c", true),
            ("a:b/c", "a:b/c@1.0.0", false),
            ("a:b/c", "a:b/d", false),
        ] {
            assert_eq!(compatible(import, export), fits, "{import} {export}");
        }
    }
}
