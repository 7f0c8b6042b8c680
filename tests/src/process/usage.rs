//! What a process costs, from `/proc` (proc(5)).

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// `/proc` counts CPU time in units of 1/100 s on every Linux architecture (USER_HZ).
const TICK: Duration = Duration::from_millis(10);

/// What a process costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory in bytes, shared pages included.
    pub resident: u64,
    /// The most it ever was.
    pub peak: u64,
    /// CPU time of all its threads, those that ended included, in steps of 10 ms.
    pub cpu: Duration,
}

impl Usage {
    /// Reads it for any process.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn of(pid: u32) -> Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            fs::read_to_string(&path).with_context(|| format!("cannot read {path}; the process is gone"))
        };
        let status = read("status")?;
        let stat = read("stat")?;
        let kib = |name: &str| field(&status, name).with_context(|| format!("no {name} in /proc/{pid}/status"));
        let cpu = ticks(&stat).with_context(|| format!("/proc/{pid}/stat is not as expected: {stat}"))?;
        Ok(Self { resident: kib("VmRSS:")? * 1024, peak: kib("VmHWM:")? * 1024, cpu })
    }
}

fn field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// Fields 14 and 15, counted from behind the command's name, which may hold anything.
fn ticks(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * user + TICK * system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_does_not_shift_the_fields() {
        let stat = "42 (a b) c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 7 9 20 0 4 0 100 1 2";
        assert_eq!(ticks(stat), Some(Duration::from_secs(3)));
        assert_eq!(ticks("42 (x) S 1"), None);
    }

    #[test]
    fn our_own_cost_is_seen() {
        let before = Usage::of(std::process::id()).unwrap();
        assert!(before.resident > 100 * 1024 && before.peak >= before.resident, "{before:?}");
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(100) {
            std::hint::spin_loop();
        }
        assert!(Usage::of(std::process::id()).unwrap().cpu > before.cpu);
    }
}
