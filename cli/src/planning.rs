//! From manifests to a plan, and what only files need: paths made absolute, and digests.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    path::{Path, PathBuf},
};

use penstock_api::{
    manifest::{Manifest, Object, ObjectKey, Source},
    workload::{Component, WorkloadSpec},
};
use penstock_host::engine::artifact::Digest;
use penstock_operator::plan::{self, Finding, Objects, Options, Plan, ServicePort, Severity};

use crate::{
    dev::{files, images},
    problem::{Level, Problem},
};

/// What manifests come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Planned {
    /// What to run and route; its findings are among the problems.
    pub(crate) plan: Plan,
    /// What is wrong, with places.
    pub(crate) problems: Vec<Problem>,
    /// Where each workload (`namespace/name`) stands.
    pub(crate) origins: BTreeMap<String, Origin>,
}

/// Where a workload stands.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// `kind namespace/name`.
    pub(crate) object: String,
    /// Where the object begins.
    pub(crate) source: Source,
    /// The manifest, and the component files, as they are shown.
    pub(crate) files: BTreeSet<String>,
    pub(crate) components: Vec<ComponentOrigin>,
}

/// Where a component's image is named.
#[derive(Clone, Debug)]
pub(crate) struct ComponentOrigin {
    pub(crate) name: String,
    /// The field.
    pub(crate) path: String,
    pub(crate) source: Source,
    /// The component's file, if it is one.
    pub(crate) file: Option<PathBuf>,
}

/// Plans for one host. Of two objects with the same kind, namespace and name the first one counts. Addresses of
/// listeners are for the caller to fill in.
pub(crate) fn plan(manifests: &[&Manifest]) -> Planned {
    let mut problems = Vec::new();
    let mut first: BTreeMap<ObjectKey, &Manifest> = BTreeMap::new();
    for manifest in manifests {
        match first.entry(manifest.object.key()) {
            Entry::Vacant(place) => drop(place.insert(manifest)),
            Entry::Occupied(known) => problems.push(duplicate(manifest, known.get())),
        }
    }
    let objects: Objects = first.values().map(|it| it.object.clone()).collect();
    let service_address = |_: &ServicePort| Some(String::new());
    let options =
        Options { version: 0, shared_address: Some(""), shared_http_routes: true, service_address: &service_address };
    let mut plan = plan::plan(&objects, &options);
    problems.extend(std::mem::take(&mut plan.findings).iter().map(|it| problem(it, first.get(&it.object).copied())));
    Planned { plan, problems, origins: first.values().filter_map(|it| origin(it)).collect() }
}

fn duplicate(manifest: &Manifest, first: &Manifest) -> Problem {
    let source = manifest.locate("metadata.name");
    Problem {
        line: source.line,
        column: source.column,
        object: Some(manifest.object.key().to_string()),
        path: "metadata.name".to_owned(),
        advice: Some("rename one of them, or remove it".to_owned()),
        ..Problem::of_file(&source.file, format!("{} is already at {}", manifest.object.key(), first.source))
    }
}

fn problem(finding: &Finding, manifest: Option<&Manifest>) -> Problem {
    let source = manifest.map(|it| it.locate(&finding.path));
    Problem {
        file: source.as_ref().map(|it| it.file.to_string()).unwrap_or_default(),
        line: source.as_ref().map_or(0, |it| it.line),
        column: source.as_ref().map_or(0, |it| it.column),
        level: match finding.severity {
            Severity::Error => Level::Error,
            Severity::Warning => Level::Warning,
        },
        object: Some(finding.object.to_string()),
        path: finding.path.clone(),
        message: finding.message.clone(),
        advice: None,
    }
}

/// Makes the paths in `file:` images absolute; they are relative to the manifest's folder.
pub(crate) fn resolve_images(manifests: &mut [Manifest], folder: &Path) {
    for manifest in manifests {
        let Some((spec, _)) = workload_mut(&mut manifest.object) else { continue };
        let service = spec.service.iter_mut().map(|service| &mut service.image);
        for image in spec.components.iter_mut().map(|component| &mut component.image).chain(service) {
            if let Some(path) = images::path(image, folder) {
                *image = format!("file://{}", path.display());
            }
        }
    }
}

/// Names the digest of every component file, and makes it part of the revision: a file that was built anew is a new
/// revision. A file that is not there yet stays without.
pub(crate) fn pin_files(planned: &mut Planned, digest: &mut dyn FnMut(&Path) -> Option<String>) {
    for share in &mut planned.plan.snapshot.shares {
        let mut content = share.revision.clone();
        let mut files = 0;
        for component in &mut share.components {
            let Some(path) = images::path(&component.image, Path::new("/")) else { continue };
            let digest = digest(&path);
            content.push_str(digest.as_deref().unwrap_or("missing"));
            // A digest that the manifest asks for stays: it is for the host to find that the file has another.
            component.digest = component.digest.take().or(digest);
            files += 1;
        }
        if files > 0 {
            share.revision = Digest::of(content.as_bytes()).hex().chars().take(10).collect();
            share.id = format!("{}@{}", share.deployment, share.revision);
        }
    }
}

/// A workload's spec, and the path to it.
fn workload(object: &Object) -> Option<(&WorkloadSpec, &'static str)> {
    match object {
        Object::WorkloadDeployment(it) => Some((&it.spec.template.spec, "spec.template.spec")),
        Object::Workload(it) => Some((&it.spec, "spec")),
        _ => None,
    }
}

fn workload_mut(object: &mut Object) -> Option<(&mut WorkloadSpec, &'static str)> {
    match object {
        Object::WorkloadDeployment(it) => Some((&mut it.spec.template.spec, "spec.template.spec")),
        Object::Workload(it) => Some((&mut it.spec, "spec")),
        _ => None,
    }
}

fn origin(manifest: &Manifest) -> Option<(String, Origin)> {
    let (spec, path) = workload(&manifest.object)?;
    let key = manifest.object.key();
    let component = |(index, component): (usize, &Component)| {
        let path = format!("{path}.components[{index}].image");
        ComponentOrigin {
            name: component.name.clone(),
            source: manifest.locate(&path),
            path,
            file: images::path(&component.image, Path::new("/")),
        }
    };
    let components: Vec<ComponentOrigin> = spec.components.iter().enumerate().map(component).collect();
    let images = components.iter().filter_map(|it| it.file.as_deref()).map(files::shown);
    let origin = Origin {
        object: key.to_string(),
        source: manifest.source.clone(),
        files: images.chain([manifest.source.file.to_string()]).collect(),
        components,
    };
    Some((format!("{}/{}", key.namespace, key.name), origin))
}
