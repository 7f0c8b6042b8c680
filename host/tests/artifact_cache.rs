//! Compiled components on disk: when they are used, when they are not trusted, and what happens when they cannot be kept.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "artifact/support.rs"]
mod support;

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use penstock_host::engine::artifact::{ArtifactStore, CommonOptions, Compiled, Origin, StoreOptions};
use support::{compiled_files, component, engine, open, options, request};
use wasmtime::{Config, Engine, Store, component::Linker};

struct Setup {
    folder: tempfile::TempDir,
    image: String,
}

impl Setup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hello.wasm");
        fs::write(&file, component(7)).unwrap();
        Self { image: format!("file://{}", file.display()), folder }
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// Loads with a store of its own, as a new process would.
    async fn load(&self) -> Arc<Compiled> {
        self.load_with(&open(&self.cache())).await
    }

    async fn load_with(&self, store: &ArtifactStore) -> Arc<Compiled> {
        store.load(&request(&self.image)).await.unwrap().1
    }

    fn files(&self) -> [PathBuf; 2] {
        compiled_files(&self.cache()).try_into().unwrap()
    }
}

/// What the component's function returns: that the machine code is the right one.
fn call(compiled: &Compiled) -> u32 {
    let mut store = Store::new(compiled.component.engine(), ());
    store.set_epoch_deadline(1);
    let instance = Linker::new(compiled.component.engine()).instantiate(&mut store, &compiled.component).unwrap();
    let f = instance.get_typed_func::<(), (u32,)>(&mut store, "f").unwrap();
    f.call(&mut store, ()).unwrap().0
}

fn is_compiled(compiled: &Compiled) -> bool {
    matches!(compiled.origin, Origin::Compiled(_))
}

#[tokio::test]
async fn compiled_once_then_mapped() {
    let setup = Setup::new();
    let first = setup.load().await;
    assert!(is_compiled(&first));
    assert_eq!(call(&first), 7);
    for path in [setup.cache().join("compiled"), setup.cache().join("blobs/sha256"), setup.cache().join("tags")] {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o700);
    }
    for path in setup.files() {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o600);
    }
    let second = setup.load().await;
    assert!(matches!(second.origin, Origin::Mapped(_)), "{second:?}");
    assert_eq!(call(&second), 7);
}

#[tokio::test]
async fn other_engine_settings_have_entries_of_their_own() {
    let setup = Setup::new();
    setup.load().await;
    let mut config = Config::new();
    config.wasm_component_model(true).epoch_interruption(true).consume_fuel(true);
    let other = ArtifactStore::new(Engine::new(&config).unwrap(), setup.cache(), options()).unwrap();
    assert!(is_compiled(&*setup.load_with(&other).await));
    assert_eq!(compiled_files(&setup.cache()).len(), 4);
    assert!(matches!(setup.load().await.origin, Origin::Mapped(_)));
}

/// Hosts with one shared folder and one key: the first compiles, the others take that; whoever has another key does not.
#[tokio::test(flavor = "multi_thread")]
async fn one_host_compiles_for_all_that_have_the_key() {
    let setup = Setup::new();
    let common = |key: u8| {
        let key_file = setup.folder.path().join(format!("key-{key}"));
        fs::write(&key_file, [key; 32]).unwrap();
        CommonOptions { folder: setup.folder.path().join("shared"), key_file }
    };
    let load = async |host: &str, key: u8| {
        let options = StoreOptions { common: Some(common(key)), ..options() };
        let store = ArtifactStore::new(engine(), setup.folder.path().join(host), options).unwrap();
        setup.load_with(&store).await
    };
    // At once: they wait for the one whose turn it is.
    let hosts = ["a", "b", "c"];
    let loaded = futures_util::future::join_all(hosts.iter().map(|host| load(host, 1))).await;
    assert!(loaded.iter().all(|it| call(it) == 7));
    let how = |wanted: fn(&Origin) -> bool| loaded.iter().filter(|it| wanted(&it.origin)).count();
    assert_eq!(how(|it| matches!(it, Origin::Compiled(_))), 1, "{loaded:?}");
    assert_eq!(how(|it| matches!(it, Origin::Shared(_))), 2, "{loaded:?}");
    assert!(matches!(load("b", 1).await.origin, Origin::Mapped(_)), "from its own folder, the next time");

    let stranger = load("d", 2).await;
    assert!(is_compiled(&stranger), "{stranger:?}");
    assert_eq!(call(&stranger), 7);
}

/// Each way to spoil an entry, and that it is compiled again and sound afterwards.
#[tokio::test]
async fn an_entry_that_is_not_what_was_written_is_rebuilt() {
    let overwrite = |path: &Path, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    };
    type Spoil<'a> = (&'a str, &'a dyn Fn(&Path, &Path));
    let ways: [Spoil<'_>; 11] = [
        ("one byte of code changed", &|code, _| overwrite(code, &|bytes| *bytes.last_mut().unwrap() ^= 1)),
        ("one byte changed and the times set back", &|code, _| {
            let times = fs::metadata(code).unwrap().modified().unwrap();
            overwrite(code, &|bytes| *bytes.last_mut().unwrap() ^= 1);
            fs::File::options().write(true).open(code).unwrap().set_modified(times).unwrap();
        }),
        ("cut off", &|code, _| overwrite(code, &|bytes| bytes.truncate(bytes.len() / 2))),
        ("emptied", &|code, _| overwrite(code, &Vec::clear)),
        ("seal lost", &|_, seal| fs::remove_file(seal).unwrap()),
        ("seal of another key", &|_, seal| {
            let text = fs::read_to_string(seal).unwrap();
            let key = text.find("\"key\":\"").unwrap() + 7;
            let other = format!("{}{}{}", &text[..key], "0".repeat(64), &text[key + 64..]);
            fs::write(seal, other).unwrap();
        }),
        ("seal of another version", &|_, seal| {
            fs::write(seal, fs::read_to_string(seal).unwrap().replace("penstock-compiled-", "other-")).unwrap();
        }),
        ("seal is no seal", &|_, seal| fs::write(seal, b"{}").unwrap()),
        ("writable by others", &|code, _| fs::set_permissions(code, fs::Permissions::from_mode(0o622)).unwrap()),
        ("seal writable by the group", &|_, seal| {
            fs::set_permissions(seal, fs::Permissions::from_mode(0o660)).unwrap();
        }),
        ("a link to somewhere else", &|code, _| {
            let elsewhere = code.with_extension("elsewhere");
            fs::rename(code, &elsewhere).unwrap();
            std::os::unix::fs::symlink(elsewhere, code).unwrap();
        }),
    ];
    for (name, spoil) in ways {
        let setup = Setup::new();
        setup.load().await;
        let [code, seal] = setup.files();
        spoil(&code, &seal);
        let again = setup.load().await;
        assert!(is_compiled(&again), "{name}: {again:?}");
        assert_eq!((call(&again), again.warning.clone()), (7, None), "{name}");
        assert!(matches!(setup.load().await.origin, Origin::Mapped(_)), "{name}: not repaired");
    }
}

#[tokio::test]
async fn a_copied_folder_is_checked_once_and_then_trusted() {
    let setup = Setup::new();
    setup.load().await;
    let [code, _] = setup.files();
    // Same content, another file: as after a restore from a backup.
    let copy = code.with_extension("copy");
    fs::copy(&code, &copy).unwrap();
    fs::rename(&copy, &code).unwrap();
    assert!(matches!(setup.load().await.origin, Origin::Checked(_)));
    assert!(matches!(setup.load().await.origin, Origin::Mapped(_)));
}

/// Files of another user. Needs root, which alone can give files away.
#[tokio::test]
async fn entries_and_folders_of_another_user_are_not_trusted() {
    let setup = Setup::new();
    setup.load().await;
    let [code, _] = setup.files();
    if std::os::unix::fs::chown(&code, Some(12345), None).is_err() {
        eprintln!("not run: only root can give files away");
        return;
    }
    assert!(is_compiled(&*setup.load().await));
    assert_eq!(fs::metadata(&code).unwrap().uid(), fs::metadata(setup.folder.path()).unwrap().uid());

    let compiled = setup.cache().join("compiled");
    std::os::unix::fs::chown(&compiled, Some(12345), None).unwrap();
    let error = ArtifactStore::new(support::engine(), setup.cache(), options()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the cache folder {} cannot be trusted: it belongs to user 12345, and this host runs as user {}; give it to \
             that user, or choose another folder",
            compiled.display(),
            fs::metadata(setup.folder.path()).unwrap().uid()
        )
    );
}

#[tokio::test]
async fn a_folder_open_to_others_is_closed() {
    let setup = Setup::new();
    setup.load().await;
    let compiled = setup.cache().join("compiled");
    fs::set_permissions(&compiled, fs::Permissions::from_mode(0o777)).unwrap();
    setup.load().await;
    assert_eq!(fs::metadata(&compiled).unwrap().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn many_who_ask_compile_once() {
    let setup = Setup::new();
    let store = open(&setup.cache());
    let request = request(&setup.image);
    let all = futures_util::future::join_all((0..50).map(|_| store.load(&request))).await;
    let all: Vec<_> = all.into_iter().map(|result| result.unwrap().1).collect();
    assert!(all.iter().all(|one| Arc::ptr_eq(one, &all[0])));
}

#[tokio::test]
async fn who_leaves_does_not_stop_the_others() {
    let setup = Setup::new();
    let store = open(&setup.cache());
    let fetched = store.fetch(&request(&setup.image)).await.unwrap();
    let compile = |store: ArtifactStore| {
        let fetched = fetched.clone();
        tokio::spawn(async move { store.compile(&fetched).await })
    };
    let (first, second) = (compile(store.clone()), compile(store.clone()));
    tokio::task::yield_now().await;
    first.abort();
    assert_eq!(call(&second.await.unwrap().unwrap()), 7);
}

/// A folder on which nothing can be stored: the component runs, and one caller is told.
#[tokio::test]
async fn a_cache_that_cannot_be_written_is_told_once() {
    let setup = Setup::new();
    fs::create_dir_all(setup.cache()).unwrap();
    // Root may write into read-only folders, but not into a file.
    fs::write(setup.cache().join("compiled"), b"").unwrap();
    let store = open(&setup.cache());
    let first = setup.load_with(&store).await;
    assert_eq!(call(&first), 7);
    assert_eq!(
        first.warning.as_ref().unwrap().to_string(),
        format!(
            "the compiled form of `{}` cannot be kept in {} (Not a directory (os error 20)): it runs all the same, but a \
             restart has to do this work again; make room there, or choose another cache folder",
            setup.image,
            setup.cache().display()
        )
    );
    drop(first);
    let second = setup.load_with(&store).await;
    assert_eq!((call(&second), second.warning.clone()), (7, None));
}

/// A disk that is really full: a small file system in a mount namespace of its own, in which this test runs again.
#[tokio::test]
async fn a_full_disk_stops_nothing() {
    const INSIDE: &str = "PENSTOCK_TEST_FULL_DISK";
    let Some(folder) = std::env::var_os(INSIDE).map(PathBuf::from) else {
        let folder = tempfile::tempdir().unwrap();
        let script =
            "mount -t tmpfs -o size=16k none \"$1\" && exec \"$2\" --exact a_full_disk_stops_nothing --nocapture";
        let output = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-ec", script, "sh"])
            .args([folder.path(), &std::env::current_exe().unwrap()])
            .env(INSIDE, folder.path())
            .output();
        match output {
            Ok(output) if String::from_utf8_lossy(&output.stderr).contains("unshare failed") => {
                eprintln!("not run: this machine allows no mount namespaces");
            }
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stdout);
                assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
                assert!(text.contains("1 passed"), "{text}");
            }
            Err(error) => panic!("unshare (util-linux) is needed: {error}"),
        }
        return;
    };
    let outside = tempfile::tempdir().unwrap();
    let file = outside.path().join("hello.wasm");
    fs::write(&file, component(7)).unwrap();
    let store = open(&folder);
    let (_, compiled) = store.load(&request(&format!("file://{}", file.display()))).await.unwrap();
    assert_eq!(call(&compiled), 7);
    let warning = compiled.warning.as_ref().unwrap().to_string();
    assert!(warning.contains("(No space left on device (os error 28)): it runs all the same"), "{warning}");
    assert_eq!(compiled_files(&folder), Vec::<PathBuf>::new(), "an unfinished file was left");
}
