//! A deadline that costs nothing until something has to wait for it.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline without a timer: the timer is armed by the first poll, which comes only after what it guards was found
/// pending. Moving it is a store; an armed timer that fires early finds that out and is armed again.
///
/// The timer has a place of its own, for most requests never need it and all of them are moved about.
#[derive(Default)]
pub(crate) struct Expiry {
    at: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

// === impl Expiry ===

impl Expiry {
    /// Never, if `at` is `None`.
    pub(crate) const fn at(at: Option<Instant>) -> Self {
        Self { at, sleep: None }
    }

    /// Moves the deadline to `timeout` from now.
    pub(crate) fn restart(&mut self, timeout: Option<Duration>) {
        self.at = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    }

    /// Moves the deadline, later or sooner. To be polled afterwards if it may now be sooner.
    pub(crate) fn move_to(&mut self, at: Instant) {
        self.at = Some(at);
    }

    /// Ready once the deadline has passed.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
        loop {
            std::task::ready!(sleep.as_mut().poll(cx));
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }
}
