//! What is compared with what.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use penstock_tests::{
    dev::{self, Dev},
    manifest::Workload,
    process::{self, Process},
};
use tempfile::TempDir;

use crate::{
    machine::{Cpus, ENVIRONMENT},
    routes,
    wrk::Ask,
};

const START: Duration = Duration::from_secs(60);

/// wash keeps no compiled form, and a large component takes it a minute.
const SLOW_START: Duration = Duration::from_secs(180);

/// Instances that are kept warm, and connections unless said otherwise: one for each.
pub const WARM: u32 = 64;

/// Calls that a warm instance of WASI 0.3 takes in all and at once: the defaults of `wasmtime serve`.
const P3_CALLS: u32 = 128;
const P3_AT_ONCE: u32 = 16;

/// Penstock and its peers on the same work.
#[derive(Clone, Debug)]
pub struct Pair {
    /// For the table and `--only`.
    pub name: String,
    /// Whom it is compared with; each is 1 in its own ratio.
    pub peers: Vec<Peer>,
    /// Penstock.
    pub penstock: Server,
    /// What is asked of all.
    pub ask: Ask,
    /// What the body of every answer must be.
    pub expect: Expect,
}

/// One that Penstock is compared with.
#[derive(Clone, Debug)]
pub struct Peer {
    /// How it is started.
    pub server: Server,
    /// What this project sets itself.
    pub goal: Goal,
}

/// What this project sets itself beside one peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Goal {
    /// The least ratio of rates.
    pub rate: Option<f64>,
    /// The greatest ratio of 99th percentiles at the same moderate rate.
    pub p99: Option<f64>,
}

/// What a right answer's body is.
#[derive(Clone, Debug)]
pub enum Expect {
    /// It begins so.
    Starts(&'static str),
    /// All of it.
    Whole(Bytes),
    /// So many bytes.
    Long(usize),
}

/// How a server is started.
#[derive(Clone, Debug)]
pub enum Server {
    /// A program that prints `listening on ADDRESS` or `Serving HTTP on http://ADDRESS/`.
    Program {
        /// For the table.
        name: String,
        /// Program and arguments.
        command: Vec<String>,
    },
    /// `penstock dev` with one workload.
    Dev {
        /// For the table.
        name: String,
        /// The binary.
        binary: PathBuf,
        /// More arguments.
        arguments: Vec<String>,
        /// What it runs.
        workload: Box<Workload>,
    },
    /// wasmCloud's own host, as `wash dev` runs it: without a cluster and without NATS.
    Wash {
        /// The binary.
        binary: PathBuf,
        /// Its `.wash/config.yaml`, without the address.
        config: String,
    },
}

/// A server that runs. Dropping it ends it.
#[derive(Debug)]
pub enum Started {
    /// A plain process, and the folder that it runs in.
    Program(Process, SocketAddr, Option<TempDir>),
    /// `penstock dev`.
    Dev(Box<Dev>, SocketAddr),
}

/// Where things are.
#[derive(Clone, Debug)]
pub struct Places {
    /// The `penstock` binary.
    pub penstock: PathBuf,
    /// More arguments for `penstock dev`.
    pub arguments: Vec<String>,
    /// The `wasmtime` binary.
    pub wasmtime: PathBuf,
    /// The `wash` binary, if it is there.
    pub wash: Option<PathBuf>,
    /// The folder of the component files.
    pub components: PathBuf,
    /// The component in JavaScript, if it is there.
    pub javascript: Option<PathBuf>,
}

/// A component and what is asked of it.
struct Work {
    name: &'static str,
    file: PathBuf,
    p3: bool,
    path: &'static str,
    body: Option<Bytes>,
    expect: Expect,
}

/// Every pair, in the order of the table.
///
/// # Errors
/// If this program does not know where it is.
pub fn pairs(places: &Places) -> Result<Vec<Pair>> {
    let work = |name, file: &str, p3| Work {
        name,
        file: places.components.join(format!("{file}.wasm")),
        p3,
        path: "/",
        body: None,
        expect: Expect::Starts("hello"),
    };
    let kitchen = |p3| if p3 { "kitchen-p3" } else { "kitchen-p2" };
    let echo = |name, p3| {
        let body = Bytes::from(json(64 << 10));
        Work { path: "/echo", body: Some(body.clone()), expect: Expect::Whole(body), ..work(name, kitchen(p3), p3) }
    };
    let stream = |name, p3| Work {
        path: "/stream?chunks=16&size=65536",
        expect: Expect::Long(1 << 20),
        ..work(name, kitchen(p3), p3)
    };
    let to_wasmtime = |rate| Goal { rate, p99: Some(1.0) };
    let mut pairs = vec![native()?];
    for (work, fresh, warm) in [
        (work("hello-wat", "hello-wat", false), Some(1.3), Some(1.1)),
        (work("hello-p2", "hello-p2", false), Some(2.0), Some(1.3)),
        (work("hello-p3", "hello-p3", true), Some(2.0), Some(1.5)),
    ] {
        pairs.push(places.pair(&work, false, to_wasmtime(fresh)));
        pairs.push(places.pair(&work, true, to_wasmtime(warm)));
    }
    // The ceiling: what hyper can do without routes and components.
    if let Some(pair) = pairs.iter_mut().find(|pair| pair.name == "hello-p2-warm") {
        let server = beside("plain_hyper", "plain hyper")?;
        pair.peers.push(Peer { server, goal: Goal { rate: Some(0.75), p99: None } });
    }
    for work in [
        echo("echo-64k-p2", false),
        echo("echo-64k-p3", true),
        stream("stream-1m-p2", false),
        stream("stream-1m-p3", true),
    ] {
        pairs.push(places.pair(&work, true, to_wasmtime(None)));
    }
    if let Some(file) = &places.javascript {
        let js = Work { file: file.clone(), ..work("js", "", false) };
        pairs.push(places.pair(&js, false, to_wasmtime(None)));
        let fresh = places.dev("penstock dev, fresh", &js, false);
        let goal = Goal { rate: Some(10.0), p99: None };
        pairs.push(Pair { peers: vec![Peer { server: fresh, goal }], ..places.pair(&js, true, goal) });
    }
    Ok(pairs)
}

/// What the table cannot say.
#[must_use]
pub fn notes(places: &Places) -> Vec<String> {
    let mut notes = vec!["`wasmtime serve` and plain hyper have one component or one body, and no routes.".to_owned()];
    notes.push(if places.wash.is_some() {
        "`wash dev` is wasmCloud's own host without a cluster. It keeps instances of WASI 0.3 only (`poolSize` has no effect on \
         0.2), so that its fresh figures are all that it can do for a component of 0.2. `wash host` needs NATS and is not here."
            .to_owned()
    } else {
        "wasmCloud's `wash` was not there: `bench/guests/setup.sh` installs it.".to_owned()
    });
    if places.javascript.is_none() {
        notes.push("The component in JavaScript was not there: `bench/guests/setup.sh` builds it.".to_owned());
    }
    notes
}

fn native() -> Result<Pair> {
    Ok(Pair {
        name: "native".into(),
        peers: vec![Peer { server: beside("plain_hyper", "plain hyper")?, goal: Goal { rate: Some(0.85), p99: None } }],
        penstock: beside("native", "penstock router, 10,000 routes")?,
        ask: Ask::Turns(routes::asked().collect()),
        expect: Expect::Starts("hello"),
    })
}

/// A server of this package, built beside this program.
fn beside(file: &str, name: &str) -> Result<Server> {
    let this = env::current_exe()?;
    let folder = this.parent().context("this program is nowhere")?;
    Ok(Server::Program { name: name.into(), command: vec![folder.join(file).display().to_string()] })
}

/// A JSON document of just that size, as an API might take it.
fn json(size: usize) -> String {
    let mut text = String::from("{\"items\":[");
    for id in 0.. {
        let item = format!("{{\"id\":{id},\"name\":\"item {id}\",\"price\":{}.99,\"tags\":[\"a\",\"b\"]}},", id % 500);
        if text.len() + item.len() + 32 > size {
            break;
        }
        text += &item;
    }
    let rest = size.saturating_sub(text.len() + "{\"pad\":\"\"}]}".len());
    text + "{\"pad\":\"" + &"x".repeat(rest) + "\"}]}"
}

// === impl Places ===

impl Places {
    fn pair(&self, work: &Work, warm: bool, goal: Goal) -> Pair {
        let mut peers = vec![Peer { server: self.wasmtime(work, warm), goal }];
        if let Some(binary) = &self.wash
            && (work.p3 || !warm)
        {
            peers.push(Peer { server: wash(binary, work, warm), goal: Goal::default() });
        }
        Pair {
            name: format!("{}-{}", work.name, if warm { "warm" } else { "fresh" }),
            peers,
            penstock: self.dev("penstock dev", work, warm),
            ask: Ask::One { host: Some("bench.local".into()), path: work.path.into(), body: work.body.clone() },
            expect: work.expect.clone(),
        }
    }

    /// What the command line of `wasmtime serve` has for the same rules of reuse.
    fn wasmtime(&self, work: &Work, warm: bool) -> Server {
        let (calls, at_once) = reuse(work.p3, warm);
        let mut command = vec![self.wasmtime.display().to_string()];
        // The cache is for the start only: a large component takes many seconds to compile.
        let fixed =
            "serve --addr 127.0.0.1:0 -S cli,config -C cache=y -O pooling-allocator=y --max-instance-reuse-count";
        command.extend(fixed.split(' ').map(Into::into));
        command.extend([calls.to_string(), "--max-instance-concurrent-reuse-count".into(), at_once.to_string()]);
        command.push(work.file.display().to_string());
        Server::Program { name: "wasmtime serve".into(), command }
    }

    fn dev(&self, name: &str, work: &Work, warm: bool) -> Server {
        let (calls, at_once) = reuse(work.p3, warm);
        let mut workload = Workload::file("bench", &work.file).host("bench.local");
        // Capacity is not what is measured: no request may wait for a place.
        workload.capacity = Some((4 * WARM, 4 * WARM, "5s"));
        if work.p3 {
            workload = workload.p3();
        }
        if warm {
            workload = workload.pool_size(WARM / at_once);
            if work.p3 {
                workload.max_invocations = Some(calls);
                workload.max_concurrency = Some(at_once);
            }
        }
        Server::Dev {
            name: name.into(),
            binary: self.penstock.clone(),
            arguments: self.arguments.clone(),
            workload: Box::new(workload),
        }
    }
}

/// Calls that an instance takes in all and at once. Fresh: one. Warm 0.2: instances live on, one call at a time (the only
/// way for 0.2). Warm 0.3: wasmtime's own defaults.
fn reuse(p3: bool, warm: bool) -> (u32, u32) {
    match (warm, p3) {
        (false, _) => (1, 1),
        (true, false) => (1_000_000_000, 1),
        (true, true) => (P3_CALLS, P3_AT_ONCE),
    }
}

/// Its own component in development is never kept, but those beside it are: so the one that counts stands beside an empty one.
fn wash(binary: &Path, work: &Work, warm: bool) -> Server {
    let (main, beside) = if warm {
        let (calls, at_once) = reuse(work.p3, warm);
        // One for each connection: when all are taken it makes a fresh one.
        let pool = format!("poolSize: {WARM}, maxInvocations: {calls}, maxConcurrency: {at_once}");
        let beside = format!("  components: [{{name: bench, file: \"{}\", {pool}}}]\n", work.file.display());
        (work.file.with_file_name("empty.wasm"), beside)
    } else {
        (work.file.clone(), String::new())
    };
    let config = format!(
        "build:\n  command: \"true\"\n  component_path: \"{}\"\nwit:\n  skip_fetch: true\ndev:\n{beside}",
        main.display()
    );
    Server::Wash { binary: binary.into(), config }
}

// === impl Expect ===

impl Expect {
    /// What is wrong with an answer, if anything.
    ///
    /// # Errors
    /// The answer, shortened.
    pub fn check(&self, status: u16, body: &[u8]) -> Result<(), String> {
        let right = match self {
            Self::Starts(text) => body.starts_with(text.as_bytes()),
            Self::Whole(whole) => body == &whole[..],
            Self::Long(bytes) => body.len() == *bytes,
        };
        let start = String::from_utf8_lossy(&body[..body.len().min(80)]);
        if right && status == 200 { Ok(()) } else { Err(format!("{status}, {} bytes: {start:?}", body.len())) }
    }
}

// === impl Server ===

impl Server {
    /// For the table.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Program { name, .. } | Self::Dev { name, .. } => name,
            Self::Wash { .. } => "wash dev",
        }
    }

    /// Starts it on its CPUs and waits until it listens.
    ///
    /// # Errors
    /// If it is missing or does not listen in time; the text holds its output.
    pub async fn start(&self, cpus: Cpus) -> Result<Started> {
        match self {
            Self::Program { command, .. } => {
                let words: Vec<_> = cpus.server().into_iter().chain(command.iter().cloned()).collect();
                let [program, arguments @ ..] = words.as_slice() else { anyhow::bail!("an empty command") };
                let mut process =
                    Process::start(Command::new(program).args(arguments).env(ENVIRONMENT.0, ENVIRONMENT.1))?;
                let address = process.line("its address", START, |line| address(&line.text)).await?;
                Ok(Started::Program(process, address, None))
            }
            Self::Wash { binary, config } => start_wash(binary, config, cpus).await,
            Self::Dev { binary, arguments, workload, .. } => {
                let mut options = dev::Options::default().file("app.yaml", workload.as_ref());
                options.prefix = cpus.server();
                options.environment = vec![(ENVIRONMENT.0.into(), ENVIRONMENT.1.into())];
                options.binary = Some(binary.clone());
                options.arguments.clone_from(arguments);
                let dev = options.start().await?;
                let address = dev.listener("shared")?;
                Ok(Started::Dev(Box::new(dev), address))
            }
        }
    }
}

async fn start_wash(binary: &Path, config: &str, cpus: Cpus) -> Result<Started> {
    let folder = tempfile::Builder::new().prefix("penstock-wash-").tempdir()?;
    // Two folders: it watches the first one, and would build anew whenever it writes to its own caches in the second.
    let (project, home) = (folder.path().join("project"), folder.path().join("home"));
    fs::create_dir_all(project.join(".wash"))?;
    fs::create_dir(&home)?;
    // It says where it was told to listen and not where it does, so that port 0 is of no use.
    let address = process::free_port()?;
    fs::write(project.join(".wash/config.yaml"), format!("{config}  address: \"{address}\"\n"))?;
    let words: Vec<_> = cpus.server().into_iter().chain([binary.display().to_string()]).collect();
    let [program, arguments @ ..] = words.as_slice() else { anyhow::bail!("an empty command") };
    let mut command = Command::new(program);
    command.args(arguments).args(["--non-interactive", "--log-level", "error", "--meters", "off", "-C"]);
    command.arg(&project).arg("dev").env("HOME", &home).env(ENVIRONMENT.0, ENVIRONMENT.1);
    let mut process = Process::start(&mut command)?;
    process.answers(address, "bench.local", "/", SLOW_START).await?;
    Ok(Started::Program(process, address, Some(folder)))
}

/// `taskset` replaces itself by the program, so the process that was started is the server either way.
impl Started {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Program(_, address, _) | Self::Dev(_, address) => *address,
        }
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        match self {
            Self::Program(process, ..) => process,
            Self::Dev(dev, _) => dev.process(),
        }
    }
}

fn address(line: &str) -> Option<SocketAddr> {
    let rest = line.strip_prefix("listening on ").or_else(|| line.strip_prefix("Serving HTTP on http://"))?;
    rest.trim_end_matches('/').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_what_servers_print() {
        let expected = "127.0.0.1:8080".parse().ok();
        assert_eq!(address("listening on 127.0.0.1:8080"), expected);
        assert_eq!(address("Serving HTTP on http://127.0.0.1:8080/"), expected);
        assert_eq!(address("warming up"), None);
    }

    #[test]
    fn both_sides_of_a_pair_follow_the_same_rules_of_reuse() {
        let places = Places {
            penstock: "penstock".into(),
            arguments: Vec::new(),
            wasmtime: "wasmtime".into(),
            wash: None,
            components: "/c".into(),
            javascript: None,
        };
        let work = |p3| Work {
            name: "hello",
            file: "/c/hello.wasm".into(),
            p3,
            path: "/",
            body: None,
            expect: Expect::Starts("hello"),
        };
        let pair = |p3, warm| {
            let Server::Program { command, .. } = places.wasmtime(&work(p3), warm) else { panic!("not a program") };
            let Server::Dev { workload, .. } = places.dev("penstock dev", &work(p3), warm) else { panic!("not ours") };
            let flag = |name: &str| command.iter().skip_while(|word| *word != name).nth(1).cloned();
            let reuse = flag("--max-instance-reuse-count");
            let at_once = flag("--max-instance-concurrent-reuse-count");
            let ours = (workload.pool_size, workload.max_invocations, workload.max_concurrency);
            (reuse.unwrap(), at_once.unwrap(), ours)
        };
        assert_eq!(pair(false, false), ("1".into(), "1".into(), (None, None, None)));
        assert_eq!(pair(true, false), ("1".into(), "1".into(), (None, None, None)));
        assert_eq!(pair(false, true), ("1000000000".into(), "1".into(), (Some(64), None, None)));
        assert_eq!(pair(true, true), ("128".into(), "16".into(), (Some(4), Some(128), Some(16))));
    }

    #[test]
    fn the_json_is_json_of_the_size_asked_for() {
        let text = json(64 << 10);
        assert_eq!(text.len(), 64 << 10);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(value["items"].as_array().unwrap().len() > 1_000);
    }

    #[test]
    fn wrong_answers_are_told_from_right_ones() {
        assert_eq!(Expect::Starts("hello").check(200, b"hello from /"), Ok(()));
        assert!(Expect::Starts("hello").check(500, b"hello").is_err());
        assert!(Expect::Whole(Bytes::from_static(b"ab")).check(200, b"abc").is_err());
        assert!(Expect::Long(3).check(200, b"ab").is_err());
    }
}
