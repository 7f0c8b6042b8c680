use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;

struct Docker {
    folder: tempfile::TempDir,
}

impl Docker {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), config).unwrap();
        Self { folder }
    }

    fn helper(self, name: &str, script: &str) -> Self {
        let path = self.folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    async fn find(&self, registry: &str, repository: &str) -> (RegistryAuth, Tried) {
        let path = format!("{}:/usr/bin:/bin", self.folder.path().display());
        let docker = DockerConfig { folder: Some(self.folder.path().into()), path: Some(path.into()) };
        super::find(registry, repository, None, &docker).await
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("config.json")
    }
}

fn basic(username: &str, password: &str) -> RegistryAuth {
    RegistryAuth::Basic(username.to_owned(), password.to_owned())
}

#[tokio::test]
async fn the_pull_secret_comes_first() {
    let docker = Docker::new(r#"{"auths":{"reg:5000":{"username":"file","password":"f"}}}"#);
    let config = DockerConfig { folder: Some(docker.folder.path().into()), path: None };
    let secret = PullSecret { username: "secret".into(), password: "s".into() };
    let found = super::find("reg:5000", "a", Some(&secret), &config).await;
    assert_eq!(found, (basic("secret", "s"), Tried::PullSecret));
}

#[tokio::test]
async fn entries_of_the_file() {
    // "me:pa:ss" in base64.
    let docker = Docker::new(
        r#"{"auths":{
            "reg:5000":{"auth":"bWU6cGE6c3M="},
            "https://index.docker.io/v1/":{"username":"hub","password":"h"},
            "ghcr.io/team":{"username":"team","password":"t"},
            "ghcr.io/team/deep":{"username":"deep","password":"d"},
            "ghcr.io":{"username":"all","password":"a"},
            "token.example":{"registrytoken":"bearer"},
            "empty.example":{}
        }}"#,
    );
    let from_file = |auth| (auth, Tried::DockerConfig(docker.file()));
    for (registry, repository, expected) in [
        ("reg:5000", "a", from_file(basic("me", "pa:ss"))),
        ("docker.io", "library/a", from_file(basic("hub", "h"))),
        ("ghcr.io", "team/a", from_file(basic("team", "t"))),
        ("ghcr.io", "team/deep/a", from_file(basic("deep", "d"))),
        ("ghcr.io", "teams/a", from_file(basic("all", "a"))),
        ("token.example", "a", from_file(RegistryAuth::Bearer("bearer".into()))),
        ("empty.example", "a", (RegistryAuth::Anonymous, Tried::Nothing)),
        ("reg", "a", (RegistryAuth::Anonymous, Tried::Nothing)),
    ] {
        assert_eq!(docker.find(registry, repository).await, expected, "{registry}/{repository}");
    }
}

#[tokio::test]
async fn helpers() {
    let docker = Docker::new(
        r#"{"credHelpers":{"own.example":"own","none.example":"none","gone.example":"gone","broken.example":"broken"},
            "credsStore":"store","auths":{"none.example":{"username":"file","password":"f"}}}"#,
    )
    .helper(
        "docker-credential-own",
        r#"read -r server; echo "{\"ServerURL\":\"$server\",\"Username\":\"own-$server\",\"Secret\":\"s\"}""#,
    )
    .helper("docker-credential-store", r#"server=$(cat); echo "{\"Username\":\"store-$server\",\"Secret\":\"s\"}""#)
    .helper("docker-credential-none", "echo 'credentials not found in native keychain'; exit 1")
    .helper("docker-credential-broken", "echo 'the secret is hunter2'; exit 3");

    let helper = |name: &str| Tried::Helper(format!("docker-credential-{name}"));
    assert_eq!(docker.find("own.example", "a").await, (basic("own-own.example", "s"), helper("own")));
    assert_eq!(docker.find("other.example", "a").await, (basic("store-other.example", "s"), helper("store")));
    assert_eq!(docker.find("docker.io", "a").await, (basic(&format!("store-{DOCKER_HUB}"), "s"), helper("store")));
    assert_eq!(docker.find("none.example", "a").await, (basic("file", "f"), Tried::DockerConfig(docker.file())));

    let (auth, tried) = docker.find("gone.example", "a").await;
    assert_eq!(auth, RegistryAuth::Anonymous);
    assert_eq!(
        tried.advice(),
        "none could be found, since `docker-credential-gone` does not start (No such file or directory (os error 2)); \
         install it, or remove it from docker's configuration"
    );
    let (_, tried) = docker.find("broken.example", "a").await;
    assert_eq!(tried.advice(), "none could be found, since `docker-credential-broken` failed (exit status: 3)");
}

#[tokio::test]
async fn faults_are_told_without_the_secret() {
    let docker = Docker::new("{\"auths\":{\n\"a\":{\"auth\": hunter2}}}");
    let (_, tried) = docker.find("a", "b").await;
    assert_eq!(
        tried,
        Tried::Unusable(format!("{} is malformed at line 2, column 14; correct it", docker.file().display()))
    );

    let docker = Docker::new(r#"{"auths":{"a":{"auth":"hunter2"},"b":{"identitytoken":"hunter2"}}}"#);
    let (_, tried) = docker.find("a", "b").await;
    let file = docker.file();
    assert_eq!(
        tried.advice(),
        format!(
            "none could be found, since `auth` in {} is not `user:password` in base64; run `docker login` again",
            file.display()
        )
    );
    let (_, tried) = docker.find("b", "b").await;
    assert_eq!(
        tried.advice(),
        format!(
            "none could be found, since the entry in {} is an identity token, which cannot be used here; name an \
             `imagePullSecret` with user name and password",
            file.display()
        )
    );
}

#[tokio::test]
async fn no_file_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    for folder in [Some(folder.path().to_owned()), None] {
        let found = super::find("a", "b", None, &DockerConfig { folder, path: None }).await;
        assert_eq!(found, (RegistryAuth::Anonymous, Tried::Nothing));
    }
}
