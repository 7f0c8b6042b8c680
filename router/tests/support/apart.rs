//! A server in a process of its own, the test's binary once more: what that process costs is the router's and nobody else's.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::{
    env, fs,
    future::Future,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Set in the process that is the server.
const WANTED: &str = "PENSTOCK_TEST_APART";
const LISTENING: &str = "listening on ";

/// `/proc` counts CPU time in units of 1/100 s on every Linux architecture (USER_HZ).
const TICK: Duration = Duration::from_millis(10);

/// A server that ends with this.
pub struct Apart {
    child: Child,
    pub address: SocketAddr,
}

/// What it costs so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Resident memory in bytes, and the most it was since [`Apart::forget_peak`].
    pub resident: u64,
    pub peak: u64,
    pub cpu: Duration,
}

/// What the test that is the server does: `start` binds and serves, if this is the process for it; else nothing.
pub fn be_server<F>(start: impl FnOnce() -> F)
where
    F: Future<Output = SocketAddr>,
{
    if env::var_os(WANTED).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let address = runtime.block_on(async { start().await });
    println!("\n{LISTENING}{address}");
    // Until the one who asked for it is gone, however it ended.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    runtime.shutdown_background();
}

impl Apart {
    /// Starts the test of this name, which must call [`be_server`].
    pub fn start(test: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env(WANTED, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix(LISTENING).and_then(|address| address.parse().ok()))
            .expect("the server did not start");
        Self { child, address }
    }

    pub fn usage(&self) -> Usage {
        let pid = self.child.id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let kib = |name: &str| -> u64 {
            let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            value.split_whitespace().next().unwrap().parse().unwrap()
        };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        // Fields 14 and 15, counted from behind the command's name, which may hold anything.
        let ticks: u32 = stat
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|it| it.parse::<u32>().unwrap())
            .sum();
        Usage { resident: kib("VmRSS:") * 1024, peak: kib("VmHWM:") * 1024, cpu: TICK * ticks }
    }

    /// The peak counts from now (proc(5), clear_refs).
    pub fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// How many descriptors it holds.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Whether it still runs.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again and again until what was asked for is there.
pub fn until<T>(what: &str, patience: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + patience;
    loop {
        if let Some(it) = ask() {
            return it;
        }
        assert!(Instant::now() < end, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
