//! Matching by query parameters.

use super::{
    ask::{Ask, get},
    case::{Case, V1, V2, V3},
    matching::by_path,
};

pub(crate) fn cases() -> Vec<Case> {
    let more = "
- matches:
  - {queryParams: [{name: animal, value: dolphin}, {name: color, value: blue}]}
  - {queryParams: [{name: ANIMAL, value: Whale}]}
  backendRefs: [{$v3}]
- matches:
  - path: {type: PathPrefix, value: /path2}
    headers: [{name: version, value: two}]
    queryParams: [{name: animal, value: whale}]
  backendRefs: [{$v3}]
- matches: [{headers: [{name: version, value: four}]}]
  backendRefs: [{$v3}]";
    let case = Case::new("HTTPRouteQueryParamMatching")
        .http(&format!("{}{more}", RULES.trim_end()))
        .asks(asks())
        .asks(by_path(&[("/?animal=dolphin&color=blue", Some(V3)), ("/?ANIMAL=Whale", Some(V3))]))
        .ask(get("/path2?animal=whale").with(&[("version", "two")]).from(V3))
        // Headers count more than the query.
        .ask(get("/?animal=hydra").with(&[("version", "four")]).from(V3));
    vec![case]
}

/// What meshes are asked for.
pub(crate) const RULES: &str = "
- matches: [{queryParams: [{name: animal, value: whale}]}]
  backendRefs: [{$v1}]
- matches: [{queryParams: [{name: animal, value: dolphin}]}]
  backendRefs: [{$v2}]
- matches: [{path: {type: PathPrefix, value: /path1}, queryParams: [{name: animal, value: whale}]}]
  backendRefs: [{$v1}]
- matches: [{headers: [{name: version, value: one}], queryParams: [{name: animal, value: whale}]}]
  backendRefs: [{$v2}]
- matches:
  - {path: {type: PathPrefix, value: /path3}, queryParams: [{name: animal, value: shark}]}
  - path: {type: PathPrefix, value: /path4}
    headers: [{name: version, value: three}]
    queryParams: [{name: animal, value: kraken}]
  backendRefs: [{$v1}]
- matches: [{path: {type: PathPrefix, value: /path5}}]
  backendRefs: [{$v1}]
- matches: [{queryParams: [{name: animal, value: hydra}]}]
  backendRefs: [{$v2}]
";

pub(crate) fn asks() -> Vec<Ask> {
    let mut asks = by_path(&[
        ("/?animal=whale", Some(V1)),
        ("/?animal=dolphin", Some(V2)),
        ("/?animal=whale&otherparam=irrelevant", Some(V1)),
        ("/?animal=dolphin&color=yellow", Some(V2)),
        ("/?color=blue", None),
        ("/?animal=dog", None),
        ("/?animal=whaledolphin", None),
        ("/", None),
        // Together with other conditions.
        ("/path1?animal=whale", Some(V1)),
        // One of two matches is enough.
        ("/path3?animal=shark", Some(V1)),
        // A part of a match is not.
        ("/?animal=shark", None),
        ("/path4?animal=kraken", None),
        // The path counts more than the query.
        ("/path5?animal=hydra", Some(V1)),
    ]);
    asks.push(get("/?animal=whale").with(&[("version", "one")]).from(V2));
    asks.push(get("/path4?animal=kraken").with(&[("version", "three")]).from(V1));
    asks
}
