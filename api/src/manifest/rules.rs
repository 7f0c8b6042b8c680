//! What a schema cannot say: the rules that the resources also carry as CEL for the API server.

mod cors;
mod grpc;
mod http;
mod interface;
mod metadata;
mod policy;
mod workload;

use super::{diagnostic::Problem, object::Object};

/// Every rule that an object breaks.
pub(super) fn check(object: &Object) -> Vec<Problem> {
    let mut problems = Vec::new();
    metadata::check(object.metadata(), &mut problems);
    match object {
        Object::WorkloadDeployment(it) => {
            let template = &it.spec.template.spec;
            if template.replicas.is_some() {
                problems.push(Problem::error(
                    "spec.template.spec.replicas",
                    "a template has no replicas",
                    "move it to `spec.replicas`",
                ));
            }
            workload::check(template, "spec.template.spec", &mut problems);
        }
        Object::Workload(it) => workload::check(&it.spec, "spec", &mut problems),
        Object::HttpRoute(it) => http::check_route(&it.spec, &mut problems),
        Object::GrpcRoute(it) => grpc::check_route(&it.spec, &mut problems),
        Object::TrafficPolicy(it) => policy::check(&it.spec, &mut problems),
        Object::Service(_) | Object::ConfigMap(_) | Object::Secret(_) | Object::ReferenceGrant(_) => {}
    }
    problems
}

/// Says of each entry after the first with the same key that it is one too many.
fn no_duplicates<K: Ord>(
    keys: impl Iterator<Item = K>,
    problems: &mut Vec<Problem>,
    problem: impl Fn(usize, &K) -> Problem,
) {
    let mut seen = std::collections::BTreeSet::new();
    for (index, key) in keys.enumerate() {
        if seen.contains(&key) {
            problems.push(problem(index, &key));
        } else {
            seen.insert(key);
        }
    }
}
