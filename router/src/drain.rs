//! The graceful end, as a value passed down: who may start it, who must follow it.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// Makes a drain: the signal starts it, every clone of the watch follows it.
#[must_use]
pub fn channel() -> (DrainSignal, DrainWatch) {
    let (sender, receiver) = watch::channel(None);
    (DrainSignal(Arc::new(sender)), DrainWatch { own: receiver, parent: None })
}

/// Starts a drain. Dropping every clone without starting it means that it never starts.
#[derive(Clone, Debug)]
pub struct DrainSignal(Arc<watch::Sender<Option<Instant>>>);

/// Follows a drain, and the drain of its parent if it has one.
#[derive(Clone, Debug)]
pub struct DrainWatch {
    own: watch::Receiver<Option<Instant>>,
    parent: Option<Box<DrainWatch>>,
}

// === impl DrainSignal ===

impl DrainSignal {
    /// Starts the drain: what is in flight may take `grace`, then it is cut. A second call can only shorten the time.
    pub fn start(&self, grace: Duration) {
        let deadline = Instant::now() + grace;
        self.0.send_if_modified(|current| {
            let sooner = current.is_none_or(|known| deadline < known);
            if sooner {
                *current = Some(deadline);
            }
            sooner
        });
    }
}

// === impl DrainWatch ===

impl DrainWatch {
    /// A drain of its own below this one: it starts by its own signal or with its parent, whichever is first. This is
    /// how one listener is closed alone, and all of them together.
    #[must_use]
    pub fn child(&self) -> (DrainSignal, Self) {
        let (signal, watch) = channel();
        (signal, Self { own: watch.own, parent: Some(Box::new(self.clone())) })
    }

    /// When everything must have ended, if the drain has started: the soonest of this and its parents.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let own = *self.own.borrow();
        let parent = self.parent.as_ref().and_then(|parent| parent.deadline());
        own.into_iter().chain(parent).min()
    }

    /// Resolves once the drain has started, with its deadline. Cancel-safe.
    pub async fn started(&mut self) -> Instant {
        loop {
            if let Some(deadline) = self.deadline() {
                return deadline;
            }
            self.changed().await;
        }
    }

    /// Resolves when the drain has started and its deadline has passed. Cancel-safe.
    pub async fn expired(&mut self) {
        loop {
            let deadline = self.started().await;
            tokio::select! {
                () = sleep_until(deadline) => return,
                () = self.changed() => {}
            }
        }
    }

    /// Resolves when anything may have changed here or above; never, once every signal is gone.
    fn changed(&mut self) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let own = async {
                if self.own.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            match &mut self.parent {
                None => own.await,
                Some(parent) => tokio::select! {
                    () = own => {}
                    () = parent.changed() => {}
                },
            }
        })
    }
}
