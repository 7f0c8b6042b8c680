use penstock_api::manifest::Object;

use super::*;
use crate::problem::Level;

/// Files, each with a text; a name that begins with `!` is one that the user named.
fn found(files: &[(&str, &str)]) -> BTreeMap<PathBuf, Found> {
    let files = files.iter().map(|(name, text)| {
        let named = name.starts_with('!');
        let name = name.trim_start_matches('!');
        (Path::new("/m").join(name), Found { name: name.into(), named, text: Ok((*text).into()) })
    });
    files.collect()
}

fn service(name: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: 80}}]}}\n")
}

/// Plans nothing, and refuses every Service whose name begins with `bad`.
fn plan(manifests: &[&Manifest]) -> (Vec<String>, Planned) {
    let names: Vec<String> = manifests.iter().map(|it| it.object.key().name).collect();
    let refuse = |it: &&&Manifest| it.object.key().name.starts_with("bad");
    let refused = manifests.iter().filter(refuse);
    let problems = refused.map(|it| Problem::of_file(&it.source.file, "refused"));
    (names.clone(), Planned { problems: problems.collect(), ..Planned::default() })
}

/// What is used after the files have become so, and which files are broken.
fn after(manifests: &mut Manifests, files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    manifests.update(found(files));
    let mut used = Vec::new();
    let settled = manifests.settle(&mut |manifests| {
        let (names, planned) = plan(manifests);
        used = names;
        used.sort();
        planned
    });
    (used, settled.broken.into_keys().collect())
}

#[test]
fn a_broken_file_keeps_what_it_had_and_others_are_applied() {
    let mut manifests = Manifests::default();
    let (a, b, c) = (service("a"), service("b"), service("c"));
    assert_eq!(after(&mut manifests, &[("1.yaml", &a), ("2.yaml", &b)]), (vec!["a".into(), "b".into()], vec![]));
    let broken = format!("{a}spec: {{}}\n");
    let got = after(&mut manifests, &[("1.yaml", &broken), ("2.yaml", &c)]);
    assert_eq!(got, (vec!["a".into(), "c".into()], vec!["1.yaml".into()]));
    let fixed = service("d");
    let got = after(&mut manifests, &[("1.yaml", &fixed), ("2.yaml", &c)]);
    assert_eq!(got, (vec!["c".into(), "d".into()], vec![]));
    assert_eq!(after(&mut manifests, &[("2.yaml", &c)]), (vec!["c".into()], vec![]));
}

#[test]
fn what_planning_refuses_is_taken_back_too() {
    let mut manifests = Manifests::default();
    let (a, b, bad) = (service("a"), service("b"), service("bad"));
    after(&mut manifests, &[("1.yaml", &a), ("2.yaml", &b)]);
    let both = format!("{bad}---\n{b}");
    let got = after(&mut manifests, &[("1.yaml", &a), ("2.yaml", &both)]);
    assert_eq!(got, (vec!["a".into(), "b".into()], vec!["2.yaml".into()]));
}

#[test]
fn without_a_good_state_what_can_be_used_is() {
    let mut manifests = Manifests::default();
    let text = format!("{}---\napiVersion: v1\nkind: Service\nmetadata: 1\n", service("a"));
    assert_eq!(after(&mut manifests, &[("1.yaml", &text)]), (vec!["a".into()], vec!["1.yaml".into()]));
    // From then on it has a state to go back to, half of one though it is.
    let bad = service("bad");
    assert_eq!(after(&mut manifests, &[("1.yaml", &bad)]), (vec!["a".into()], vec!["1.yaml".into()]));
    let mut manifests = Manifests::default();
    assert_eq!(after(&mut manifests, &[("1.yaml", &bad)]), (vec!["bad".into()], vec!["1.yaml".into()]));
}

#[test]
fn files_that_are_none_of_ours_are_left_alone() {
    let mut manifests = Manifests::default();
    let package = r#"{"name": "x", "scripts": {}}"#;
    assert_eq!(after(&mut manifests, &[("package.json", package)]), (vec![], vec![]));
    // Named by the user it should be a manifest, and so should one that was.
    assert_eq!(after(&mut manifests, &[("!x.json", package)]).1, ["x.json"]);
    let mut manifests = Manifests::default();
    after(&mut manifests, &[("1.yaml", &service("a"))]);
    assert_eq!(after(&mut manifests, &[("1.yaml", "name: x")]), (vec!["a".into()], vec!["1.yaml".into()]));
    // All of it taken out is no mistake.
    assert_eq!(after(&mut manifests, &[("1.yaml", "# nothing\n")]), (vec![], vec![]));
}

#[test]
fn changes_are_named_once() {
    let mut manifests = Manifests::default();
    let files = [("1.yaml", &*service("a")), ("package.json", "{}")];
    let names = |changed: BTreeSet<String>| changed.into_iter().collect::<Vec<_>>();
    assert_eq!(names(manifests.update(found(&files))), ["1.yaml"]);
    assert_eq!(names(manifests.update(found(&files))), [""; 0]);
    assert_eq!(names(manifests.update(found(&[("1.yaml", &service("b"))]))), ["1.yaml"]);
    assert_eq!(names(manifests.update(found(&[]))), ["1.yaml"]);
}

#[test]
fn what_cannot_be_read_says_so_if_it_is_ours() {
    let unreadable = |named| {
        let mut found = found(&[("1.yaml", "")]);
        for it in found.values_mut() {
            it.text = Err("it is not a text file in UTF-8".into());
            it.named = named;
        }
        let mut manifests = Manifests::default();
        manifests.update(found);
        manifests.settle(&mut |_| Planned::default()).broken
    };
    assert_eq!(unreadable(false).len(), 0);
    let broken = unreadable(true);
    assert_eq!(broken["1.yaml"][0].message, "it is not a text file in UTF-8");
    assert_eq!(broken["1.yaml"][0].level, Level::Error);
}

#[test]
fn images_are_relative_to_their_manifest() {
    let text = "apiVersion: runtime.wasmcloud.dev/v1alpha1\nkind: Workload\nmetadata: {name: a}\nspec:\n  \
                components: [{name: c, image: 'file://../c.wasm'}]\n";
    let mut manifests = Manifests::default();
    manifests.update(found(&[("sub/1.yaml", text)]));
    let file = manifests.files.values().next().unwrap();
    assert_eq!(file.problems, []);
    let Object::Workload(workload) = &file.fresh[0].object else { panic!("{:?}", file.fresh) };
    assert_eq!(workload.spec.components[0].image, "file:///m/c.wasm");
}
