//! Manifests as people write them: what is read, what is said about mistakes, and that no text makes it panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use penstock_api::manifest::{Object, Parsed, Severity, parse};

const SHORTEST: &str = include_str!("manifests/shortest.yaml");
const EVERYTHING: &str = include_str!("manifests/everything.yaml");

fn said(parsed: &Parsed) -> Vec<String> {
    parsed.diagnostics.iter().map(ToString::to_string).collect()
}

#[test]
fn the_shortest_manifest_is_read() {
    let parsed = parse("short.yaml", SHORTEST);
    assert_eq!(said(&parsed), [""; 0]);
    let [service, deployment] = &parsed.manifests[..] else { panic!("{:?}", parsed.manifests) };
    assert_eq!(service.object.key().to_string(), "Service default/hello");
    assert_eq!((deployment.source.line, deployment.kind()), (6, "WorkloadDeployment"));
    assert_eq!(deployment.locate("spec.template.spec.components[0].image").line, 15);
    assert_eq!(deployment.locate("spec.template.spec.components[7].nothing").line, 15);
    let Object::WorkloadDeployment(it) = &deployment.object else { panic!() };
    assert_eq!(it.spec.template.spec.host_interfaces[0].config["host"], "hello.example.com");
}

#[test]
fn every_field_is_known() {
    let parsed = parse("everything.yaml", EVERYTHING);
    let count = EVERYTHING.lines().count() - 2;
    assert_eq!(
        said(&parsed),
        [format!("everything.yaml:{count}:1: note: apps/v1 Deployment is not read, it was skipped")]
    );
    assert_eq!(parsed.manifests.len(), 7);
    let Object::WorkloadDeployment(it) = &parsed.manifests[0].object else { panic!() };
    // What was read says the same when it is written again: no field was lost on the way.
    let written = serde_json::to_value(it).unwrap();
    let before: serde_json::Value = serde_saphyr::from_str(EVERYTHING.split("\n---\n").next().unwrap()).unwrap();
    assert_eq!(written["spec"], before["spec"]);
}

/// `EVERYTHING` or `SHORTEST` with one thing changed, and what is said then (without the file's name).
#[test]
fn mistakes_are_named() {
    let cases = [
        // Unknown fields are warnings.
        (
            "poolSize: 4",
            "poolSice: 4",
            "spec.template.spec.components[0].poolSice: unknown field, did you mean poolSize?",
        ),
        ("labels: {app", "lables: {app", "metadata.lables: unknown field, did you mean labels?"),
        (
            "imagePullPolicy: Always",
            "imagePullPolcy: Always",
            "spec.template.spec.service.imagePullPolcy: unknown field, did you mean imagePullPolicy?",
        ),
        ("paused: false", "zebra: false", "spec.zebra: unknown field"),
        // Types.
        (
            "replicas: 3",
            "replicas: three",
            "spec.replicas: expected a number, found the text \"three\", write it without quotes and units",
        ),
        (
            "{LEVEL: info}",
            "{LEVEL: 8080}",
            "spec.template.spec.components[0].localResources.environment.config.LEVEL: expected a text, found the number 8080, put it in quotes: \"8080\"",
        ),
        (
            "{LEVEL: info}",
            "{LEVEL: yes}",
            "expected a text, found the truth value true, put it in quotes: words such as yes, no, on, off, true and false are truth values in YAML",
        ),
        (
            "[incoming-handler]",
            "incoming-handler",
            "spec.template.spec.hostInterfaces[0].interfaces: expected a list, found the text \"incoming-handler\", begin each of its lines with `- `",
        ),
        (
            "deployPolicy: RollingUpdate",
            "deployPolicy: RollingUpdates",
            "spec.deployPolicy: `RollingUpdates` is not allowed, did you mean RollingUpdate?",
        ),
        (
            "deployPolicy: RollingUpdate",
            "deployPolicy: Never",
            "spec.deployPolicy: `Never` is not allowed, write one of RollingUpdate, Recreate",
        ),
        ("poolSize: 4", "poolSize: -1", "spec.template.spec.components[0].poolSize: -1 is too small, write 0 or more"),
        ("poolSize: 4", "poolSize: 1.5", "poolSize: 1.5 is no whole number, leave the fraction out"),
        // Missing fields.
        (
            "image: registry.example/cart:2",
            "poolSize: 1",
            "spec.template.spec.components[1]: `image` is missing, add `image:` (An OCI reference, with or without a digest)",
        ),
        ("name: shop\n  namespace", "namespace", "metadata.name: the object has no name, add `metadata: {name: ...}`"),
        // Durations, and texts of a form.
        (
            "queueTimeout: 2s",
            "queueTimeout: 2 seconds",
            "spec.template.spec.capacity.queueTimeout: `2 seconds` is no duration, write up to four parts of at most five digits and a unit, such as 5s, 1h30m or 250ms",
        ),
        (
            "backendRequest: 5s",
            "backendRequest: 5m",
            "spec.template.spec.http.routes[0].timeouts.backendRequest: 5m is longer than request, 30s, shorten it",
        ),
        // Rules that CEL has as well.
        (
            "name: cart\n          image",
            "name: catalogue\n          image",
            "spec.template.spec.components[1].name: there are two components `catalogue`, give each a name of its own",
        ),
        (
            "interfaces: [incoming-handler]",
            "interfaces: []",
            "spec.template.spec.hostInterfaces[0].interfaces: the list is empty, it needs at least 1 entry",
        ),
        (
            "- name: front\n          namespace: wasi\n          package: http",
            "- namespace: wasmcloud\n          package: messaging",
            "spec.template.spec.hostInterfaces[1]: there are two entries for wasmcloud:messaging without a name, give all but one of them a `name:`, or merge them",
        ),
        (
            "name: front",
            "name: Front",
            "spec.template.spec.hostInterfaces[0].name: `Front` is no name, use lower-case letters, digits and `-`, and begin with a letter or digit",
        ),
        (
            "{host: shop.example.com,",
            "{host: 'http://shop.example.com',",
            "spec.template.spec.hostInterfaces[0].config.host: `http://shop.example.com` is no hostname, a hostname has no port or scheme: write the name alone",
        ),
        (
            "path: /shop}",
            "path: shop}",
            "spec.template.spec.hostInterfaces[0].config.path: `shop` is relative, begin it with `/`",
        ),
        (
            "ephemeral: {}",
            "hostPath: {path: srv}",
            "spec.template.spec.volumes[0].hostPath.path: `srv` is relative, begin it with `/`",
        ),
        (
            "          ephemeral: {}\n",
            "",
            "spec.template.spec.volumes[0]: a volume is one of two kinds, write either `ephemeral: {}` or `hostPath: {path: ...}`",
        ),
        (
            "- name: cache\n",
            "- name: caches\n",
            "spec.template.spec.components[0].localResources.volumeMounts[0].name: there is no volume `cache`, add it to `volumes:` of the workload",
        ),
        (
            "component: catalogue",
            "component: katalog",
            "spec.template.spec.http.routes[2].component: there is no component `katalog`, the workload has cart, catalogue",
        ),
        (
            "\"53/udp\"",
            "\"53/icmp\"",
            "allowedHostLoopbackPorts[2]: this is no port, write it as 5432, 5432/tcp or 53/udp",
        ),
        (
            "      hostId: host-1",
            "      replicas: 2",
            "spec.template.spec.replicas: a template has no replicas, move it to `spec.replicas`",
        ),
        // Gateway API's own rules.
        (
            "statusCode: 301",
            "statusCode: 200",
            "spec.template.spec.http.routes[1].filters[0].requestRedirect.statusCode: 200 is no redirect, write 301, 302, 303, 307 or 308",
        ),
        (
            "                urlRewrite:\n",
            "                zRewrite:\n",
            "spec.template.spec.http.routes[0].filters[2]: type is `URLRewrite` but `urlRewrite` is missing: add it, it says what the filter does",
        ),
        (
            "value: /cart}",
            "value: cart}",
            "spec.template.spec.http.routes[0].matches[0].path.value: `cart` is no path, begin it with `/`",
        ),
        (
            "type: PathPrefix, value: /cart",
            "type: Exact, value: /cart",
            "spec.template.spec.http.routes[0].filters[2].urlRewrite.path: it is not clear which prefix is replaced, give the rule exactly one match, with a path of type PathPrefix",
        ),
        (
            "[\"https://app.example.com\", ",
            "[\"https://app.example.com/\", ",
            "spec.template.spec.http.routes[2].filters[0].cors.allowOrigins[0]: `https://app.example.com/` is no origin, an origin has no path: end it after the host, or after the port",
        ),
        (
            "\"https://app.example.com\", ",
            "\"*\", ",
            "filters[0].cors.allowOrigins: `*` stands for every origin, remove the others, or remove `*`",
        ),
        (
            "[\"https://app.example.com\", \"https://*.example.com:8443\"]",
            "[\"*\"]",
            "filters[0].cors.allowCredentials: scripts of every site may act with the cookies of whoever visits it, name the origins, or leave `allowCredentials` out",
        ),
        (
            "[GET, PUT]",
            "[GET, '*']",
            "cors.allowMethods: `*` stands for every method, remove the others, or remove `*`",
        ),
        ("[GET, PUT]", "[GET, put]", "cors.allowMethods[1]: `put` is not allowed, did you mean PUT?"),
        ("[GET, PUT]", "[GET, GET]", "cors.allowMethods[1]: `GET` is there twice, remove one of them"),
        (
            "[x-tenant]",
            "[x tenant]",
            "cors.allowHeaders[0]: \"x tenant\" is no name of a header, use letters, digits and `-`",
        ),
        ("[x-page, x-pages]", "[x-page, x-page]", "cors.exposeHeaders[1]: `x-page` is there twice, remove one of them"),
        ("maxAge: 600", "maxAge: 0", "cors.maxAge: 0 is too small, write 1 or more"),
        ("                cors:\n", "                korps:\n", "type is `CORS` but `cors` is missing: add it"),
        (
            "kind: WorkloadDeployment, name: shop-next",
            "kind: Service, name: shop-next",
            "filters[1].requestMirror.backendRef: copies go to workloads only, write `group: runtime.wasmcloud.dev` and `kind: WorkloadDeployment`",
        ),
        (
            "fraction: {numerator: 1, denominator: 50}",
            "fraction: {numerator: 51, denominator: 50}",
            "filters[1].requestMirror.fraction: more than all requests, make the numerator at most the denominator",
        ),
        (
            "fraction: {numerator: 1, denominator: 50}",
            "fraction: {numerator: 1}\n                  percent: 1",
            "filters[1].requestMirror: `percent` and `fraction` say the same in two ways, remove one of them",
        ),
        (
            "fraction: {numerator: 1, denominator: 50}",
            "percent: 101",
            "requestMirror.percent: 101 is too large, write 100 or less",
        ),
        (
            "hostnames: [shop.example.com]",
            "hostnames: ['*']",
            "spec.hostnames[0]: `*` is no hostname, `*` may only be the whole first label, as in `*.example.com`",
        ),
        (
            "codes: [502, 504]",
            "codes: [502, 302]",
            "spec.template.spec.http.routes[0].retry.codes[1]: 302 is too small, write 400 or more",
        ),
        (
            "codes: [502, 504]",
            "codes: [502, 502]",
            "spec.template.spec.http.routes[0].retry.codes[1]: 502 is there twice, remove one of them",
        ),
        ("attempts: 2", "attempts: -1", "http.routes[0].retry.attempts: -1 is too small, write 0 or more"),
        ("retry: {}", "retry: {backoff: soon}", "spec.rules[0].retry.backoff: `soon` is no duration"),
        (
            "sessionName: shop-session",
            "sessionName: 'shop; session'",
            "spec.rules[0].sessionPersistence.sessionName: \"shop; session\" is no name for a session, use letters, digits, `-` and `_`",
        ),
        (
            "        absoluteTimeout: 1h\n",
            "",
            "spec.rules[0].sessionPersistence: a permanent cookie says when it ends: absoluteTimeout is missing, add it, or write `lifetimeType: Session`",
        ),
        (
            "type: Cookie",
            "type: Header",
            "spec.rules[0].sessionPersistence.cookieConfig: the session is carried in a header, remove it, or write `type: Cookie`",
        ),
        ("lifetimeType: Permanent", "lifetimeType: Forever", "`Forever` is not allowed, write one of"),
        // Other kinds.
        ("port: 80,", "port: 0x50, port_: 1,", "spec.ports[0].port_: unknown field, did you mean port?"),
        ("KEY: c2VjcmV0", "KEY: 'no base64!'", "data.KEY"),
        (
            "runtime.wasmcloud.dev/v1alpha1\nkind: Workload\n",
            "runtime.wasmcloud.dev/v1\nkind: Workload\n",
            "apiVersion: Workload has apiVersion `runtime.wasmcloud.dev/v1`, but only `runtime.wasmcloud.dev/v1alpha1` is read, write `apiVersion: runtime.wasmcloud.dev/v1alpha1`",
        ),
        ("per: 1m", "per: 1ms", "spec.rateLimit.per: 1ms is no time for a rate, write a time from 1s to 24h"),
        ("header: x-api-key", "header: x api key", "spec.rateLimit.by.header: \"x api key\" is no name of a header"),
        ("{type: Header, header: x-api-key}", "{type: Header}", "by.header: type is `Header` but `header` is missing"),
        (
            "by: {type: Client}",
            "by: {type: All, header: a}",
            "spec.concurrency.by.header: `header` is for `type: Header`",
        ),
        ("rateLimit: {", "ratelimit: {", "spec.ratelimit: unknown field, did you mean rateLimit?"),
        (
            "requestBody: 1Mi",
            "requestBody: 1MB",
            "spec.limits.requestBody: `1MB` is no size, write a whole number of bytes",
        ),
        ("requestBody: 1Mi", "requestBody: 1.5", "spec.limits.requestBody: `1.5` is no size"),
        ("requestBody: 1Mi", "requestBody: [1]", "spec.limits.requestBody: expected a number or a text, found a list"),
        (
            "interval: 20s",
            "interval: 0s",
            "spec.outlierDetection.interval: 0s is too short or too long, write a time from 1s",
        ),
        ("baseEjectionTime: 1m", "baseEjectionTime: 2h", "spec.outlierDetection.baseEjectionTime: 2h is too short or"),
        (
            "maxEjectionPercent: 30",
            "maxEjectionPercent: 101",
            "maxEjectionPercent: 101 is too large, write 100 or less",
        ),
        ("consecutiveErrors: 3", "consecutiveErrors: 0", "consecutiveErrors: 0 is too small, write 1 or more"),
        ("[br, gzip]", "[br, lzma]", "spec.compression.algorithms[1]: `lzma` is not allowed, write one of br, gzip"),
        ("[br, gzip]", "[br, br]", "spec.compression.algorithms[1]: it is there twice, remove one of them"),
        ("minSize: 2Ki", "minSize: 2K", "spec.compression.minSize: `2K` is no size"),
        (
            "[text/html,",
            "['*/*',",
            "spec.compression.contentTypes[0]: `*/*` is no type of content, write it without parameters",
        ),
        ("kind: ConfigMap\n", "", "`kind` is missing, every object begins with `apiVersion:` and `kind:`, both texts"),
    ];
    for (good, bad, want) in cases {
        let text = EVERYTHING.replacen(good, bad, 1);
        assert_ne!(text, EVERYTHING, "{good:?} is not there");
        let parsed = parse("f", &text);
        let line = text[..text.find(bad.trim_start()).unwrap_or(0)].lines().count().max(1);
        let lines = said(&parsed);
        assert!(
            lines.iter().any(|it| it.contains(want)),
            "{good:?} -> {bad:?} near line {line}\nwant {want}\ngot  {lines:#?}"
        );
    }
}

#[test]
fn places_are_true() {
    let text = SHORTEST.replace("hostSelector", "hostSelektor").replace("image: reg", "imagee: reg");
    assert_eq!(
        said(&parse("a/b.yaml", &text)),
        [
            "a/b.yaml:14:7: warning: spec.template.spec.hostSelektor: unknown field, did you mean hostSelector?",
            "a/b.yaml:15:20: error: spec.template.spec.components[0]: `image` is missing, add `image:` (An OCI reference, with or without a digest)",
            "a/b.yaml:15:34: warning: spec.template.spec.components[0].imagee: unknown field, did you mean image?",
        ]
    );
}

#[test]
fn an_object_with_an_error_is_left_out_and_the_others_stay() {
    let parsed = parse("f", &EVERYTHING.replace("poolSize: 4", "poolSize: many"));
    assert_eq!(parsed.manifests.len(), 6);
    assert!(parsed.has_errors());
}

#[test]
fn bad_yaml_is_placed() {
    for (text, want) in [
        ("a: [1, 2\nb: 3\n", "f:2:"),
        ("kind: Service\n\tx: y\n", "f:1:7: error: while scanning a plain scalar, found a tab, indent with spaces"),
        ("a: 1\na: 2\n", "f:2:1: error: "),
        ("- 1\n- 2\n", "f:1:1: error: expected an object, found a list"),
        ("just text\n", "f:1:1: error: expected an object, found the text \"just text\""),
        ("a: *nobody\n", "f:1:4"),
    ] {
        let lines = said(&parse("f", text));
        assert!(lines.len() == 1 && lines[0].starts_with(want), "{text:?}: {lines:?}");
    }
    // What stands before the bad part is read.
    let parsed = parse("f", &format!("{SHORTEST}---\na: [\n"));
    assert_eq!((parsed.manifests.len(), parsed.has_errors()), (2, true));
}

#[test]
fn lists_json_nulls_and_empty_documents_are_read() {
    let parsed = parse("f", "---\n---\n# nothing\n---\n");
    assert!(parsed.manifests.is_empty() && parsed.diagnostics.is_empty());
    let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": null}, "data": null}]}"#;
    let parsed = parse("f", list);
    assert_eq!(said(&parsed), [""; 0]);
    assert_eq!(parsed.manifests[0].object.key().to_string(), "ConfigMap default/a");
    assert_eq!(parsed.manifests[0].source.line, 2);
}

#[test]
fn a_service_of_another_group_is_another_kind() {
    let parsed = parse("f", "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: x}\n");
    assert_eq!(said(&parsed), ["f:1:1: note: serving.knative.dev/v1 Service is not read, it was skipped"]);
    assert_eq!(parsed.diagnostics[0].severity, Severity::Note);
}

#[test]
fn depth_and_aliases_are_bounded() {
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    assert!(parse("f", &deep).has_errors());
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let refs = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{refs}]\n"));
    }
    assert!(parse("f", &bomb).has_errors());
}

mod fuzz {
    use penstock_api::manifest::parse;
    use proptest::prelude::*;

    use super::EVERYTHING;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is put where, there is an answer, and every place is inside the text.
        #[test]
        fn mutations_never_panic(
            edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..20, "[-:{}\\[\\]&*!|>'\"%@`#,? \n\ta-z0-9é]{0,6}"), 1..4)
        ) {
            let mut text: Vec<char> = EVERYTHING.chars().collect();
            for (at, length, with) in edits {
                let at = at.index(text.len());
                let end = (at + length).min(text.len());
                text.splice(at..end, with.chars());
            }
            let text: String = text.into_iter().collect();
            let lines = u32::try_from(text.lines().count() + 1).unwrap();
            for it in parse("f", &text).diagnostics {
                prop_assert!((1..=lines).contains(&it.source.line), "{it}");
                prop_assert!(!it.message.is_empty());
            }
        }

        #[test]
        fn texts_never_panic(text in "\\PC{0,200}") {
            let _ = parse("f", &text);
        }

        #[test]
        fn near_yaml_never_panics(text in "([ ]{0,6}(- )?[a-z]{1,4}: ?([&*!][a-z]{1,3} ?)?[\\[{\"'|>~0-9a-z]{0,5}\n){0,12}") {
            let _ = parse("f", &text);
        }
    }
}
