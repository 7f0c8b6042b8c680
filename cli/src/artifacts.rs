//! Where images and compiled components are kept.

use std::{env, path::PathBuf};

use anyhow::Context;

use crate::args::ArtifactArgs;

/// The folder that the arguments name, else `penstock` in the user's cache folder.
///
/// # Errors
///
/// When there is no home folder to keep it in.
pub(crate) fn cache_dir(args: &ArtifactArgs) -> anyhow::Result<PathBuf> {
    if let Some(dir) = &args.cache_dir {
        return Ok(dir.clone());
    }
    let set = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    cache
        .map(|cache| cache.join("penstock"))
        .context("there is no home folder for a cache: name a folder with --cache-dir")
}
