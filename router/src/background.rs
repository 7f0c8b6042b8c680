//! Work in bulk beside requests: a thread of low priority, so that those who serve do not wait for it, however few the
//! processors are.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    thread,
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// What such a thread gets of a processor that somebody else wants too: about a tenth (`sched(7)`).
const NICE: i32 = 10;

/// Runs `work` on a thread of its own, of low priority; on the caller's, if the system gives no other. Dropping the future
/// does not end the work. A panic goes on in the caller.
///
/// A thread is begun for each, so that this is for what takes much longer than that: building or freeing a large table.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = oneshot::channel();
    // Where a thread that could not be begun leaves it.
    let job = Arc::new(Mutex::new(Some((work, sender))));
    let run = |job: &Mutex<Option<(_, oneshot::Sender<_>)>>| {
        let taken = job.lock().take();
        if let Some((work, sender)) = taken {
            // Nobody waits any more, if it fails.
            let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
        }
    };
    let theirs = Arc::clone(&job);
    let begun = thread::Builder::new().name("bulk".to_owned()).spawn(move || {
        if let Err(error) = lower_priority() {
            tracing::debug!(%error, "work in bulk runs at normal priority");
        }
        run(&theirs);
    });
    if let Err(error) = begun {
        tracing::warn!(%error, "no thread for work in bulk: it is done where requests are served");
        run(&job);
    }
    match receiver.await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => unreachable!("the work's result is sent, a panic included"),
    }
}

/// Lets threads that serve go first from now on: an I/O thread that wakes up runs at once, and this one still gets its share of
/// an otherwise busy machine. On Linux a nice value belongs to the calling thread.
///
/// # Errors
/// When the kernel refuses, which costs only fairness.
pub fn lower_priority() -> io::Result<()> {
    Ok(rustix::process::setpriority_process(None, NICE)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn runs_elsewhere_with_less_priority() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let here = nice();
        assert_eq!(run(nice).await, here + NICE);
        assert_eq!(nice(), here);
    }

    #[tokio::test]
    #[should_panic(expected = "told so")]
    async fn a_panic_goes_on_in_the_caller() {
        run(|| panic!("told so")).await
    }
}
