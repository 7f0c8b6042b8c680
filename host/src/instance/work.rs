//! A guest's work as a future: it runs on the thread that polls it until it shows itself to be long computing, and on
//! the low-priority threads from then on. Dropping it ends the guest.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::task::JoinHandle;

use super::{heavy::HeavyRuntime, meter::Meter};

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A guest's work, measured.
pub(crate) struct Work<T> {
    place: Place<T>,
    meter: Arc<Meter>,
    heavy: Arc<HeavyRuntime>,
}

enum Place<T> {
    Here(Boxed<T>),
    Away(JoinHandle<T>),
    Over,
}

impl<T: Send + 'static> Work<T> {
    pub(crate) fn new(
        work: impl Future<Output = T> + Send + 'static,
        meter: Arc<Meter>,
        heavy: Arc<HeavyRuntime>,
    ) -> Self {
        Self { place: Place::Here(Box::pin(work)), meter, heavy }
    }
}

impl<T: Send + 'static> Future for Work<T> {
    /// `None`: the work panicked or was cut off; nothing of it is left.
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = &mut *self;
        let output = match &mut this.place {
            Place::Here(work) => {
                let poll = poll_metered(work.as_mut(), &this.meter, cx);
                if let Poll::Ready(output) = poll {
                    Some(output)
                } else {
                    if !this.meter.is_heavy() {
                        return Poll::Pending;
                    }
                    // Between two slices the guest's stack is at rest and may go to another thread.
                    let Place::Here(work) = std::mem::replace(&mut this.place, Place::Over) else {
                        return Poll::Pending;
                    };
                    let mut away = this.heavy.spawn(Metered { work, meter: this.meter.clone() });
                    let poll = Pin::new(&mut away).poll(cx);
                    this.place = Place::Away(away);
                    match poll {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(output) => output.ok(),
                    }
                }
            }
            Place::Away(away) => match Pin::new(away).poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(output) => output.ok(),
            },
            Place::Over => None,
        };
        this.place = Place::Over;
        Poll::Ready(output)
    }
}

impl<T> Drop for Work<T> {
    fn drop(&mut self) {
        if let Place::Away(away) = &self.place {
            away.abort();
        }
    }
}

struct Metered<T> {
    work: Boxed<T>,
    meter: Arc<Meter>,
}

impl<T> Future for Metered<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        poll_metered(this.work.as_mut(), &this.meter, cx)
    }
}

fn poll_metered<T>(work: Pin<&mut (dyn Future<Output = T> + Send)>, meter: &Meter, cx: &mut Context<'_>) -> Poll<T> {
    meter.begin_slice();
    let poll = work.poll(cx);
    meter.end_slice();
    poll
}
