//! Rules and backends of HTTPRoutes and of `http.routes`.

use penstock_api::{manifest::Object, route::HttpRouteFilter};
use penstock_operator::plan::Plan;
use penstock_router::filter::OriginPattern;
use proptest::prelude::*;

use super::support::{deployment, findings, http_route, listener, objects, plan_all, plan_of, routes};

const GROUP: &str = "group: runtime.wasmcloud.dev, kind: WorkloadDeployment";

fn route(rule: &str) -> String {
    http_route("r", &format!("hostnames: [a.example], rules: [{{{rule}}}]"))
}

/// The text of the only rule, and the findings.
fn planned(rule: &str) -> (String, Vec<String>) {
    let plan = plan_of(&(deployment("a", "", "") + &deployment("other/b", "", "") + &route(rule)));
    let text = routes(listener(&plan, "shared")).join("\n");
    (text.replace("default/r [a.example]: ", ""), findings(&plan))
}

#[test]
fn backends_that_are_not_valid_keep_their_weight() {
    let cases = [
        ("{name: a, weight: 3, GROUP}", "default/a*3", ""),
        ("{name: a, GROUP}, {name: a, weight: 0, GROUP}", "default/a*1 default/a*0", ""),
        ("{name: nobody, weight: 9, GROUP}", "*9", "backendRefs[0] BackendNotFound"),
        ("{name: b, namespace: other, GROUP}", "*1", "backendRefs[0] RefNotPermitted"),
        ("{name: a, port: 80}", "*1", "backendRefs[0] InvalidKind"),
        ("{name: a, GROUP}, {name: a, group: apps, kind: Deployment}", "default/a*1 *1", "backendRefs[1] InvalidKind"),
        ("{name: a, GROUP, filters: [{type: ExternalAuth}]}", "*1", "backendRefs[0].filters[0] UnsupportedValue"),
    ];
    for (backends, want, finding) in cases {
        let (text, said) = planned(&format!("backendRefs: [{}]", backends.replace("GROUP", GROUP)));
        assert_eq!(text, format!(" -> {want}"), "{backends}");
        let finding = (!finding.is_empty()).then(|| format!("HTTPRoute default/r spec.rules[0].{finding}"));
        assert_eq!(said, Vec::from_iter(finding), "{backends}");
    }
}

#[test]
fn a_filter_that_is_not_supported_makes_the_rule_fail() {
    let (text, said) = planned(&format!("filters: [{{type: ExternalAuth}}], backendRefs: [{{name: a, {GROUP}}}]"));
    assert_eq!((text.as_str(), said.len()), (" -> ", 1));
    assert_eq!(said, ["HTTPRoute default/r spec.rules[0].filters[0] UnsupportedValue"]);
}

#[test]
fn an_origin_that_hosts_could_not_read_makes_the_rule_fail() {
    let filter = "filters: [{type: CORS, cors: {allowOrigins: ['https://a.example']}}]";
    let yaml = deployment("a", "", "") + &route(&format!("{filter}, backendRefs: [{{name: a, {GROUP}}}]"));
    let mut objects = objects(&yaml);
    for object in &mut objects {
        if let Object::HttpRoute(it) = object
            && let HttpRouteFilter::Cors(cors) = &mut it.spec.rules[0].filters[0]
        {
            // Gateway API's pattern lets it pass, so an API server may have it.
            cors.allow_origins.push("https://a.example:99999".to_owned());
        }
    }
    let plan = plan_all(objects);
    assert!(routes(listener(&plan, "shared")).iter().any(|it| it == "default/r [a.example]:  -> "));
    assert_eq!(findings(&plan), ["HTTPRoute default/r spec.rules[0].filters[0].cors.allowOrigins[1] UnsupportedValue"]);
}

proptest! {
    /// What a manifest may name as an origin is an origin to hosts too, and the other way round.
    #[test]
    fn hosts_and_manifests_agree_on_origins(text in "(https?://)?(\\*\\.?)?[aA0-9.-]{0,6}(\\*|/|:[0-9]{0,6})?") {
        let read = text == "*" || text.parse::<OriginPattern>().is_ok();
        prop_assert_eq!(penstock_api::origin::check(&text).is_ok(), read, "{}", text);
    }
}

#[test]
fn retries_and_sessions_are_carried_to_the_hosts() {
    let fields = "retry: {codes: [502], attempts: 2, backoff: 5ms}, sessionPersistence: {sessionName: s, type: Header}";
    let yaml = deployment("a", "", "") + &route(&format!("{fields}, backendRefs: [{{name: a, {GROUP}}}]"));
    let rule = |plan: &Plan| {
        let routes = &listener(plan, "shared").routes;
        routes.iter().find(|it| it.name == "default/r").expect("the route").rules[0].clone()
    };
    let plan = plan_of(&yaml);
    let (retry, session) = (rule(&plan).retry.expect("a retry"), rule(&plan).session_persistence.expect("a session"));
    assert_eq!((&*retry.codes, retry.attempts, findings(&plan).len()), (&[502][..], Some(2), 0));
    assert_eq!(session.session_name.as_deref(), Some("s"));

    // Gateway API lets any text pass as a name, so an API server may have it.
    let mut objects = objects(&yaml);
    for object in &mut objects {
        if let Object::HttpRoute(it) = object {
            it.spec.rules[0].session_persistence.as_mut().expect("a session").session_name = Some("a;b".to_owned());
        }
    }
    let plan = plan_all(objects);
    assert_eq!((rule(&plan).session_persistence, rule(&plan).retry), (None, Some(retry)));
    assert_eq!(findings(&plan), ["HTTPRoute default/r spec.rules[0].sessionPersistence.sessionName UnsupportedValue"]);
}

#[test]
fn mirrors_are_resolved_and_those_that_are_not_valid_are_left_out() {
    let mirror =
        |target: &str| format!("{{type: RequestMirror, requestMirror: {{backendRef: {{{target}}}, percent: 30}}}}");
    let valid = mirror(&format!("name: b, {GROUP}"));
    let cases = [
        (valid.clone(), valid.clone(), 1, 1, ""),
        (
            mirror(&format!("name: nobody, {GROUP}")),
            valid.clone(),
            0,
            1,
            "filters[0].requestMirror.backendRef BackendNotFound",
        ),
        (valid.clone(), mirror("name: b"), 1, 0, "backendRefs[0].filters[0].requestMirror.backendRef InvalidKind"),
        (
            mirror(&format!("name: b, namespace: other, {GROUP}")),
            valid,
            0,
            1,
            "filters[0].requestMirror.backendRef RefNotPermitted",
        ),
    ];
    for (of_rule, of_backend, rules, backends, finding) in cases {
        let fields = format!("filters: [{of_rule}], backendRefs: [{{name: a, {GROUP}, filters: [{of_backend}]}}]");
        let yaml =
            deployment("a", "", "") + &deployment("b", "", "") + &deployment("other/b", "", "") + &route(&fields);
        let plan = plan_of(&yaml);
        let routes = &listener(&plan, "shared").routes;
        let rule = &routes.iter().find(|it| it.name == "default/r").expect("the route").rules[0];
        assert_eq!((rule.mirrors.len(), rule.backends[0].mirrors.len()), (rules, backends), "{fields}");
        assert_eq!((rule.filters.len(), rule.backends[0].filters.len()), (0, 0), "a mirror is no filter of a host");
        assert_eq!((rule.backends[0].deployment.as_str(), rule.backends[0].weight), ("default/a", 1), "{fields}");
        for it in rule.all_mirrors() {
            assert_eq!((it.deployment.as_str(), it.numerator, it.denominator), ("default/b", 30, 100));
        }
        let finding = (!finding.is_empty()).then(|| format!("HTTPRoute default/r spec.rules[0].{finding}"));
        assert_eq!(findings(&plan), Vec::from_iter(finding), "{fields}");
    }
}

#[test]
fn a_bad_expression_takes_its_match_alone() {
    let bad = "{path: {type: RegularExpression, value: '('}}";
    let header = "{headers: [{type: RegularExpression, name: x, value: '['}]}";
    let backends = format!("backendRefs: [{{name: a, {GROUP}}}]");
    let (text, said) = planned(&format!("matches: [{bad}, {{path: {{value: /ok}}}}, {header}], {backends}"));
    assert_eq!(text, "/ok -> default/a*1");
    assert_eq!(
        said,
        [
            "HTTPRoute default/r spec.rules[0].matches[0].path.value UnsupportedValue",
            "HTTPRoute default/r spec.rules[0].matches[2].headers[0].value UnsupportedValue",
        ]
    );
    // A rule none of whose matches is left must not become one for every request.
    assert_eq!(planned(&format!("matches: [{bad}], {backends}")).0, "");
}

#[test]
fn rules_in_the_template_name_their_component() {
    let rules = "http: {routes: [{hostnames: [a.example], component: main, timeouts: {request: 3s}, \
                 filters: [{type: URLRewrite, urlRewrite: {hostname: inner.example}}]}]}";
    let plan = plan_of(&deployment("a", rules, ""));
    let rule = &listener(&plan, "shared").routes[0].rules[0];
    assert_eq!(rule.backends[0].component.as_deref(), Some("main"));
    assert_eq!(rule.timeouts.and_then(|it| it.request).map(|it| it.as_millis()), Some(3_000));
    assert_eq!(rule.filters.len(), 1);
}
