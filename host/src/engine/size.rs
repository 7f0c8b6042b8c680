//! How many instances a machine is good for: by the memory that this process may use.

use std::{fs, path::Path};

/// What an instance is taken to need: a small guest's own memory, its stack and what wasmtime keeps of it.
const EACH: u64 = 2 << 20;
/// Address space ends the upper one: each instance reserves 4 GiB of 128 TiB.
const BOUNDS: std::ops::RangeInclusive<u64> = 64..=10_000;

/// Instances for this machine, or for this container if it has a limit of its own.
#[must_use]
pub fn instances() -> u32 {
    let root = Path::new("/");
    count(memory(root).unwrap_or(u64::from(super::EngineOptions::default().max_instances) * EACH))
}

fn count(memory: u64) -> u32 {
    u32::try_from((memory / EACH).clamp(*BOUNDS.start(), *BOUNDS.end())).unwrap_or(u32::MAX)
}

/// Bytes that this process may use: the machine's, or the control group's if that has less. Both versions of control groups show a container its own
/// under these names.
fn memory(root: &Path) -> Option<u64> {
    let number = |path: &str| fs::read_to_string(root.join(path)).ok()?.trim().parse::<u64>().ok();
    let group = number("sys/fs/cgroup/memory.max").or_else(|| number("sys/fs/cgroup/memory/memory.limit_in_bytes"));
    let machine = fs::read_to_string(root.join("proc/meminfo")).ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
    });
    match (group, machine) {
        (Some(group), Some(machine)) => Some(group.min(machine)),
        (group, machine) => group.or(machine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        memory(root.path())
    }

    #[test]
    fn the_smaller_of_machine_and_container_counts() {
        let meminfo = ("proc/meminfo", "MemTotal:        8388608 kB\nMemFree: 1 kB\n");
        let (v2, v1) = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes");
        assert_eq!(machine(&[meminfo]), Some(8 << 30));
        assert_eq!(machine(&[meminfo, (v2, "max\n")]), Some(8 << 30));
        assert_eq!(machine(&[meminfo, (v2, "536870912\n")]), Some(512 << 20));
        assert_eq!(machine(&[meminfo, (v1, "9223372036854771712\n")]), Some(8 << 30), "no limit, in version 1");
        assert_eq!(machine(&[(v1, "536870912\n")]), Some(512 << 20));
        assert_eq!(machine(&[]), None);
    }

    #[test]
    fn there_are_neither_too_few_nor_too_many() {
        assert_eq!([0, 512 << 20, 8 << 30, 1 << 40].map(count), [64, 256, 4096, 10_000]);
        assert!(instances() >= 64);
    }
}
