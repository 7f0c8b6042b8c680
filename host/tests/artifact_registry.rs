//! Components from a real registry (CNCF distribution), started on a loopback port. `PENSTOCK_TEST_REGISTRY` names its
//! binary; without it, tests/tools/registry.sh builds one on first use.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "artifact/support.rs"]
mod support;

use std::{fs, sync::Arc};

use penstock_api::snapshot::{PullPolicy, PullSecret};
use penstock_host::engine::artifact::{ArtifactError, ArtifactWarning, Digest, ImageRequest, Origin, StoreOptions};
use support::{
    compiled_files, component, open,
    registry::{Layer, Registry},
    request,
};

fn secret(username: &str, password: &str) -> Option<PullSecret> {
    Some(PullSecret { username: username.into(), password: password.into() })
}

#[tokio::test]
async fn a_component_is_pulled_checked_compiled_and_kept() {
    let registry = Registry::start().await;
    let bytes = component(1);
    let manifest = registry.push("hello:1", &[Layer::wasm(&bytes)]).await;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let image = registry.image("hello:1");

    let (fetched, compiled) = store.load(&request(&image)).await.unwrap();
    assert_eq!(fetched.digest, Digest::of(&bytes));
    assert_eq!(fetched.manifest, Some(manifest));
    assert!(matches!(compiled.origin, Origin::Compiled(_)), "{compiled:?}");
    assert_eq!((fetched.warning, compiled.warning.clone()), (None, None));

    // Everything that came is under its own digest.
    for entry in fs::read_dir(folder.path().join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let digest = Digest::of(&fs::read(&path).unwrap());
        assert_eq!(path.file_name().unwrap().to_str().unwrap(), digest.hex());
    }
    // The same again is the same component, not another copy.
    let (_, again) = store.load(&request(&image)).await.unwrap();
    assert!(Arc::ptr_eq(&compiled, &again));
}

#[tokio::test]
async fn a_host_starts_from_disk_when_the_registry_is_gone() {
    let registry = Registry::start().await;
    registry.push("hello:1", &[Layer::wasm(&component(1))]).await;
    let image = registry.image("hello:1");
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).load(&request(&image)).await.unwrap();
    drop(registry);

    for pull_policy in [PullPolicy::IfNotPresent, PullPolicy::Never, PullPolicy::Always] {
        let request = ImageRequest { pull_policy, ..request(&image) };
        let (fetched, compiled) = open(folder.path()).load(&request).await.unwrap();
        assert_eq!(fetched.digest, first.0.digest);
        assert!(matches!(compiled.origin, Origin::Mapped(_)), "{compiled:?}");
        match (pull_policy, fetched.warning) {
            (PullPolicy::Always, Some(ArtifactWarning::Stale { reason, .. })) => {
                assert!(reason.contains("Connection refused"), "{reason}");
            }
            (PullPolicy::Always, other) => panic!("{other:?}"),
            (_, warning) => assert_eq!(warning, None),
        }
    }
}

#[tokio::test]
async fn pull_policies() {
    let registry = Registry::start().await;
    let (old, new) = (component(1), component(2));
    registry.push("hello:1", &[Layer::wasm(&old)]).await;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let image = registry.image("hello:1");
    let fetch = async |pull_policy| {
        let request = ImageRequest { pull_policy, ..request(&image) };
        store.fetch(&request).await.map(|fetched| fetched.digest)
    };

    assert_eq!(
        fetch(PullPolicy::Never).await.unwrap_err().to_string(),
        format!(
            "`{image}` is not on this host, and its pull policy `Never` forbids to ask the registry: use `IfNotPresent`, or \
             load it first"
        )
    );
    assert_eq!(fetch(PullPolicy::IfNotPresent).await, Ok(Digest::of(&old)));
    registry.push("hello:1", &[Layer::wasm(&new)]).await;
    assert_eq!(fetch(PullPolicy::IfNotPresent).await, Ok(Digest::of(&old)));
    assert_eq!(fetch(PullPolicy::Never).await, Ok(Digest::of(&old)));
    assert_eq!(fetch(PullPolicy::Always).await, Ok(Digest::of(&new)));
    assert_eq!(fetch(PullPolicy::IfNotPresent).await, Ok(Digest::of(&new)));
}

#[tokio::test]
async fn digests_pin_the_content() {
    let registry = Registry::start().await;
    let (old, new) = (component(1), component(2));
    let first = registry.push("hello:1", &[Layer::wasm(&old)]).await;
    let second = registry.push("hello:1", &[Layer::wasm(&new)]).await;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());

    // The tag has moved on, the digest has not.
    let by_tag = ImageRequest { digest: Some(first.to_string()), ..request(&registry.image("hello:1")) };
    let by_digest = request(&registry.image(&format!("hello@{first}")));
    let by_both = request(&registry.image(&format!("hello:1@{first}")));
    for request in [by_tag, by_digest, by_both] {
        assert_eq!(store.fetch(&request).await.unwrap().digest, Digest::of(&old), "{request:?}");
    }
    // A pinned pull says nothing about the tag.
    assert_eq!(store.fetch(&request(&registry.image("hello:1"))).await.unwrap().digest, Digest::of(&new));

    let image = registry.image(&format!("hello@{first}"));
    let contradiction = ImageRequest { digest: Some(second.to_string()), ..request(&image) };
    assert_eq!(
        store.fetch(&contradiction).await.unwrap_err().to_string(),
        format!(
            "the digest `{second}` of `{image}` cannot be used: the image itself names another one; remove one of the two"
        )
    );
}

#[tokio::test]
async fn a_registry_that_serves_other_bytes_is_found_out() {
    let registry = Registry::start().await;
    let bytes = component(1);
    let manifest = registry.push("hello:1", &[Layer::wasm(&bytes)]).await;
    let image = registry.image("hello:1");
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());

    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    registry.tamper(&Digest::of(&bytes), &changed);
    assert_eq!(
        store.fetch(&request(&image)).await.unwrap_err().to_string(),
        format!(
            "`{image}` has the digest {}, but {} was asked for: update the digest if the change was meant, else find out \
             who changed the layer",
            Digest::of(&changed),
            Digest::of(&bytes)
        )
    );

    // A longer one is not even read to its end.
    registry.tamper(&Digest::of(&bytes), &[bytes.as_slice(), &[0; 100]].concat());
    let error = store.fetch(&request(&image)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the registry {} cannot serve `{image}`: a layer is longer than the {} bytes that its manifest says",
            registry.name(),
            bytes.len()
        )
    );

    registry.tamper(&manifest, b"{}");
    let pinned = ImageRequest { digest: Some(manifest.to_string()), ..request(&image) };
    let error = store.fetch(&pinned).await.unwrap_err();
    assert!(!matches!(error, ArtifactError::NotAComponentImage { .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path().join("blobs/sha256")).unwrap().count(), 0, "something was kept");
}

#[tokio::test]
async fn older_layouts_and_indexes() {
    let registry = Registry::start().await;
    let bytes = component(1);
    for (n, kind) in ["application/vnd.wasm.content.layer.v1+wasm", "application/vnd.module.wasm.content.layer.v1+wasm"]
        .into_iter()
        .enumerate()
    {
        let tag = format!("old:{n}");
        registry.push(&tag, &[Layer::new("application/json", b"{}"), Layer::new(kind, &bytes)]).await;
        let folder = tempfile::tempdir().unwrap();
        let fetched = open(folder.path()).fetch(&request(&registry.image(&tag))).await.unwrap();
        assert_eq!(fetched.digest, Digest::of(&bytes), "{kind}");
    }

    let manifest = registry.push("multi:wasm", &[Layer::wasm(&bytes)]).await;
    let other = registry.push("multi:other", &[Layer::new("application/vnd.oci.image.layer.v1.tar", b"tar")]).await;
    registry.push_index("multi:1", &[("amd64", other), ("wasm", manifest)]).await;
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        // The second time from disk.
        let fetched = open(folder.path()).fetch(&request(&registry.image("multi:1"))).await.unwrap();
        assert_eq!(fetched.digest, Digest::of(&bytes));
    }
}

#[tokio::test]
async fn credentials() {
    let registry = Registry::start_with_account("me", "hunter2!").await;
    registry.push("team/hello:1", &[Layer::wasm(&component(1))]).await;
    let (name, image) = (registry.name(), registry.image("team/hello:1"));
    let docker = tempfile::tempdir().unwrap();
    let log_in = |auth: &str| {
        let config = format!(r#"{{"auths":{{"{name}":{{"auth":"{auth}"}}}}}}"#);
        fs::write(docker.path().join("config.json"), config).unwrap();
    };
    let fetch = async |pull_secret, docker_config| {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions { docker_config, ..support::options() };
        let store = support::open_with(folder.path(), options);
        let request = ImageRequest { pull_secret, ..request(&image) };
        assert!(!format!("{request:?}").contains("hunter2"));
        store.fetch(&request).await.map(|fetched| fetched.digest).map_err(|error| {
            assert!(!format!("{error:?}").contains("hunter3"), "{error:?}");
            assert!(!error.is_transient());
            error.to_string()
        })
    };
    let wants = format!("the registry {name} wants other credentials for `{image}`: ");

    assert_eq!(
        fetch(None, None).await,
        Err(format!(
            "{wants}none were given; name an `imagePullSecret` in the workload, or run `docker login` as the user that runs \
             the host"
        ))
    );
    assert_eq!(
        fetch(secret("me", "hunter3"), None).await,
        Err(format!(
            "{wants}it refused the user name or password in the workload's `imagePullSecret`; correct the secret"
        ))
    );
    fetch(secret("me", "hunter2!"), None).await.unwrap();

    // "me:hunter3", then "me:hunter2!".
    log_in("bWU6aHVudGVyMw==");
    assert_eq!(
        fetch(None, Some(docker.path().into())).await,
        Err(format!(
            "{wants}it refused those in {}; run `docker login` again",
            docker.path().join("config.json").display()
        ))
    );
    log_in("bWU6aHVudGVyMiE=");
    fetch(None, Some(docker.path().into())).await.unwrap();
}

#[tokio::test]
async fn one_workload_never_pulls_with_the_credentials_of_another() {
    let registry = Registry::start_with_account("me", "hunter2!").await;
    registry.push("hello:1", &[Layer::wasm(&component(1))]).await;
    registry.push("hello:2", &[Layer::wasm(&component(2))]).await;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let with = |tag: &str, pull_secret| ImageRequest { pull_secret, ..request(&registry.image(tag)) };

    store.fetch(&with("hello:1", secret("me", "hunter2!"))).await.unwrap();
    let (bad, none) = (with("hello:2", secret("me", "wrong")), with("hello:2", None));
    let good = with("hello:2", secret("me", "hunter2!"));
    let (bad, none, good) = tokio::join!(store.fetch(&bad), store.fetch(&none), store.fetch(&good));
    assert!(matches!(bad, Err(ArtifactError::Unauthorized { .. })), "{bad:?}");
    assert!(matches!(none, Err(ArtifactError::Unauthorized { .. })), "{none:?}");
    good.unwrap();
}

#[tokio::test]
async fn what_is_not_there_and_what_is_no_component() {
    let registry = Registry::start().await;
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { max_component_bytes: 2000, ..support::options() };
    let store = support::open_with(folder.path(), options);
    let tar = Layer::new("application/vnd.oci.image.layer.v1.tar+gzip", b"not a real one");
    registry.push("image:1", &[tar.clone(), tar]).await;
    registry.push("large:1", &[Layer::wasm(&vec![0; 2001])]).await;
    registry.push("core:1", &[Layer::wasm(b"\0asm\x01\0\0\0")]).await;
    let (name, image) = (registry.name(), |tag: &str| registry.image(tag));
    let fault = async |tag: &str| store.load(&request(&image(tag))).await.unwrap_err().to_string();

    for tag in ["missing:1", "image:2"] {
        assert_eq!(
            fault(tag).await,
            format!("the registry {name} has no `{}`: check repository and tag, or push it first", image(tag))
        );
    }
    assert_eq!(
        fault("image:1").await,
        format!(
            "`{}` holds no component: it is a container image (its 2 layer(s) are of type \
             application/vnd.oci.image.layer.v1.tar+gzip); push the .wasm file itself, for instance with `wash oci push` or \
             `oras push <image> component.wasm:application/wasm`",
            image("image:1")
        )
    );
    assert_eq!(
        fault("large:1").await,
        format!(
            "`{}` is too large: 2001 bytes, and this host accepts at most 2000; strip it, or raise the host's limit on \
             component size",
            image("large:1")
        )
    );
    assert_eq!(
        fault("core:1").await,
        format!(
            "`{}` is a core WebAssembly module, not a component: wrap it with `wasm-tools component new` (with `--adapt` if \
             it uses WASI preview 1), or build it for a component target such as wasm32-wasip2",
            image("core:1")
        )
    );
}

#[tokio::test]
async fn a_damaged_copy_is_fetched_again() {
    let registry = Registry::start().await;
    let bytes = component(1);
    registry.push("hello:1", &[Layer::wasm(&bytes)]).await;
    let image = registry.image("hello:1");
    let folder = tempfile::tempdir().unwrap();
    let digest = open(folder.path()).fetch(&request(&image)).await.unwrap().digest;

    let blob = folder.path().join("blobs/sha256").join(digest.hex());
    let damage = |bytes: &[u8]| fs::write(&blob, bytes).unwrap();
    // Another length is seen at once, other content when it is read.
    damage(&bytes[1..]);
    open(folder.path()).load(&request(&image)).await.unwrap();
    assert_eq!(fs::read(&blob).unwrap(), bytes);
    for file in compiled_files(folder.path()) {
        // The sweep may be faster with a seal that has lost its payload.
        let _ = fs::remove_file(file);
    }
    damage(&vec![0; bytes.len()]);
    open(folder.path()).load(&request(&image)).await.unwrap();
    assert_eq!(fs::read(&blob).unwrap(), bytes);
    // As long as it is not needed, nobody reads it.
    damage(&vec![0; bytes.len()]);
    let (_, compiled) = open(folder.path()).load(&request(&image)).await.unwrap();
    assert!(matches!(compiled.origin, Origin::Mapped(_)));
}

#[tokio::test]
async fn many_who_ask_cause_one_download() {
    let registry = Registry::start().await;
    registry.push("hello:1", &[Layer::wasm(&component(1))]).await;
    let image = registry.image("hello:1");
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let before = registry.requests("/blobs/");
    let request = request(&image);
    let all = futures_util::future::join_all((0..20).map(|_| store.fetch(&request))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(registry.requests("/blobs/") - before, 1);
}

#[tokio::test]
async fn what_is_in_use_survives_the_sweep() {
    let registry = Registry::start().await;
    for n in 1..=3 {
        registry.push(&format!("hello:{n}"), &[Layer::wasm(&component(n))]).await;
    }
    let folder = tempfile::tempdir().unwrap();
    // Room for nothing: every store sweeps, and only what is in use may stay.
    let options = StoreOptions { max_cache_bytes: 1, ..support::options() };
    let store = support::open_with(folder.path(), options);
    let mut kept = Vec::new();
    for n in 1..=3 {
        let request = request(&registry.image(&format!("hello:{n}")));
        let loaded = store.load(&request).await.unwrap();
        if n != 2 {
            kept.push(loaded);
        }
    }
    // The sweep runs behind; the last one began after the last component was stored.
    for _ in 0..100 {
        if compiled_files(folder.path()).len() == 4 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(compiled_files(folder.path()).len(), 4);
    drop(registry);
    let again = open(folder.path());
    for (fetched, _) in &kept {
        let (_, compiled) = again.load(&request(&fetched.image)).await.unwrap();
        assert!(matches!(compiled.origin, Origin::Mapped(_)));
    }
}
