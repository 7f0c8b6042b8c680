//! The corpora that the fuzz targets begin with, made from the corpus of requests.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::{collections::BTreeMap, env, fs, path::Path};

/// Longer ones teach a fuzzer nothing but patience.
const LONGEST: usize = 4096;

/// Checks that the corpus of this target holds these cases. `UPDATE=1` writes them instead.
pub fn hold(target: &str, cases: impl IntoIterator<Item = (String, Vec<u8>)>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut seeds = BTreeMap::new();
    for (name, bytes) in cases.into_iter().filter(|case| case.1.len() <= LONGEST) {
        let slug = slug(&name);
        let twice = seeds.contains_key(&slug);
        seeds.insert(if twice { format!("{slug}-{}", seeds.len()) } else { slug }, bytes);
    }
    let update = env::var_os("UPDATE").is_some();
    if update {
        fs::create_dir_all(&folder).unwrap();
    }
    for (name, bytes) in seeds {
        let path = folder.join(name);
        if update {
            fs::write(&path, &bytes).unwrap();
        }
        let kept = fs::read(&path).unwrap_or_default();
        assert!(kept == bytes, "{} is not what the corpus says: run this test with UPDATE=1", path.display());
    }
}

fn slug(name: &str) -> String {
    let mut slug = String::new();
    for letter in name.chars() {
        let letter = if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
        if letter != '-' || !slug.ends_with('-') {
            slug.push(letter);
        }
    }
    slug.trim_matches('-').to_owned()
}
