//! A registry process of one test, and what is pushed to it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol, Config, ImageLayer},
    manifest::{ImageIndexEntry, OciImageIndex, OciManifest, Platform},
    secrets::RegistryAuth,
};
use penstock_host::engine::artifact::Digest;

/// The CNCF's media type of components.
pub const WASM: &str = "application/wasm";

/// One layer to push.
#[derive(Clone)]
pub struct Layer(ImageLayer);

impl Layer {
    pub fn new(media_type: &str, bytes: &[u8]) -> Self {
        Self(ImageLayer::new(bytes.to_vec(), media_type.to_owned(), None))
    }

    pub fn wasm(bytes: &[u8]) -> Self {
        Self::new(WASM, bytes)
    }
}

/// Runs until it is dropped.
pub struct Registry {
    process: Child,
    folder: tempfile::TempDir,
    port: u16,
    auth: RegistryAuth,
    log: Arc<Mutex<Vec<String>>>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Registry {
    pub async fn start() -> Self {
        Self::run(RegistryAuth::Anonymous).await
    }

    /// One that wants this account for everything.
    pub async fn start_with_account(username: &str, password: &str) -> Self {
        Self::run(RegistryAuth::Basic(username.into(), password.into())).await
    }

    async fn run(auth: RegistryAuth) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = format!(
            "version: 0.1\nlog: {{level: info, accesslog: {{disabled: false}}}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp: {{addr: '127.0.0.1:0', secret: none}}\n",
            folder.path().join("data").display()
        );
        if let RegistryAuth::Basic(username, password) = &auth {
            let file = folder.path().join("htpasswd");
            fs::write(&file, htpasswd(username, password)).unwrap();
            config += &format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", file.display());
        }
        let path = folder.path().join("config.yml");
        fs::write(&path, config).unwrap();
        let mut process = Command::new(binary())
            .arg("serve")
            .arg(&path)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        // It prints the port that it got; its log and its access log are on different streams.
        for stream in [
            Box::new(process.stdout.take().unwrap()) as Box<dyn std::io::Read + Send>,
            Box::new(process.stderr.take().unwrap()),
        ] {
            let log = log.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    log.lock().unwrap().push(line);
                }
            });
        }
        let mut port = None;
        for _ in 0..500 {
            port = log.lock().unwrap().iter().find_map(|line| {
                let rest = &line[line.find("listening on 127.0.0.1:")? + "listening on 127.0.0.1:".len()..];
                rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
            });
            if port.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let port = port.unwrap_or_else(|| panic!("the registry does not start:\n{}", log.lock().unwrap().join("\n")));
        Self { process, folder, port, auth, log }
    }

    /// `127.0.0.1:<port>`.
    pub fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn image(&self, tag: &str) -> String {
        format!("{}/{tag}", self.name())
    }

    /// Requests so far whose line holds `part`, by GET.
    pub fn requests(&self, part: &str) -> usize {
        // The access log trails the answers.
        std::thread::sleep(Duration::from_millis(200));
        self.log.lock().unwrap().iter().filter(|line| line.contains("\"GET ") && line.contains(part)).count()
    }

    fn client(&self) -> Client {
        Client::try_from(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() }).unwrap()
    }

    fn reference(&self, tag: &str) -> Reference {
        self.image(tag).parse().unwrap()
    }

    /// Pushes an artifact and returns its manifest's digest.
    pub async fn push(&self, tag: &str, layers: &[Layer]) -> Digest {
        let layers: Vec<ImageLayer> = layers.iter().map(|layer| layer.0.clone()).collect();
        let config = Config::new(&b"{}"[..], "application/vnd.wasm.config.v0+json".to_owned(), None);
        let reference = self.reference(tag);
        let client = self.client();
        client.push(&reference, &layers, config, &self.auth, None).await.unwrap();
        client.fetch_manifest_digest(&reference, &self.auth).await.unwrap().parse().unwrap()
    }

    /// Pushes an index of manifests in the same repository, each for an architecture.
    pub async fn push_index(&self, tag: &str, manifests: &[(&str, Digest)]) {
        let manifests = manifests.iter().map(|(architecture, digest)| ImageIndexEntry {
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            digest: digest.to_string(),
            size: fs::metadata(self.blob(digest)).unwrap().len() as i64,
            platform: Some(Platform {
                architecture: (*architecture).into(),
                os: "linux".into(),
                os_version: None,
                os_features: None,
                variant: None,
                features: None,
            }),
            artifact_type: None,
            annotations: None,
        });
        let index = OciImageIndex {
            schema_version: 2,
            media_type: Some("application/vnd.oci.image.index.v1+json".to_owned()),
            manifests: manifests.collect(),
            artifact_type: None,
            annotations: None,
        };
        let client = self.client();
        client.push_manifest(&self.reference(tag), &OciManifest::ImageIndex(index)).await.unwrap();
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.folder.path().join("data/docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data")
    }

    /// Changes what the registry serves under a digest.
    pub fn tamper(&self, digest: &Digest, bytes: &[u8]) {
        fs::write(self.blob(digest), bytes).unwrap();
    }
}

/// The registry's binary.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("PENSTOCK_TEST_REGISTRY") {
            return path.into();
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tools/registry.sh");
        let output = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "tests/tools/registry.sh failed");
        String::from_utf8(output.stdout).unwrap().trim().into()
    })
}

/// The line of a htpasswd file. There is one password in these tests, since bcrypt is all that the registry takes.
fn htpasswd(username: &str, password: &str) -> String {
    assert_eq!(password, "hunter2!");
    format!("{username}:$2b$05$abcdefghijklmnopqrstuueyFCKVkKNC6mnGgeNtYpSs/nnA.zm26\n")
}
