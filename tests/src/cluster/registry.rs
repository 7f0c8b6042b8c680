//! The components of tests and examples, in the registry that runs in the cluster. Hosts fetch them by its DNS name, over
//! the cluster's network, as they would from any registry.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use k8s_openapi::api::core::v1::Service;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;

use super::{Cluster, PATIENCE};
use crate::http::send;

/// What manifests write in front of a component's name.
pub(super) const PREFIX: &str = "registry.registry.svc.cluster.local:5000";

/// Pushes whatever is not there yet. The tag is the content's hash, so that a changed component is another image.
pub(super) async fn fill(cluster: &Cluster) -> Result<()> {
    let address = address(cluster).await?;
    answers(address).await?;
    for folder in ["tests/guests/components", "examples/quickstart/components"] {
        let folder = cluster.root().join(folder);
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.extension().is_some_and(|it| it == "wasm") {
                push(address, &path).await.with_context(|| path.display().to_string())?;
            }
        }
    }
    Ok(())
}

/// The reference of a component by the name of its file.
pub(super) fn image(root: &Path, name: &str) -> Result<String> {
    for folder in ["tests/guests/components", "examples/quickstart/components"] {
        if let Ok(bytes) = fs::read(root.join(folder).join(format!("{name}.wasm"))) {
            return Ok(format!("{PREFIX}/{name}:{}", tag(&bytes)));
        }
    }
    anyhow::bail!("there is no component {name}.wasm in tests/guests/components or examples/quickstart/components")
}

/// Waits until it can be reached. After an outage of the API server, nodes and all that runs on them count as not ready until
/// somebody has heard of them again, and a Service without ready endpoints is refused.
async fn answers(address: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = TcpStream::connect(address).await {
        ensure!(Instant::now() < deadline, "the registry at {address} cannot be reached: {error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn address(cluster: &Cluster) -> Result<SocketAddr> {
    let service = cluster.api::<Service>("registry").get("registry").await?;
    let ip = service.spec.and_then(|it| it.cluster_ip).context("no ClusterIP")?;
    Ok(SocketAddr::new(ip.parse()?, 5000))
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn tag(bytes: &[u8]) -> String {
    digest(bytes)[7..19].to_owned()
}

async fn push(address: SocketAddr, path: &Path) -> Result<()> {
    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    let name = path.file_stem().and_then(|it| it.to_str()).context("a file name that is no text")?;
    let component = fs::read(path)?;
    let at = format!("/v2/{name}/manifests/{}", tag(&component));
    let there = Request::head(&at).header(header::ACCEPT, MANIFEST).body(Full::default())?;
    if send(address, there).await?.status() == 200 {
        return Ok(());
    }
    let config = b"{}".to_vec();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.wasm.config.v0+json", "digest": digest(&config), "size": config.len(),
        },
        "layers": [{"mediaType": "application/wasm", "digest": digest(&component), "size": component.len()}],
    });
    blob(address, name, config).await?;
    blob(address, name, component).await?;
    let request =
        Request::put(&at).header(header::CONTENT_TYPE, MANIFEST).body(Full::new(manifest.to_string().into()))?;
    let answer = send(address, request).await?;
    ensure!(answer.status() == 201, "PUT {at}: {} {:?}", answer.status(), answer.body());
    Ok(())
}

async fn blob(address: SocketAddr, name: &str, bytes: Vec<u8>) -> Result<()> {
    let begin = Request::post(format!("/v2/{name}/blobs/uploads/")).body(Full::default())?;
    let answer = send(address, begin).await?;
    let location = answer.headers().get(header::LOCATION).context("no Location for an upload")?.to_str()?;
    let uri: http::Uri = location.parse()?;
    let path = uri.path_and_query().context("no path for an upload")?.as_str();
    let separator = if path.contains('?') { '&' } else { '?' };
    let put = Request::builder()
        .method(Method::PUT)
        .uri(format!("{path}{separator}digest={}", digest(&bytes)))
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .body(Full::new(Bytes::from(bytes)))?;
    let answer = send(address, put).await?;
    ensure!(answer.status() == 201, "PUT {path}: {} {:?}", answer.status(), answer.body());
    Ok(())
}
