//! Code from the protocol between host and operator. The compiler is a Rust one: no `protoc` is needed.

use std::{error::Error, path::Path};

const ROOT: &str = "proto";
const FILE: &str = "penstock/control/v1/control.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", Path::new(ROOT).join(FILE).display());
    let files = protox::compile([FILE], [ROOT])?;
    tonic_prost_build::configure()
        // Whoever connects brings the transport.
        .build_transport(false)
        .bytes(".penstock.control.v1.Snapshot.content")
        .compile_fds(files)?;
    Ok(())
}
