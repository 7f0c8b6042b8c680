//! Where guests that compute for long go: threads of low priority, away from the connections.
//!
//! Every call starts on the thread that read its request, which costs no hand-over. A call that has used up a whole
//! slice without pausing is moved here, between two slices. So a guest that spins delays its neighbours by at most one
//! slice, however many of them there are, and the kernel lets I/O threads go first.

use std::{future::Future, io};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::JoinHandle,
};

/// Nice value of the threads: low enough that an I/O thread which wakes up runs at once, high enough that heavy calls
/// still get their share of an otherwise busy machine.
const NICE: i32 = 10;

/// The low-priority threads of one host.
#[derive(Debug)]
pub(crate) struct HeavyRuntime {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl HeavyRuntime {
    /// As many threads as the machine has cores.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name("heavy")
            .enable_all()
            .on_thread_start(|| {
                // On Linux a nice value belongs to the calling thread. A kernel that refuses costs only fairness.
                if let Err(error) = rustix::process::setpriority_process(None, NICE) {
                    tracing::warn!(%error, "heavy guests run at normal priority");
                }
            })
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    pub(crate) fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(work)
    }
}

impl Drop for HeavyRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Dropping a runtime blocks, which is not allowed inside another one.
            runtime.shutdown_background();
        }
    }
}
