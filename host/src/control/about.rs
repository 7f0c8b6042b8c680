//! What a host says of itself.

use std::{env, fs};

use penstock_api::control::Hello;

use crate::Peers;

/// What does not change while the host runs.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The host's version.
    pub version: String,
    /// The engine.
    pub engine: String,
    /// Component instances that it can hold at once.
    pub instances: u32,
    /// Bytes that the container may use; 0 if nothing limits it.
    pub memory_bytes: u64,
    /// The kernel's release.
    pub os_kernel: String,
}

impl About {
    /// This process on this machine.
    #[must_use]
    pub fn here(instances: u32) -> Self {
        let line = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine: "wasmtime 48".to_owned(),
            instances,
            // `max` if there is no limit; nothing at all on a machine without version 2 of control groups.
            memory_bytes: line("/sys/fs/cgroup/memory.max").parse().unwrap_or(0),
            os_kernel: line("/proc/sys/kernel/osrelease"),
        }
    }

    pub(super) fn hello(&self, host_id: &str, snapshot_version: u64, peers: Option<&Peers>) -> Hello {
        Hello {
            host_id: host_id.to_owned(),
            version: self.version.clone(),
            engine: self.engine.clone(),
            instances: self.instances,
            memory_bytes: self.memory_bytes,
            os_name: env::consts::OS.to_owned(),
            os_arch: env::consts::ARCH.to_owned(),
            os_kernel: self.os_kernel.clone(),
            snapshot_version,
            peer_port: peers.map_or(0, |it| it.port().into()),
            certificate_request: peers.map(Peers::certificate_request).unwrap_or_default(),
        }
    }
}
