//! Code from KEDA's external scaler protocol. The compiler is a Rust one: no `protoc` is needed.

use std::{error::Error, path::Path};

const ROOT: &str = "proto";
const FILE: &str = "externalscaler/externalscaler.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", Path::new(ROOT).join(FILE).display());
    let files = protox::compile([FILE], [ROOT])?;
    // Whoever connects brings the transport.
    tonic_prost_build::configure().build_transport(false).compile_fds(files)?;
    Ok(())
}
