//! What the artifact tests share.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]

pub mod registry;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use penstock_host::engine::artifact::{ArtifactStore, ImageRequest, PullLimits, StoreOptions};
use wasmtime::{Config, Engine};

/// An engine with small reservations, all of the same settings.
pub fn engine() -> Engine {
    let mut config = Config::new();
    config.wasm_component_model(true).epoch_interruption(true);
    Engine::new(&config).unwrap()
}

/// No docker configuration of the machine that runs the tests, and little patience.
pub fn options() -> StoreOptions {
    let pull = PullLimits {
        attempts: 3,
        backoff: Duration::from_millis(10),
        connect_timeout: Duration::from_secs(5),
        answer_timeout: Duration::from_secs(5),
        layer_timeout: Duration::from_secs(20),
    };
    StoreOptions { docker_config: None, pull, ..StoreOptions::default() }
}

pub fn open(folder: &Path) -> ArtifactStore {
    open_with(folder, options())
}

pub fn open_with(folder: &Path, options: StoreOptions) -> ArtifactStore {
    ArtifactStore::new(engine(), folder.into(), options).unwrap()
}

pub fn request(image: &str) -> ImageRequest {
    ImageRequest { image: image.to_owned(), ..ImageRequest::default() }
}

/// A small component; another for each number.
pub fn component(n: u32) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(component
            (core module $m (func (export "f") (result i32) i32.const {n}))
            (core instance $i (instantiate $m))
            (func (export "f") (result u32) (canon lift (core func $i "f"))))"#
    ))
    .unwrap()
}

/// The files that compiled components are kept in, sorted.
pub fn compiled_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("compiled")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
