//! Which of a Service's ports are encrypted, with what, and what is said when that cannot be.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use penstock_api::snapshot::ListenerTls;
use penstock_operator::plan::{
    Name, Values,
    tls::{ServiceTls, resolve},
};

use super::support::{behind, deployment, findings, listener, plan_of, service};

/// One Secret and one ConfigMap of any name.
#[derive(Default)]
struct Given {
    secret: Option<Secret>,
    config_map: Option<ConfigMap>,
}

impl Values for Given {
    fn config_map(&self, _: &Name) -> Option<Arc<ConfigMap>> {
        self.config_map.clone().map(Arc::new)
    }

    fn secret(&self, _: &Name) -> Option<Arc<Secret>> {
        self.secret.clone().map(Arc::new)
    }
}

/// A pair as a Secret has it, which vouches for itself.
fn secret() -> Secret {
    let made = rcgen::generate_simple_self_signed(vec!["shop.example".to_owned()]).unwrap();
    let data =
        [("tls.crt", made.cert.pem()), ("tls.key", made.signing_key.serialize_pem()), ("ca.crt", made.cert.pem())];
    Secret {
        string_data: Some(data.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ..Secret::default()
    }
}

fn of(annotations: &[(&str, &str)], given: &Given, before: Option<&ServiceTls>) -> ServiceTls {
    let ports = serde_json::json!([
        {"name": "http", "port": 80},
        {"name": "https", "port": 443, "appProtocol": "https"},
    ]);
    let annotations: serde_json::Map<String, serde_json::Value> =
        annotations.iter().map(|(name, value)| (format!("runtime.wasmcloud.dev/{name}"), (*value).into())).collect();
    let service = serde_json::json!({"metadata": {"annotations": annotations}, "spec": {"ports": ports}});
    let service: Service = serde_json::from_value(service).unwrap();
    resolve(&Name::new("ns", "app"), &service, given, before)
}

fn tls(of: &ServiceTls) -> ListenerTls {
    assert!(of.of("http").is_none());
    of.of("https").unwrap().clone()
}

fn said(of: &ServiceTls) -> Vec<String> {
    of.findings().iter().map(|it| format!("{} {}: {}", it.path, it.reason, it.message)).collect()
}

#[test]
fn only_ports_that_say_https_have_it() {
    let given = Given { secret: Some(secret()), ..Given::default() };
    let full = of(&[("tls-secrets", " shop , other,")], &given, None);
    assert_eq!(said(&full), Vec::<String>::new());
    let names: Vec<String> = tls(&full).certificates.into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["ns/shop", "ns/other"]);
    assert_eq!(full.sources.len(), 2);
}

#[test]
fn what_is_missing_or_wrong_is_said_and_nothing_is_served_in_the_clear() {
    let nothing = Given::default();
    let one = of(&[], &nothing, None);
    assert!(tls(&one).certificates.is_empty());
    assert!(said(&one)[0].contains("InvalidCertificateRef: a port has `appProtocol: https`"), "{:?}", said(&one));
    let one = of(&[("tls-secrets", "shop")], &nothing, None);
    assert!(tls(&one).certificates.is_empty() && one.sources.len() == 1);
    assert!(said(&one)[0].contains("there is no Secret ns/shop: create it"), "{:?}", said(&one));

    let mut broken = secret();
    broken.string_data.as_mut().unwrap().insert("tls.key".to_owned(), "x".to_owned());
    let broken = Given { secret: Some(broken), ..Given::default() };
    let one = of(&[("tls-secrets", "shop")], &broken, None);
    assert!(said(&one)[0].contains("the key of ns/shop cannot be read"), "{:?}", said(&one));
    // What was there before is used on.
    let good = of(&[("tls-secrets", "shop")], &Given { secret: Some(secret()), ..Given::default() }, None);
    for now in [&broken, &nothing] {
        let kept = of(&[("tls-secrets", "shop")], now, Some(&good));
        assert_eq!(tls(&kept), tls(&good));
        assert!(said(&kept)[0].ends_with("; the one before is used on"), "{:?}", said(&kept));
    }
}

#[test]
fn clients_are_checked_or_nobody_is_let_in() {
    let given = Given { secret: Some(secret()), ..Given::default() };
    let base = [("tls-secrets", "shop"), ("tls-client-ca", "clients")];
    let required = tls(&of(&base, &given, None));
    assert!(required.clients_required && required.client_authorities.unwrap().contains("BEGIN CERTIFICATE"));
    let optional = tls(&of(&[base[0], base[1], ("tls-client-certificates", "optional")], &given, None));
    assert!(!optional.clients_required && optional.client_authorities.is_some());
    let odd = of(&[base[0], base[1], ("tls-client-certificates", "maybe")], &given, None);
    assert!(tls(&odd).clients_required && said(&odd).len() == 1, "{:?}", said(&odd));

    for reference in ["configmap/clients", "pod/clients"] {
        let one = of(&[base[0], ("tls-client-ca", reference)], &given, None);
        let tls = tls(&one);
        assert_eq!((tls.client_authorities.as_deref(), tls.clients_required), (Some(""), true), "{reference}");
        assert_eq!(said(&one).len(), 1, "{:?}", said(&one));
    }
    let pem = secret().string_data.unwrap().remove("ca.crt").unwrap();
    let data = [("ca.crt".to_owned(), pem)].into_iter().collect();
    let bundle = Given { config_map: Some(ConfigMap { data: Some(data), ..ConfigMap::default() }), ..given };
    assert_eq!(said(&of(&[base[0], ("tls-client-ca", "configmap/clients")], &bundle, None)), Vec::<String>::new());
}

#[test]
fn it_is_in_the_plan_of_files_too() {
    let service = service("app", "{name: http, port: 80}, {name: https, port: 443, appProtocol: https}")
        .replace("metadata: {", "metadata: {annotations: {runtime.wasmcloud.dev/tls-secrets: shop}, ");
    let plan = plan_of(&(deployment("app", "", &behind("app")) + &service));
    assert!(listener(&plan, "default/app:http").tls.is_none());
    assert!(listener(&plan, "default/app:https").tls.as_ref().is_some_and(|it| it.certificates.is_empty()));
    let path = "metadata.annotations[runtime.wasmcloud.dev/tls-secrets]";
    assert_eq!(findings(&plan), [format!("Service default/app {path} InvalidCertificateRef")]);
}
