//! A load that runs: threads, live counters, stop.

use std::{
    cell::RefCell,
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Instant,
};

use tokio::{
    runtime::Runtime,
    sync::{Mutex, oneshot},
    task::LocalSet,
};

use super::{
    Plan, Progress, Protocol, Refused, Report,
    pace::Pace,
    tally::{Live, Tally},
    worker::{Shared, Worker},
};

/// A load that runs. Dropping it stops the load, without waiting for its end.
pub struct Running {
    shared: Arc<Shared>,
    started: Instant,
    tallies: Vec<oneshot::Receiver<Tally>>,
}

// === impl Running ===

impl Running {
    pub(super) fn start(plan: Plan) -> Result<Self, Refused> {
        let started = Instant::now();
        let pace = Pace::new(started, plan.duration, plan.count, plan.arrivals.clone(), plan.timeout);
        let threads = plan.threads.min(plan.connections);
        let open = plan.arrivals.is_some();
        let shared = Arc::new(Shared { plan, pace, live: Live::default(), connections: AtomicU32::new(0) });
        let mut running = Self { shared, started, tallies: Vec::new() };
        for index in 0..threads {
            let (done, tally) = oneshot::channel();
            let shared = running.shared.clone();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| no_thread(&error))?;
            spawn(format!("load-{index}"), move || {
                if let Some(tally) = lanes(&runtime, &shared, index, threads) {
                    // The receiver is gone if nobody wants the report any more.
                    let _ = done.send(tally);
                }
            })?;
            running.tallies.push(tally);
        }
        if open {
            let shared = running.shared.clone();
            spawn("load-pace".into(), move || shared.pace.issue())?;
        }
        Ok(running)
    }

    /// The counters as they are now.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.shared.live.progress()
    }

    /// Starts no more requests. Those under way, and those that were already due, are finished.
    pub fn stop(&self) {
        self.shared.pace.stop();
    }

    /// Waits for the end and gives the report.
    ///
    /// # Errors
    /// If one of the generator's threads panicked (a check or a request maker did, most likely).
    pub async fn finish(mut self) -> anyhow::Result<Report> {
        let mut tallies = Vec::new();
        for tally in std::mem::take(&mut self.tallies) {
            tallies.push(tally.await.map_err(|_| died())?);
        }
        Ok(self.report(tallies))
    }

    /// The same for code outside of any runtime.
    ///
    /// # Errors
    /// As [`Running::finish`].
    pub fn finish_blocking(mut self) -> anyhow::Result<Report> {
        let mut tallies = Vec::new();
        for tally in std::mem::take(&mut self.tallies) {
            tallies.push(tally.blocking_recv().map_err(|_| died())?);
        }
        Ok(self.report(tallies))
    }

    fn report(&self, tallies: Vec<Tally>) -> Report {
        let progress = self.progress();
        let mut report = Report {
            started: self.started,
            ended: self.started,
            sent: progress.sent,
            answered: progress.answered,
            failed: progress.failed,
            bytes: 0,
            connections: self.shared.connections.load(Ordering::Relaxed),
            resent: self.shared.live.resends(),
            statuses: Default::default(),
            labels: progress.labels,
            failures: Default::default(),
            latency: Default::default(),
            service: Default::default(),
            lag: Default::default(),
            records: Vec::new(),
        };
        for tally in tallies {
            report.ended = report.ended.max(tally.last.unwrap_or(self.started));
            report.bytes += tally.bytes;
            report.latency.merge(&tally.latency);
            report.service.merge(&tally.service);
            report.lag.merge(&tally.lag);
            for (status, count) in tally.statuses {
                *report.statuses.entry(status).or_default() += count;
            }
            for (failure, count) in tally.failures {
                *report.failures.entry(failure).or_default() += count;
            }
            report.records.extend(tally.records);
        }
        report.records.sort_unstable_by_key(|record| record.id);
        report
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

fn died() -> anyhow::Error {
    anyhow::anyhow!("a thread of the load generator panicked; its message is on stderr")
}

fn no_thread(error: &io::Error) -> Refused {
    Refused::Thread(error.to_string())
}

fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> Result<(), Refused> {
    thread::Builder::new().name(name).spawn(body).map(drop).map_err(|error| no_thread(&error))
}

/// Runs every `threads`-th connection, from `index` on, until there are no more tickets. `None` if one panicked: half
/// a report must not pass for a whole one.
fn lanes(runtime: &Runtime, shared: &Arc<Shared>, index: usize, threads: usize) -> Option<Tally> {
    let tally = Rc::new(RefCell::new(Tally::default()));
    let local = LocalSet::new();
    let mut workers = Vec::new();
    for _ in (index..shared.plan.connections).step_by(threads) {
        let (streams, trunk) = match shared.plan.protocol {
            Protocol::Http1 => (1, None),
            Protocol::Http2 { streams } => (streams, Some(Rc::new(Mutex::new(None)))),
        };
        for _ in 0..streams {
            let worker = Worker { shared: shared.clone(), tally: tally.clone(), trunk: trunk.clone() };
            workers.push(local.spawn_local(worker.run()));
        }
    }
    let whole = local.block_on(runtime, async {
        let mut whole = true;
        for worker in workers {
            whole &= worker.await.is_ok();
        }
        whole
    });
    whole.then(|| tally.take())
}
