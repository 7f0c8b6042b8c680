//! The fuzz targets are a workspace of their own: their lock file must name the versions that ship, or they test another router.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

fn versions(lock: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let of = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.trim_start_matches(" = \"").trim_end_matches('"')
        };
        versions.entry(of("name")).or_default().insert(of("version"));
    }
    versions
}

#[test]
fn the_fuzz_targets_run_what_ships() {
    let (ships, fuzzed) = (versions(include_str!("../../Cargo.lock")), versions(include_str!("../fuzz/Cargo.lock")));
    assert!(fuzzed.contains_key("hyper") && fuzzed.contains_key("h2"));
    let differ: Vec<String> = fuzzed
        .iter()
        .filter_map(|(name, versions)| {
            let ships = ships.get(name)?;
            (!versions.is_subset(ships)).then(|| format!("{name}: {versions:?}, and {ships:?} ships"))
        })
        .collect();
    assert!(differ.is_empty(), "run `cargo update -p NAME --precise VERSION` in router/fuzz: {differ:#?}");
}

#[test]
fn the_fuzz_targets_lock_all_that_the_router_needs() {
    let manifest = include_str!("../Cargo.toml").split("[dependencies]").nth(1).unwrap();
    let needed = manifest.split("\n[").next().unwrap().lines().filter_map(|line| line.split(['.', ' ']).next());
    let lock = include_str!("../fuzz/Cargo.lock");
    let router = lock.split("[[package]]").find(|it| it.contains("name = \"penstock-router\"")).unwrap();
    let missing: Vec<&str> = needed
        .filter(|name| !name.is_empty() && !name.starts_with('#') && !router.contains(&format!("\"{name}")))
        .collect();
    assert!(missing.is_empty(), "run `cargo metadata` in router/fuzz: {missing:?}");
}
