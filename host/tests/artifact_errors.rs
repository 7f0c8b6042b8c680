//! What is said when a component cannot be had. What needs a registry is in artifact_registry.rs, what needs no store
//! beside the code.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "artifact/support.rs"]
mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use penstock_api::snapshot::PullSecret;
use penstock_host::engine::artifact::{ArtifactError, Digest, ImageRequest, StoreOptions};
use support::{component, open, open_with, options, request};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

async fn fault(image: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).load(&request(image)).await.unwrap_err().to_string()
}

#[tokio::test]
async fn files() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display();
    let image = format!("file://{root}/a.wasm");
    assert_eq!(
        fault(&image).await,
        format!("there is no file {root}/a.wasm: build the component, or correct the path in `image`")
    );
    let with = async |bytes: &[u8]| {
        fs::write(folder.path().join("a.wasm"), bytes).unwrap();
        fault(&image).await
    };
    assert_eq!(with(b"").await, format!("`{image}` is empty: its build has probably failed half way; build it again"));
    let whole = component(1);
    assert_eq!(
        with(&whole[..whole.len() - 1]).await,
        format!(
            "`{image}` is cut off: it has {} bytes and needs at least {}; copy or build it again",
            whole.len() - 1,
            whole.len()
        )
    );
    assert_eq!(
        with(b"<html></html>").await,
        format!(
            "`{image}` is not a WebAssembly component: it looks like an HTML page, perhaps an error page saved by a \
             download; download the file itself"
        )
    );
    // Whole by its lengths, but an export of what is not there.
    let invalid = wat::parse_str(r#"(component (export "f" (func 0)))"#).unwrap();
    let error = with(&invalid).await;
    assert!(error.starts_with(&format!("`{image}` does not compile: ")), "{error}");
    assert!(
        error.ends_with("; `wasm-tools validate --features all` on it tells whether its build is at fault"),
        "{error}"
    );
    assert!(error.contains("unknown func") && !error.contains('\n'), "{error}");
}

#[tokio::test]
async fn digests_of_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wasm");
    fs::write(&path, component(1)).unwrap();
    let store = open(folder.path());
    let image = format!("file://{}", path.display());
    let (actual, expected) = (Digest::of(&component(1)), Digest::of(b"other"));
    let with = |digest: &str| ImageRequest { digest: Some(digest.to_owned()), ..request(&image) };

    store.load(&with(&actual.to_string())).await.unwrap();
    assert_eq!(
        store.load(&with(&expected.to_string())).await.unwrap_err().to_string(),
        format!(
            "`{image}` has the digest {actual}, but {expected} was asked for: update the digest if the change was meant, \
             else find out who changed the file"
        )
    );
    for (digest, reason) in [
        ("md5:1234", "it must begin with `sha256:`"),
        ("sha256:1234", "`sha256:` must be followed by 64 hexadecimal digits"),
    ] {
        assert_eq!(
            store.load(&with(digest)).await.unwrap_err().to_string(),
            format!("the digest `{digest}` of `{image}` cannot be used: {reason}")
        );
    }
}

/// As root every file may be read, so that this test runs again as nobody.
#[tokio::test]
async fn files_without_permission() {
    const INSIDE: &str = "PENSTOCK_TEST_NOBODY";
    if let Some(path) = std::env::var_os(INSIDE) {
        let image = format!("file://{}", path.to_string_lossy());
        assert_eq!(
            fault(&image).await,
            format!(
                "{} may not be read: give the user that runs the host read permission on it and on its folders",
                path.to_string_lossy()
            )
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wasm");
    fs::write(&path, component(1)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let mut again = if fs::read(&path).is_ok() {
        // The test program itself may lie where nobody can go.
        let program = folder.path().join("test");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(std::env::current_exe().unwrap())
    };
    let output =
        again.args(["--exact", "files_without_permission", "--nocapture"]).env(INSIDE, &path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_registry_that_is_not_there() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let image = format!("127.0.0.1:{port}/hello:1");
    let folder = tempfile::tempdir().unwrap();
    let error = open(folder.path()).load(&request(&image)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the registry 127.0.0.1:{port} of `{image}` cannot be reached (Connection refused (os error 111), 3 attempts): \
             check its name, the network, and proxy settings"
        )
    );
    assert!(error.is_transient());
}

/// Answers every connection with the next of `answers`, the last one for ever, and counts the requests.
async fn canned(answers: &'static [&'static str]) -> (u16, Arc<AtomicU32>) {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicU32::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let n = counted.fetch_add(1, Ordering::SeqCst) as usize;
            let answer = answers[n.min(answers.len() - 1)];
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                if answer == "silence" {
                    std::future::pending::<()>().await;
                }
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (port, count)
}

macro_rules! answer {
    ($status:literal, $body:literal) => {
        concat!("HTTP/1.1 ", $status, "\r\nconnection: close\r\ntransfer-encoding: identity\r\n\r\n", $body)
    };
}

#[tokio::test]
async fn transient_faults_are_tried_again_and_lasting_ones_are_not() {
    const OK: &str = answer!("200 OK", "{}");
    for (answers, expected, requests) in [
        // Each attempt asks for `/v2/` and then for the manifest.
        (
            &[OK, answer!("503 Service Unavailable", "busy\nnow")][..],
            "cannot serve `IMAGE`: it answers 503 \"busy now\"",
            // The first `/v2/` is let through; from then on all answers are 503, which `/v2/` does not mind.
            6,
        ),
        (&[OK, answer!("429 Too Many Requests", "")], "cannot serve `IMAGE`: it limits the rate of pulls (429)", 6),
        (
            &[OK, answer!("418 I'm a teapot", "hunter2 is short and stout")],
            "cannot serve `IMAGE`: it answers 418 \"*** is short and stout\"",
            2,
        ),
        (
            &[OK, answer!("403 Forbidden", "")],
            "forbids to pull `IMAGE`: give the account read access to this repository (it was asked with the workload's \
             `imagePullSecret`)",
            2,
        ),
        (
            &[OK, answer!("403 Forbidden", r#"{"errors":[{"code":"DENIED","message":"no"}]}"#)],
            "forbids to pull `IMAGE`: give the account read access to this repository (it was asked with the workload's \
             `imagePullSecret`)",
            2,
        ),
        (
            &[OK, answer!("200 OK", "<html>Welcome to the hotel's WLAN</html>")],
            "`IMAGE` holds no component: its manifest cannot be read (expected value at line 1 column 1); push the .wasm file \
             itself, for instance with `wash oci push` or `oras push <image> component.wasm:application/wasm`",
            2,
        ),
    ] {
        let (port, count) = canned(answers).await;
        let image = format!("127.0.0.1:{port}/hello:1");
        let folder = tempfile::tempdir().unwrap();
        let secret = PullSecret { username: "me".into(), password: "hunter2".into() };
        let request = ImageRequest { pull_secret: Some(secret), ..request(&image) };
        let error = open(folder.path()).load(&request).await.unwrap_err();
        let expected = expected.replace("IMAGE", &image);
        let expected = match error {
            ArtifactError::NotAComponentImage { .. } => expected,
            _ => format!("the registry 127.0.0.1:{port} {expected}"),
        };
        assert_eq!(error.to_string(), expected);
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        assert_eq!(count.load(Ordering::SeqCst), requests, "{expected}");
    }
}

#[tokio::test]
async fn a_registry_that_never_answers() {
    let (port, count) = canned(&["silence"]).await;
    let image = format!("127.0.0.1:{port}/hello:1");
    let folder = tempfile::tempdir().unwrap();
    let mut options = options();
    options.pull.answer_timeout = std::time::Duration::from_secs(1);
    options.pull.attempts = 2;
    let error = open_with(folder.path(), options).load(&request(&image)).await.unwrap_err();
    let ArtifactError::RegistryUnreachable { reason, attempts: 2, .. } = &error else { panic!("{error:?}") };
    assert!(["it does not answer in time", "no answer within 1 s"].contains(&reason.as_str()), "{reason}");
    assert!(count.load(Ordering::SeqCst) >= 2);
}

#[tokio::test]
async fn plain_http_is_for_listed_registries_only() {
    let (port, _) = canned(&[answer!("404 Not Found", "")]).await;
    // Reaches this machine, but is not a loopback address.
    let image = format!("0.0.0.0:{port}/hello:1");
    assert_eq!(
        fault(&image).await,
        format!(
            "no trusted TLS connection to the registry 0.0.0.0:{port} of `{image}`: it does not speak TLS on this port; add \
             its CA to the host's certificates (SSL_CERT_FILE), or, if it speaks plain HTTP only, list it as an insecure \
             registry"
        )
    );
    for listed in ["0.0.0.0".to_owned(), format!("0.0.0.0:{port}")] {
        let folder = tempfile::tempdir().unwrap();
        let store = open_with(folder.path(), StoreOptions { insecure_registries: vec![listed], ..options() });
        let error = store.load(&request(&image)).await.unwrap_err();
        assert!(matches!(error, ArtifactError::ImageNotFound { .. }), "{error}");
    }
}
