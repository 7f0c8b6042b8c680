//! Encrypted ports: certificates from Secrets, as curl sees them.

use std::{net::SocketAddr, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Service;
use penstock_tests::cluster::{Cluster, Scene, Template};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

const HOST: &str = "shop.example";

/// An authority whose certificates are files, as users have them.
struct Authority<'f> {
    folder: &'f Path,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl<'f> Authority<'f> {
    fn new(folder: &'f Path) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "the tests' authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        std::fs::write(folder.join("ca.crt"), issuer.pem())?;
        Ok(Self { folder, issuer })
    }

    /// Writes `NAME.crt` and `NAME.key`.
    fn issue(&self, name: &str, serial: u8) -> Result<()> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![HOST.to_owned()])?;
        params.serial_number = Some(vec![serial].into());
        let issued = params.signed_by(&key, &self.issuer)?;
        std::fs::write(self.folder.join(format!("{name}.crt")), issued.pem())?;
        std::fs::write(self.folder.join(format!("{name}.key")), key.serialize_pem())?;
        Ok(())
    }

    /// `kubectl create secret tls`, or what takes the place of one that is there.
    fn put_secret(&self, cluster: &Cluster, namespace: &str, name: &str) -> Result<()> {
        let path = |end: &str| self.folder.join(format!("{name}.{end}")).display().to_string();
        let (cert, key) = (format!("--cert={}", path("crt")), format!("--key={}", path("key")));
        let args = ["create", "secret", "tls", "shop", &cert, &key, "--dry-run=client", "-o", "yaml"];
        let manifest = cluster.kubectl(args)?;
        cluster.apply(namespace, &manifest).map(drop)
    }

    /// What curl prints: the status, and the serial number of the certificate that it was shown.
    fn curl(&self, address: SocketAddr, more: &[&str]) -> Result<String> {
        let to = format!("{HOST}:443:{}", address.ip());
        let ca = self.folder.join("ca.crt").display().to_string();
        let format = "%{http_code} http/%{http_version} %{certs}";
        let url = format!("https://{HOST}/hello");
        let mut command = Command::new("curl");
        command.args(["-sS", "-o", "/dev/null", "-w", format, "--max-time", "10", "--resolve", &to, "--cacert", &ca]);
        let output = command.args(more).arg(url).output().context("curl")?;
        let (out, error) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "curl: {error}");
        let serial = out.lines().find_map(|it| it.strip_prefix("Serial Number:")).unwrap_or_default();
        let head: Vec<&str> = out.split_whitespace().take(2).collect();
        Ok(format!("{} {}", head.join(" "), serial.trim()))
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: tests/e2e.sh"]
async fn an_encrypted_port_with_a_certificate_that_is_replaced() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let folder = tempfile::tempdir()?;
    let authority = Authority::new(folder.path())?;
    let scene = Scene::start(&cluster, "tls", Template::kitchen(2)).await?;
    let namespace = scene.namespace();
    let mut load = scene.load()?;
    load.answered(50).await?;

    load.mark("an encrypted port comes, without its certificate");
    let port = serde_json::json!({"name": "https", "port": 443, "appProtocol": "https"});
    let patch = |annotations: serde_json::Value, ports: serde_json::Value| {
        let patch = serde_json::json!({"metadata": {"annotations": annotations}, "spec": {"ports": ports}}).to_string();
        cluster.kubectl(["patch", "service", "app", "-n", namespace, "--type=merge", "-p", &patch])
    };
    let mut ports = vec![serde_json::json!({"name": "http", "port": 80}), port];
    let plain = cluster.api::<Service>(namespace).get("app").await?;
    let name = plain.spec.and_then(|it| it.ports).and_then(|it| it.into_iter().next()?.name);
    ports[0]["name"] = name.unwrap_or_else(|| "http".to_owned()).into();
    patch(serde_json::json!({"runtime.wasmcloud.dev/tls-secrets": "shop"}), ports.clone().into())?;
    let told = |reason: &'static str| {
        cluster.until(
            cluster.api::<Service>(namespace),
            "a condition that tells of the Secret",
            penstock_tests::cluster::PATIENCE,
            move |all| {
                let conditions = all.get("app")?.status.as_ref()?.conditions.as_ref()?;
                conditions.iter().find(|it| it.reason == reason).map(|it| it.message.clone())
            },
        )
    };
    println!("without its Secret: {}", told("InvalidCertificateRef").await?);

    load.mark("its certificate comes");
    authority.issue("one", 17)?;
    authority.issue("two", 18)?;
    authority.put_secret(&cluster, namespace, "one")?;
    told("Accepted").await?;
    let address = scene.address()?;
    until(&authority, address, "200 http/2 11", &[]).await?;
    ensure!(authority.curl(address, &["--http1.1"])? == "200 http/1.1 11");

    load.mark("another one takes its place");
    authority.put_secret(&cluster, namespace, "two")?;
    until_never_failing(&authority, address, "200 http/2 12").await?;

    load.mark("clients have to show who they are");
    let ca = format!("--from-file=ca.crt={}", folder.path().join("ca.crt").display());
    cluster.kubectl(["create", "configmap", "clients", &ca, "-n", namespace])?;
    patch(serde_json::json!({"runtime.wasmcloud.dev/tls-client-ca": "configmap/clients"}), ports.into())?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (cert, key) = (file("one.crt"), file("one.key"));
    let deadline = std::time::Instant::now() + penstock_tests::cluster::PATIENCE;
    while authority.curl(address, &[]).is_ok() {
        ensure!(std::time::Instant::now() < deadline, "clients without certificates are still let in");
    }
    let error = authority.curl(address, &[]).unwrap_err();
    println!("without a client's certificate: {error}");
    until(&authority, address, "200 http/2 12", &["--cert", &cert, "--key", &key]).await?;

    load.answered(100).await?;
    let counted = load.finish().await?;
    println!("an encrypted port beside a plain one: {}", counted.line());
    counted.clean()?;
    scene.end()
}

/// Asks until the answer is as wanted: new endpoints and hosts take their time.
async fn until(authority: &Authority<'_>, address: SocketAddr, wanted: &str, more: &[&str]) -> Result<()> {
    let deadline = std::time::Instant::now() + penstock_tests::cluster::PATIENCE;
    // Each host has to show it: kube-proxy chooses.
    let mut in_a_row = 0;
    while in_a_row < 10 {
        let answer = authority.curl(address, more);
        in_a_row = if answer.as_ref().is_ok_and(|it| it == wanted) { in_a_row + 1 } else { 0 };
        ensure!(std::time::Instant::now() < deadline, "{answer:?} instead of {wanted}");
    }
    Ok(())
}

/// The same, and no answer on the way is none.
async fn until_never_failing(authority: &Authority<'_>, address: SocketAddr, wanted: &str) -> Result<()> {
    let deadline = std::time::Instant::now() + penstock_tests::cluster::PATIENCE;
    let mut in_a_row = 0;
    while in_a_row < 10 {
        let answer = authority.curl(address, &[]).context("while the certificate is replaced")?;
        in_a_row = if answer == wanted { in_a_row + 1 } else { 0 };
        ensure!(std::time::Instant::now() < deadline, "{answer} instead of {wanted}");
    }
    Ok(())
}
