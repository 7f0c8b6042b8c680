//! The listener that routes by hostname.

use super::support::{deployment, findings, http, http_route, listener, plan_of, routes};

fn shared(yaml: &str) -> (Vec<String>, Vec<String>) {
    let plan = plan_of(yaml);
    (routes(listener(&plan, "shared")), findings(&plan))
}

#[test]
fn host_aliases_and_path_are_routed() {
    let yaml = deployment("a", &http("host: A.Example, host-aliases: 'b.example, *.c.example,', path: /api"), "")
        + &deployment("silent", "", "")
        + &deployment("all", &http("host: '*'"), "");
    assert_eq!(
        shared(&yaml),
        (
            vec![
                "default/a [*.c.example a.example b.example]: /api -> default/a*1".to_owned(),
                "default/all []:  -> default/all*1".to_owned(),
            ],
            vec![]
        )
    );
}

#[test]
fn a_hostname_belongs_to_the_namespace_that_claimed_it_first() {
    let yaml = deployment("one/late@2026-02-02", &http("host: a.example, host-aliases: late.example"), "")
        + &deployment("two/early@2026-01-01", &http("host: A.example"), "")
        + &deployment("two/friend", &http("host: a.example, path: /friend"), "")
        + &deployment("three/only", &http("host: a.example"), "");
    assert_eq!(
        shared(&yaml),
        (
            vec![
                "two/early [a.example]:  -> two/early*1".to_owned(),
                "one/late [late.example]:  -> one/late*1".to_owned(),
                "two/friend [a.example]: /friend -> two/friend*1".to_owned(),
            ],
            vec![
                "WorkloadDeployment one/late  HostnameConflict".to_owned(),
                "WorkloadDeployment three/only  HostnameConflict".to_owned(),
            ]
        )
    );
}

#[test]
fn equal_matches_of_one_namespace_are_said() {
    let yaml = deployment("b", &http("host: a.example"), "") + &deployment("a", &http("host: a.example, path: /"), "");
    let (routes, findings) = shared(&yaml);
    assert_eq!(routes, ["default/a [a.example]:  -> default/a*1", "default/b [a.example]:  -> default/b*1"]);
    assert_eq!(findings, ["WorkloadDeployment default/b  AmbiguousRoute"]);
}

#[test]
fn own_rules_take_the_place_of_host_and_path() {
    let rules = "http: {routes: [{matches: [{path: {value: /x}}], component: main}, {hostnames: [B.example]}, {}]}";
    let yaml = deployment("a", &format!("{} {rules}", http("host: a.example")), "");
    assert_eq!(
        shared(&yaml).0,
        ["default/a [a.example]: /x -> default/a#main*1;  -> default/a*1", "default/a [b.example]:  -> default/a*1",]
    );
    // Without any hostname there is no place for them here.
    assert_eq!(shared(&deployment("a", "http: {routes: [{}]}", "")).0, [""; 0]);
}

#[test]
fn http_routes_with_hostnames_are_routed() {
    let backend = "backendRefs: [{group: runtime.wasmcloud.dev, kind: WorkloadDeployment, name: a}]";
    let yaml = deployment("a", "", "")
        + &http_route("r", &format!("hostnames: [a.example], rules: [{{{backend}}}]"))
        + &http_route("none", &format!("rules: [{{{backend}}}]"));
    assert_eq!(shared(&yaml), (vec!["default/r [a.example]:  -> default/a*1".to_owned()], vec![]));
}

#[test]
fn bad_hostnames_out_of_config_maps_are_said() {
    let spec = http("host: a.example").replace("config: {host: a.example}", "configFrom: [{name: c}]");
    let yaml = deployment("a", &spec, "")
        + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {host: '10.0.0.1', host-aliases: ok.example}\n";
    let (routes, findings) = shared(&yaml);
    assert_eq!(routes, ["default/a [ok.example]:  -> default/a*1"]);
    assert_eq!(findings, ["WorkloadDeployment default/a spec.template.spec.hostInterfaces[0].config InvalidHostname"]);
}
