//! Child processes: started, waited for with a deadline, measured, and never left behind.

mod output;
mod usage;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::net::TcpStream;

use self::output::Output;
pub use self::{
    output::{Line, Stream},
    usage::Usage,
};

/// How often a condition is looked at again.
const POLL: Duration = Duration::from_millis(5);

/// A child process. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: Output,
}

impl Process {
    /// Starts it with no input and both outputs collected.
    ///
    /// # Errors
    /// If it cannot be started; the text holds the whole command.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().rsplit('/').next().unwrap_or_default().to_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let output = Output::collect(child.stdout.take(), child.stderr.take());
        Ok(Self { name, child, output })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Every line so far, of both streams; the last 100,000 if there are more.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.output.lines(0).0
    }

    /// The number of the line that comes next: to be taken before a change whose effect is then awaited.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.output.lines(usize::MAX).1
    }

    /// Waits for a line, from the first one on, that `pick` makes something of.
    ///
    /// # Errors
    /// If the process ends or the deadline passes first; the text holds all output.
    pub async fn line<T>(&mut self, what: &str, within: Duration, pick: impl FnMut(&Line) -> Option<T>) -> Result<T> {
        self.line_after(0, what, within, pick).await
    }

    /// The same, but only from line number `first` on, as [`Process::mark`] gave it.
    ///
    /// # Errors
    /// As [`Process::line`].
    pub async fn line_after<T>(
        &mut self,
        first: usize,
        what: &str,
        within: Duration,
        mut pick: impl FnMut(&Line) -> Option<T>,
    ) -> Result<T> {
        let mut next = first;
        self.wait(what, within, async |process| {
            let (lines, end) = process.output.lines(next);
            next = end;
            lines.iter().find_map(&mut pick)
        })
        .await
    }

    /// Waits until a connection to the address is accepted.
    ///
    /// # Errors
    /// As [`Process::line`].
    pub async fn accepts(&mut self, address: SocketAddr, within: Duration) -> Result<()> {
        let what = format!("{address} to accept connections");
        self.wait(&what, within, async |_| TcpStream::connect(address).await.ok().map(drop)).await
    }

    /// Waits until `GET path` at the address answers 200.
    ///
    /// # Errors
    /// As [`Process::line`].
    pub async fn answers(&mut self, address: SocketAddr, host: &str, path: &str, within: Duration) -> Result<()> {
        let what = format!("GET {path} of {host} at {address} to answer 200");
        self.wait(&what, within, async |_| {
            let answer = crate::http::get(address, host, path).await.ok()?;
            (answer.status() == 200).then_some(())
        })
        .await
    }

    /// Waits until the process ends by itself.
    ///
    /// # Errors
    /// If the deadline passes first; the text holds all output.
    pub async fn exited(&mut self, within: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!("{} did not end within {within:?}\n{}", self.name, self.output.text());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Asks it to end (SIGTERM), without waiting for it.
    ///
    /// # Errors
    /// If no signal could be sent.
    pub fn terminate(&self) -> Result<()> {
        self.signal("TERM")
    }

    /// Sends a signal by name, such as `STOP`. By way of the shell: a signal by hand needs unsafe code.
    ///
    /// # Errors
    /// If no signal could be sent.
    pub fn signal(&self, name: &str) -> Result<()> {
        let command = format!("kill -{name} {}", self.pid());
        let status = Command::new("sh").args(["-c", &command]).status()?;
        anyhow::ensure!(status.success(), "{command}: {status}");
        Ok(())
    }

    /// Memory and CPU time as the kernel counts them.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn usage(&self) -> Result<Usage> {
        Usage::of(self.pid())
    }

    /// All output so far, for failure messages: the last 200 lines, each after the name of its stream.
    #[must_use]
    pub fn text(&self) -> String {
        self.output.text()
    }

    async fn wait<T>(
        &mut self,
        what: &str,
        within: Duration,
        mut check: impl AsyncFnMut(&mut Self) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + within;
        loop {
            // Looked at before the check: what it wrote last must still count.
            let ended = self.child.try_wait()?;
            if ended.is_some() {
                self.output.settle();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if let Ok(Some(found)) = tokio::time::timeout(left.max(POLL), check(self)).await {
                return Ok(found);
            }
            if let Some(status) = ended {
                bail!("{} ended ({status}) while waiting for {what}\n{}", self.name, self.output.text());
            }
            if left.is_zero() {
                bail!("{}: waited {within:?} in vain for {what}\n{}", self.name, self.output.text());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A loopback port that was free a moment ago. Prefer port 0 where the process tells which one it got.
///
/// # Errors
/// If the system has none.
pub fn free_port() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free loopback port")?;
    Ok(listener.local_addr()?)
}

#[cfg(test)]
mod tests;
