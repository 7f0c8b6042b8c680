//! What the API server takes and what it refuses, and with which sentence. These need no node.

use anyhow::{Result, ensure};
use penstock_tests::cluster::Cluster;

/// As in wasmCloud's own documentation and chart.
const SHORTEST: &str = include_str!("../../../api/tests/manifests/shortest.yaml");
const EVERYTHING: &str = include_str!("wasmcloud.yaml");

const TEMPLATE: &str = "
apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: WorkloadDeployment
metadata: {name: app}
spec:
  replicas: 1
  template:
    spec:
      components: [{name: a, image: registry.example/a:1}]
      hostInterfaces: [{namespace: wasi, package: http, interfaces: [incoming-handler]}]
";

fn dry_run(cluster: &Cluster, text: &str) -> Result<String> {
    cluster.kubectl_with(text, ["apply", "--dry-run=server", "--validate=strict", "-n", "default", "-f", "-"])
}

#[tokio::test]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn existing_manifests_are_taken() -> Result<()> {
    let cluster = Cluster::bare().await?;
    for text in [SHORTEST, EVERYTHING, TEMPLATE] {
        let said = dry_run(&cluster, text)?;
        ensure!(said.lines().all(|it| it.ends_with("(server dry run)")), "{said}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn mistakes_are_refused_with_a_sentence() -> Result<()> {
    let cluster = Cluster::bare().await?;
    let components = "components: [{name: a, image: registry.example/a:1}]";
    let interfaces = "hostInterfaces: [{namespace: wasi, package: http, interfaces: [incoming-handler]}]";
    let route = |rule: &str| format!("{components}\n      http: {{routes: [{rule}]}}");
    let cases: Vec<(&str, String, &str)> = vec![
        (components, "replicas: 2\n      ".to_owned() + components, "write how many in `spec.replicas`"),
        (components, "components: []".into(), "add `components: [{name: ..., image: ...}]`"),
        (components, "components: [{name: a, image: a:1}, {name: a, image: b:1}]".into(), "give each a name of its own"),
        (components, "components: [{name: a, image: file:///a.wasm}]".into(), "push the file and write its reference"),
        (components, "components: [{name: a, image: ./a.wasm}]".into(), "push the file and write its reference"),
        (components, "components: [{name: a, image: 'https://registry.example/a:1'}]".into(), "without scheme and blanks"),
        (
            components,
            "components: [{name: a, image: a:1, localResources: {volumeMounts: [{name: v, mountPath: /v}]}}]".into(),
            "add it to `volumes:`",
        ),
        (
            components,
            "volumes: [{name: v, ephemeral: {}}]\n      components: [{name: a, image: a:1, localResources: {volumeMounts: [{name: v, mountPath: v}]}}]".into(),
            "begin it with `/`",
        ),
        (components, components.to_owned() + "\n      volumes: [{name: v}]", "either `ephemeral: {}` or `hostPath"),
        (components, components.to_owned() + "\n      volumes: [{name: v, hostPath: {path: v}}]", "begin it with `/`"),
        (
            components,
            components.to_owned() + "\n      volumes: [{name: v, ephemeral: {}}, {name: v, ephemeral: {}}]",
            "two volumes have the same name",
        ),
        (
            components,
            "components: [{name: a, image: a:1, localResources: {memoryLimitMiB: 0}}]".into(),
            "no component runs in 0 MiB",
        ),
        (
            components,
            "components: [{name: a, image: a:1, localResources: {allowedHostLoopbackPorts: [70000]}}]".into(),
            "write a port as 5432, 5432/tcp or 53/udp",
        ),
        (
            components,
            "components: [{name: a, image: a:1, localResources: {allowedHostLoopbackPorts: [5432/sctp]}}]".into(),
            "(/tcp|/udp)?$'",
        ),
        (interfaces, "hostInterfaces: [{namespace: wasi, package: http, interfaces: []}]".into(), "at least 1 items"),
        (
            interfaces,
            "hostInterfaces: [{namespace: wasi, package: http, interfaces: [a]}, {namespace: wasi, package: http, interfaces: [b]}]".into(),
            "give all but one a `name:` of its own",
        ),
        (
            interfaces,
            "hostInterfaces: [{namespace: wasi, package: http, interfaces: ['wasi:http/incoming-handler']}]".into(),
            "such as `incoming-handler`",
        ),
        (
            interfaces,
            "hostInterfaces: [{namespace: wasi, package: http, interfaces: [handler], config: {host: 'http://a.example'}}]".into(),
            "a hostname without scheme, port and path",
        ),
        (components, route("{component: b}"), "names a component that the workload does not have"),
        (components, route("{matches: [{path: {value: api}}]}"), "begin the path with `/`"),
        (components, route("{matches: [{path: {value: /a/../b}}]}"), "paths are compared in their normal form"),
        (components, route("{matches: [{path: {value: /a%2Fb}}]}"), "write `/` instead of `%2F`"),
        (components, route("{hostnames: ['http://a']}"), "write hostnames without scheme and port"),
        (components, route("{filters: [{type: URLRewrite}]}"), "the field that belongs to the filter's type is missing"),
        (
            components,
            route("{filters: [{type: RequestRedirect, requestRedirect: {statusCode: 200}}]}"),
            "write 301, 302, 303, 307 or 308",
        ),
        (
            components,
            route("{filters: [{type: RequestRedirect, requestRedirect: {scheme: ftp}}]}"),
            "write `scheme: http` or `scheme: https`",
        ),
        (
            components,
            route("{filters: [{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, urlRewrite: {}}]}"),
            "a rule either redirects or rewrites",
        ),
        (
            components,
            route("{matches: [{path: {type: Exact, value: /a}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]}"),
            "exactly one match, with a path of type PathPrefix",
        ),
        (
            components,
            route("{filters: [{type: CORS, cors: {allowOrigins: ['*', 'https://a.example']}}]}"),
            "`*` stands for every origin",
        ),
        (components, route("{filters: [{type: CORS, cors: {allowOrigins: ['a.example']}}]}"), "should match"),
        (
            components,
            route("{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a}}}]}"),
            "copies go to workloads only",
        ),
        (
            components,
            route("{filters: [{type: RequestMirror, requestMirror: {percent: 1, fraction: {numerator: 1}, backendRef: {group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: a}}}]}"),
            "say the same in two ways",
        ),
        (components, route("{filters: [{type: ExternalAuth, externalAuth: {}}]}"), "are not supported yet"),
        (
            components,
            route("{filters: [{type: ExtensionRef, extensionRef: {group: example.com, kind: A, name: a}}]}"),
            "write `group: penstock.dev` and `kind: TrafficPolicy`",
        ),
        (components, route("{timeouts: {request: 1s, backendRequest: 2s}}"), "backendRequest is longer than request"),
        (components, route("{name: r}, {name: r}"), "two routes have the same name"),
        ("replicas: 1", "replicas: -1".into(), "should be greater than or equal to 0"),
        ("replicas: 1", "replicas: 1\n  deployPolicy: BlueGreen".into(), "RollingUpdate"),
        (
            "replicas: 1",
            "replicas: 1\n  deployPolicy: Recreate\n  strategy: {rollingUpdate: {maxSurge: 1}}".into(),
            "deployPolicy is Recreate, which does not roll",
        ),
        (
            "replicas: 1",
            "replicas: 1\n  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0%}}".into(),
            "nothing could ever be replaced",
        ),
        (
            "replicas: 1",
            "replicas: 1\n  strategy: {rollingUpdate: {maxSurge: many}}".into(),
            "write maxSurge as a number of replicas (1) or as a percentage",
        ),
        (
            "replicas: 1",
            "replicas: 1\n  strategy: {rollingUpdate: {maxUnavailable: 150%}}".into(),
            "a percentage of at most 100%",
        ),
        (
            "replicas: 1",
            "replicas: 1\n  minReadySeconds: 700".into(),
            "make progressDeadlineSeconds (600 unless it says otherwise) larger",
        ),
        scaled("{minReplicas: 3, maxReplicas: 2}", "maxReplicas is less than minReplicas"),
        scaled("{minReplicas: 0, maxReplicas: 2}", "write `scaleToZero: true` beside `autoscaling`"),
        scaled("{maxReplicas: 0}", "greater than or equal to 1"),
        scaled(&external("cpu", "{type: AverageValue, averageValue: 1}"), "write one of requests_per_second"),
        scaled(&external("queued", "{type: Value, value: 1}"), "the replicas share this metric"),
        scaled(&external("utilization", "{type: AverageValue, averageValue: 1}"), "write `type: Value` and `value`"),
        scaled(&external("queued", "{type: AverageValue, value: 1}"), "the number belongs to the type"),
        scaled(&external("queued", "{type: AverageValue, averageValue: '0'}"), "spec.autoscaling"),
        ("name: app", format!("name: {}", "a".repeat(64)), "longer than 63 characters"),
        ("replicas: 1", "replicas: 1\n  zebra: 1".into(), "unknown field \"spec.zebra\""),
    ];
    refused(&cluster, TEMPLATE, &cases)
}

fn scaled<'s>(autoscaling: &str, sentence: &'s str) -> (&'static str, String, &'s str) {
    ("replicas: 1", format!("replicas: 1\n  autoscaling: {autoscaling}"), sentence)
}

fn external(metric: &str, target: &str) -> String {
    format!(
        "{{maxReplicas: 2, metrics: [{{type: External, external: {{metric: {{name: {metric}}}, target: {target}}}}}]}}"
    )
}

/// Each change to a manifest is refused with its sentence.
fn refused(cluster: &Cluster, template: &str, cases: &[(&str, String, &str)]) -> Result<()> {
    let mut wrong = Vec::new();
    for (from, to, sentence) in cases {
        ensure!(template.contains(from), "{from}");
        match dry_run(cluster, &template.replacen(from, to, 1)) {
            Ok(_) => wrong.push(format!("taken, but should be refused with \"{sentence}\": {to}")),
            Err(error) if error.to_string().contains(sentence) => {}
            Err(error) => wrong.push(format!("refused without \"{sentence}\": {to}\n    {error}")),
        }
    }
    ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    println!("{} mistakes refused, each with its sentence", cases.len());
    Ok(())
}

/// With everything that a policy can say.
const POLICY: &str = "apiVersion: penstock.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: policy}
spec:
  rateLimit: {requests: 100, per: 1m, burst: 20, by: {type: Header, header: x-api-key}}
  concurrency: {requests: 10, by: {type: Client}}
  limits: {requestBody: 1Mi, responseBody: 1048576}
  outlierDetection: {consecutiveErrors: 3, interval: 20s, baseEjectionTime: 1m, maxEjectionPercent: 30}
  compression: {algorithms: [br, gzip], minSize: 2Ki, contentTypes: [text/html, application/*]}
";

#[tokio::test]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn mistakes_in_policies_are_refused_with_a_sentence() -> Result<()> {
    let cluster = Cluster::bare().await?;
    dry_run(&cluster, POLICY)?;
    let cases = [
        ("requests: 100,", "requests: 0,", "greater than or equal to 1"),
        ("per: 1m", "per: 1ms", "write a time from 1s to 24h"),
        ("per: 1m", "per: 25h", "write a time from 1s to 24h"),
        ("header: x-api-key", "header: x api key", "write the name of a header"),
        (", header: x-api-key", "", "`header` and `type: Header` belong together"),
        ("by: {type: Client}", "by: {type: Client, header: a}", "`header` and `type: Header` belong together"),
        ("requestBody: 1Mi", "requestBody: 1MB", "in body should match"),
        ("requestBody: 1Mi", "requestBody: -1", "greater than or equal to 0"),
        ("interval: 20s", "interval: 20ms", "write a time from 1s to 1h"),
        ("baseEjectionTime: 1m", "baseEjectionTime: 90m", "write a time from 1s to 1h"),
        ("maxEjectionPercent: 30", "maxEjectionPercent: 101", "less than or equal to 100"),
        ("[br, gzip]", "[br, br]", "Duplicate value"),
        ("[br, gzip]", "[lzma]", "Unsupported value"),
        ("[text/html, application/*]", "['*/*']", "such as text/html, or all of a kind as text/*"),
        ("  limits:", "  limit: 1\n  limits:", "unknown field \"spec.limit\""),
    ];
    refused(&cluster, POLICY, &cases.map(|(from, to, sentence)| (from, to.to_owned(), sentence)))
}

#[tokio::test]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn names_and_columns() -> Result<()> {
    let cluster = Cluster::bare().await?;
    for kind in ["wd", "wrs", "ww", "wh", "wa", "workloaddeployments", "hosts", "wasmcloud"] {
        cluster.kubectl(["get", kind, "-n", "default"])?;
    }
    Ok(())
}
