//! Processes in pods, seen from outside: what a machine's administrator can do to them.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

/// A program's process in a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostProcess(u32);

impl HostProcess {
    /// The process of `penstock-host` or `penstock-operator` in this pod: known by the pod's uid in its control group.
    ///
    /// # Errors
    /// If there is none.
    pub fn of(pod: &Pod) -> Result<Self> {
        let uid = pod.uid().context("the pod has no uid")?;
        for entry in fs::read_dir("/proc")? {
            let path = entry?.path();
            let Some(pid) = path.file_name().and_then(|it| it.to_str()?.parse::<u32>().ok()) else { continue };
            let command = fs::read(path.join("cmdline")).unwrap_or_default();
            let program = command.split(|it| *it == 0).next().unwrap_or_default();
            let ours = program.ends_with(b"/penstock-host") || program.ends_with(b"/penstock-operator");
            if ours && fs::read_to_string(path.join("cgroup")).unwrap_or_default().contains(&uid) {
                return Ok(Self(pid));
            }
        }
        bail!("no process of pod {} runs", pod.name_any())
    }

    /// Sends a signal by name, such as `KILL`.
    ///
    /// # Errors
    /// If it could not be sent.
    pub fn signal(self, name: &str) -> Result<()> {
        let command = format!("kill -{name} {}", self.0);
        let status = Command::new("sh").args(["-c", &command]).status()?;
        ensure!(status.success(), "{command}: {status}");
        Ok(())
    }

    /// A path as the process sees it.
    #[must_use]
    pub fn path(self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.0))
    }
}
