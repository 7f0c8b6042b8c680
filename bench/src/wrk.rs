//! `wrk` as the external load: its cost per request is far below that of any server measured here, and nobody can say
//! that it was made to suit one of them. Closed loop: its latency is that of a saturated server.

use std::{fs, net::SocketAddr, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What one run of `wrk` says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wrk {
    /// Whole answers.
    pub requests: u64,
    /// How long it ran, in microseconds.
    pub duration_us: u64,
    /// Median latency in microseconds.
    pub p50_us: f64,
    /// 99th percentile in microseconds.
    pub p99_us: f64,
    /// The longest in microseconds.
    pub max_us: f64,
    /// Connections refused, broken or timed out, and answers of 400 and above.
    pub errors: u64,
    /// All that it printed.
    pub raw: String,
}

/// What to ask for.
#[derive(Clone, Debug)]
pub enum Ask {
    /// One path under the address's own name, or a given one.
    One {
        /// The `Host` header, if other than the address.
        host: Option<String>,
        /// Path and query.
        path: String,
        /// JSON to send with POST; otherwise GET.
        body: Option<Bytes>,
    },
    /// Hosts and paths in turn.
    Turns(Vec<(String, String)>),
}

/// Reports as JSON on the last line. A script without `request` costs nothing while the load runs.
const DONE: &str = r#"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"duration_us":%d,"p50_us":%.1f,"p99_us":%.1f,"max_us":%.1f,"errors":%d,"raw":""}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

/// The requests are formatted once, before the start.
const TURNS: &str = r#"
local n, turn, requests = 0, 0, {}
init = function(args)
  for line in io.lines(args[1]) do
    local host, path = line:match("^(%S+) (%S+)$")
    n = n + 1
    requests[n] = wrk.format("GET", path, { ["Host"] = host })
  end
end
request = function()
  turn = turn % n + 1
  return requests[turn]
end
"#;

/// One request with a body, formatted by wrk itself before the start.
const POST: &str = r#"
init = function(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method, wrk.body = "POST", file:read("*a")
  wrk.headers["Content-Type"] = "application/json"
  file:close()
end
"#;

/// Which of the scripts, and what they read, in a folder of the caller's.
fn script(ask: &Ask, folder: &Path) -> Result<(std::path::PathBuf, Option<std::path::PathBuf>)> {
    let (script, argument) = (folder.join("wrk.lua"), folder.join("argument"));
    let before = match ask {
        Ask::One { body: None, .. } => {
            fs::write(&script, DONE)?;
            return Ok((script, None));
        }
        Ask::One { body: Some(body), .. } => {
            fs::write(&argument, body)?;
            POST
        }
        Ask::Turns(turns) => {
            fs::write(&argument, turns.iter().map(|(host, path)| format!("{host} {path}\n")).collect::<String>())?;
            TURNS
        }
    };
    fs::write(&script, format!("{before}{DONE}"))?;
    Ok((script, Some(argument)))
}

/// Runs it once, on one thread.
///
/// # Errors
/// If `wrk` is missing or fails; the text holds its output.
pub fn run(target: SocketAddr, ask: &Ask, connections: usize, duration: Duration) -> Result<Wrk> {
    let folder = tempfile::tempdir()?;
    let (script, argument) = script(ask, folder.path())?;
    let mut command = Command::new("wrk");
    command.args(["-t1", "--latency", "--timeout", "10s"]);
    command.arg(format!("-c{connections}")).arg(format!("-d{}s", duration.as_secs().max(1))).arg("-s").arg(script);
    let path = match ask {
        Ask::One { host, path, .. } => {
            if let Some(host) = host {
                command.arg("-H").arg(format!("Host: {host}"));
            }
            path.as_str()
        }
        Ask::Turns(_) => "/",
    };
    command.arg(format!("http://{target}{path}"));
    if let Some(argument) = argument {
        command.arg("--").arg(argument);
    }
    let output = command.output().context("cannot run wrk; install it: apt-get install wrk")?;
    let raw = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}\n{raw}{errors}", output.status);
    let (text, last) = raw.trim_end().rsplit_once('\n').context("wrk printed nothing")?;
    let figures: Wrk = serde_json::from_str(last).with_context(|| format!("not what the script prints: {last}"))?;
    Ok(Wrk { raw: text.trim_end().to_owned(), ..figures })
}

/// Its version, for the report.
#[must_use]
pub fn version() -> String {
    let output = Command::new("wrk").arg("-v").output().map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&output);
    text.lines().next().unwrap_or("wrk ?").split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}
