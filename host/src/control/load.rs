//! How loaded the host is: numbers of shares that have changed, and the machine below.

use std::{collections::BTreeMap, fs};

use penstock_api::control::{Load, ShareLoad};

use crate::HostStatus;

/// Looks without news of shares after which the machine is told of all the same.
const QUIET_LOOKS: u32 = 10;

/// What one stream's operator knows.
#[derive(Debug, Default)]
pub(super) struct Loads {
    told: BTreeMap<String, ShareLoad>,
    quiet: u32,
    cpu: Option<Cpu>,
}

/// Time of all processors since the machine started, in ticks.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cpu {
    busy: u64,
    all: u64,
}

impl Loads {
    /// Once a second: what has changed since, if anything.
    pub(super) fn look(&mut self, status: &HostStatus) -> Option<Load> {
        let mut shares = Vec::new();
        self.told.retain(|id, _| status.shares.contains_key(id));
        for (id, share) in &status.shares {
            let load = ShareLoad {
                id: id.clone(),
                capacity: share.capacity,
                in_flight: share.in_flight,
                queued: share.queued,
                admitted: share.admitted,
                shed: share.shed,
                waited_ms: share.waited_ms,
                cpu_ms: share.cpu_ms,
                served: share.served,
                served_ms: share.served_ms,
                lent: share.lent,
            };
            if self.told.get(id) != Some(&load) {
                self.told.insert(id.clone(), load.clone());
                shares.push(load);
            }
        }
        self.quiet += 1;
        if shares.is_empty() && self.quiet < QUIET_LOOKS && self.cpu.is_some() {
            return None;
        }
        self.quiet = 0;
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let now = cpu(&text("/proc/stat"));
        let cpu_percent = self.cpu.zip(now).map_or(0.0, |(before, now)| percent(before, now));
        self.cpu = now.or(self.cpu);
        let memory = text("/proc/meminfo");
        let (memory_total, memory_free) = (kib(&memory, "MemTotal:"), kib(&memory, "MemAvailable:"));
        Some(Load { cpu_percent, memory_total, memory_free, shares })
    }
}

/// The line `cpu  user nice system idle iowait irq softirq steal ...` of `/proc/stat`.
fn cpu(stat: &str) -> Option<Cpu> {
    let mut words = stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
    let ticks: Vec<u64> = words.by_ref().take(8).map_while(|word| word.parse().ok()).collect();
    let all = ticks.iter().sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    (ticks.len() >= 5).then_some(Cpu { busy: all - idle, all })
}

#[allow(clippy::cast_precision_loss, reason = "a percentage")]
fn percent(before: Cpu, now: Cpu) -> f64 {
    let (busy, all) = (now.busy.saturating_sub(before.busy), now.all.saturating_sub(before.all));
    if all == 0 { 0.0 } else { busy as f64 * 100.0 / all as f64 }
}

fn kib(meminfo: &str, name: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_ascii_whitespace().next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ShareState, control::report::tests::share_status};

    #[test]
    fn reads_what_the_kernel_writes() {
        let before = cpu("cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2 3 4\n").unwrap();
        assert_eq!(before, Cpu { busy: 200, all: 1000 });
        let now = cpu("cpu  150 0 125 725 100 0 0 0 0 0\n").unwrap();
        assert!((percent(before, now) - 75.0).abs() < 1e-9);
        assert!(cpu("intr 1").is_none());
        assert_eq!(kib("MemTotal:       16384 kB\nMemAvailable:   1024 kB\n", "MemAvailable:"), 1 << 20);
    }

    #[test]
    fn the_quiet_are_heard_seldom() {
        let mut loads = Loads::default();
        let mut status = HostStatus::default();
        status.shares.insert("a".into(), share_status(ShareState::Ready));
        assert_eq!(loads.look(&status).unwrap().shares.len(), 1);
        let heard = (0..30).filter(|_| loads.look(&status).is_some()).count();
        assert_eq!(heard, 3);
        status.shares.get_mut("a").unwrap().in_flight = 1;
        assert_eq!(loads.look(&status).unwrap().shares[0].in_flight, 1);
    }
}
