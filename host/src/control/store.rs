//! The last snapshot on disk, so that a host which starts again serves before its operator can be reached.
//!
//! What may hold secrets does not go onto the plain disk: shares with environment variables, configuration or registry
//! credentials, and listeners with keys, are kept in a folder that lives in memory. A share's id names its content, so that the two files need not be
//! of the same version to fit together.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use penstock_api::snapshot::{Component, HostInterface, Listener, Share, Snapshot};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::watch;

const PLAIN: &str = "snapshot.json";
const SECRET: &str = "shares.json";
/// The form of both files. Another one is passed over.
const FORM: u32 = 1;
/// The pause after a failed write.
const RETRY: Duration = Duration::from_secs(5);

/// Where the last snapshot is kept.
#[derive(Debug)]
pub struct Store {
    plain: PathBuf,
    secrets: Option<PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PlainFile {
    form: u32,
    snapshot: Snapshot,
    /// Ids of the shares that are in the other file.
    elsewhere: Vec<String>,
    /// Names of the listeners that are.
    #[serde(default)]
    listeners_elsewhere: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SecretFile {
    form: u32,
    shares: Vec<Share>,
    #[serde(default)]
    listeners: Vec<Listener>,
}

impl Store {
    /// Keeps snapshots under `plain`, and what may hold secrets under `secrets`, which should be in memory; without it, such
    /// shares are not kept. The folders are made if need be, for this user only.
    ///
    /// # Errors
    /// When a folder cannot be made.
    pub fn open(plain: PathBuf, secrets: Option<PathBuf>) -> io::Result<Self> {
        for folder in [Some(&plain), secrets.as_ref()].into_iter().flatten() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        if let Some(folder) = &secrets
            && !in_memory(folder, &fs::read_to_string("/proc/self/mounts").unwrap_or_default())
        {
            tracing::warn!(
                folder = %folder.display(),
                "the folder for secrets is not in memory: mount an emptyDir of medium Memory there"
            );
        }
        Ok(Self { plain, secrets })
    }

    /// The last snapshot that was kept, if there is one. Shares that were kept in memory and are gone with it are left out.
    ///
    /// # Errors
    /// When there is one that cannot be read.
    pub fn load(&self) -> io::Result<Option<Snapshot>> {
        let Some(plain) = read::<PlainFile>(&self.plain.join(PLAIN))?.filter(|it| it.form == FORM) else {
            return Ok(None);
        };
        let mut snapshot = plain.snapshot;
        if !plain.elsewhere.is_empty() || !plain.listeners_elsewhere.is_empty() {
            let secret = match &self.secrets {
                Some(folder) => read::<SecretFile>(&folder.join(SECRET))?.filter(|it| it.form == FORM),
                None => None,
            };
            let (mut held, mut listeners) = secret.map(|it| (it.shares, it.listeners)).unwrap_or_default();
            listeners.retain(|listener| plain.listeners_elsewhere.contains(&listener.name));
            snapshot.listeners.append(&mut listeners);
            snapshot.listeners.sort_by(|a, b| a.name.cmp(&b.name));
            held.retain(|share| plain.elsewhere.contains(&share.id));
            if held.len() < plain.elsewhere.len() {
                let missing = plain.elsewhere.len() - held.len();
                tracing::warn!(
                    missing,
                    "workloads with configuration or secrets wait for the operator: theirs were not kept"
                );
            }
            snapshot.shares.append(&mut held);
            snapshot.shares.sort_by(|a, b| a.id.cmp(&b.id));
        }
        Ok(Some(snapshot))
    }

    /// Keeps a snapshot: each file whole or not at all.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, snapshot: &Snapshot) -> io::Result<()> {
        let (secret, plain): (Vec<Share>, Vec<Share>) = snapshot.shares.iter().cloned().partition(may_hold_secrets);
        let elsewhere = secret.iter().map(|share| share.id.clone()).collect();
        let (encrypted, listeners): (Vec<Listener>, Vec<Listener>) =
            snapshot.listeners.iter().cloned().partition(|listener| listener.tls.is_some());
        let listeners_elsewhere = encrypted.iter().map(|listener| listener.name.clone()).collect();
        // First, so that the plain file never names what is not there.
        if let Some(folder) = &self.secrets {
            write(&folder.join(SECRET), &SecretFile { form: FORM, shares: secret, listeners: encrypted })?;
        }
        let snapshot = Snapshot { version: snapshot.version, shares: plain, listeners };
        write(&self.plain.join(PLAIN), &PlainFile { form: FORM, snapshot, elsewhere, listeners_elsewhere })
    }

    /// Keeps what `snapshots` brings: the newest, when the one before is written. What could not be written is tried again.
    pub(super) async fn write(self: Arc<Self>, mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>) {
        while snapshots.changed().await.is_ok() {
            let Some(snapshot) = snapshots.borrow_and_update().clone() else { continue };
            let store = self.clone();
            let saved = tokio::task::spawn_blocking(move || store.save(&snapshot)).await;
            if let Err(error) = saved.map_err(io::Error::other).flatten() {
                tracing::warn!(%error, folder = %self.plain.display(), "the snapshot cannot be kept: after a restart without operator this host would run what it ran before");
                tokio::time::sleep(RETRY).await;
                snapshots.mark_changed();
            }
        }
    }
}

/// Which values come from Secrets is not told to hosts, so that all that could do is taken to.
fn may_hold_secrets(share: &Share) -> bool {
    let component = |it: &Component| it.pull_secret.is_some() || !it.environment.is_empty() || !it.config.is_empty();
    let interface = |it: &HostInterface| !it.config.is_empty();
    share.components.iter().any(component) || share.host_interfaces.iter().any(interface)
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
}

fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, path)?;
    // The name, too, survives a loss of power.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Whether a folder is on a file system that is never written to a disk, by the table of mounts.
fn in_memory(folder: &Path, mounts: &str) -> bool {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    // The deepest counts, and of several on one place the last.
    let below = mounts.filter(|(place, _)| folder.starts_with(place));
    below.max_by_key(|(place, _)| place.len()).is_some_and(|(_, kind)| matches!(kind, "tmpfs" | "ramfs"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use penstock_api::snapshot::{ListenerCertificate, ListenerTls};

    use super::*;

    fn share(id: &str, secret: Option<&str>) -> Share {
        let environment = secret.map(|value| ("PASSWORD".to_owned(), value.to_owned()));
        let component = Component { environment: environment.into_iter().collect(), ..Component::default() };
        Share { id: id.into(), replicas: 3, components: vec![component], ..Share::default() }
    }

    fn stores(folder: &Path) -> Store {
        Store::open(folder.join("state"), Some(folder.join("secrets"))).unwrap()
    }

    #[test]
    fn what_is_kept_comes_back_and_secrets_stay_off_the_plain_disk() {
        let folder = tempfile::tempdir().unwrap();
        let store = stores(folder.path());
        assert_eq!(store.load().unwrap(), None);
        let snapshot =
            Snapshot { version: 7, shares: vec![share("a@1", None), share("b@1", Some("hunter2"))], listeners: vec![] };
        store.save(&snapshot).unwrap();
        assert_eq!(stores(folder.path()).load().unwrap(), Some(snapshot));
        let plain = folder.path().join("state").join(PLAIN);
        assert!(!fs::read_to_string(&plain).unwrap().contains("hunter2"));
        assert_eq!(fs::metadata(&plain).unwrap().permissions().mode() & 0o077, 0, "for this user only");
    }

    #[test]
    fn keys_stay_off_the_plain_disk() {
        let folder = tempfile::tempdir().unwrap();
        let certificate = ListenerCertificate { key: "hunter2".into(), ..ListenerCertificate::default() };
        let tls = ListenerTls { certificates: vec![certificate], ..ListenerTls::default() };
        let listener = |name: &str, tls| Listener { name: name.into(), tls, ..Listener::default() };
        let listeners = vec![listener("ns/a:http", None), listener("ns/a:https", Some(tls))];
        let snapshot = Snapshot { version: 7, listeners, ..Snapshot::default() };
        let store = stores(folder.path());
        store.save(&snapshot).unwrap();
        assert!(!fs::read_to_string(folder.path().join("state").join(PLAIN)).unwrap().contains("hunter2"));
        assert_eq!(stores(folder.path()).load().unwrap(), Some(snapshot));
        fs::remove_dir_all(folder.path().join("secrets")).unwrap();
        assert_eq!(stores(folder.path()).load().unwrap().unwrap().listeners.len(), 1, "never without its TLS");
    }

    #[test]
    fn without_the_memory_the_rest_still_runs() {
        let folder = tempfile::tempdir().unwrap();
        let snapshot =
            Snapshot { version: 7, shares: vec![share("a@1", None), share("b@1", Some("x"))], listeners: vec![] };
        stores(folder.path()).save(&snapshot).unwrap();
        fs::remove_dir_all(folder.path().join("secrets")).unwrap();
        let ids: Vec<String> =
            stores(folder.path()).load().unwrap().unwrap().shares.into_iter().map(|it| it.id).collect();
        assert_eq!(ids, ["a@1"]);
    }

    #[test]
    fn a_torn_file_is_an_error_and_not_an_empty_host() {
        let folder = tempfile::tempdir().unwrap();
        let store = stores(folder.path());
        fs::write(folder.path().join("state").join(PLAIN), "{\"form\":1,").unwrap();
        assert!(store.load().unwrap_err().to_string().contains("snapshot.json"));
    }

    #[test]
    fn knows_what_is_in_memory() {
        let mounts =
            "/dev/sda / ext4 rw 0 0\ntmpfs /run/penstock tmpfs rw 0 0\n/dev/sdb /run/penstock/disk ext4 rw 0 0\n";
        for (folder, yes) in
            [("/run/penstock/a", true), ("/run/penstock/disk/a", false), ("/run", false), ("/run/penstocks", false)]
        {
            assert_eq!(in_memory(Path::new(folder), mounts), yes, "{folder}");
        }
    }
}
