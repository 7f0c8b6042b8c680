//! A guest's work as a future: it runs on the thread that polls it until it shows itself to be long computing, and on
//! the low-priority threads from then on; there from the beginning if its component tends to compute. Dropping it ends the
//! guest.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use async_task::FallibleTask;

use super::{heavy::Lane, meter::Meter};

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A guest's work, measured.
pub(crate) struct Work<T> {
    place: Place<T>,
    meter: Arc<Meter>,
    lane: Arc<Lane>,
}

enum Place<T> {
    Here(Boxed<T>),
    Away(FallibleTask<Option<T>>),
    Over,
}

impl<T: Send + 'static> Work<T> {
    pub(crate) fn new(work: impl Future<Output = T> + Send + 'static, meter: Arc<Meter>, lane: Arc<Lane>) -> Self {
        let work: Boxed<T> = Box::pin(work);
        let place = match lane.tendency.is_heavy() {
            true => Away::spawn(work, &meter, &lane),
            false => Place::Here(work),
        };
        Self { place, meter, lane }
    }
}

impl<T: Send + 'static> Future for Work<T> {
    /// `None`: the work panicked or was cut off; nothing of it is left.
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = &mut *self;
        if let Place::Here(work) = &mut this.place {
            match poll_metered(work.as_mut(), &this.meter, cx) {
                Poll::Ready(output) => {
                    this.lane.tendency.learn(false);
                    this.place = Place::Over;
                    return Poll::Ready(Some(output));
                }
                Poll::Pending if !this.meter.is_heavy() => return Poll::Pending,
                // Between two slices the guest's stack is at rest and may go to another thread.
                Poll::Pending => {
                    if let Place::Here(work) = std::mem::replace(&mut this.place, Place::Over) {
                        this.place = Away::spawn(work, &this.meter, &this.lane);
                    }
                }
            }
        }
        let Place::Away(away) = &mut this.place else { return Poll::Ready(None) };
        let output = std::task::ready!(Pin::new(away).poll(cx));
        this.place = Place::Over;
        Poll::Ready(output.flatten())
    }
}

/// Work on the threads for it.
struct Away<T> {
    work: Boxed<T>,
    meter: Arc<Meter>,
    lane: Arc<Lane>,
}

impl<T: Send + 'static> Away<T> {
    fn spawn(work: Boxed<T>, meter: &Arc<Meter>, lane: &Arc<Lane>) -> Place<T> {
        Place::Away(lane.spawn(Self { work, meter: meter.clone(), lane: lane.clone() }))
    }
}

impl<T> Future for Away<T> {
    /// `None`: it panicked. That must not reach the thread.
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = &mut *self;
        match catch_unwind(AssertUnwindSafe(|| poll_metered(this.work.as_mut(), &this.meter, cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => {
                this.lane.tendency.learn(this.meter.is_heavy());
                Poll::Ready(Some(output))
            }
            Err(_panic) => Poll::Ready(None),
        }
    }
}

/// Does work here to its end, measured.
pub(super) async fn metered<T>(meter: &Meter, work: impl Future<Output = T> + Send) -> T {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|cx| poll_metered(work.as_mut(), meter, cx)).await
}

fn poll_metered<T>(work: Pin<&mut (dyn Future<Output = T> + Send)>, meter: &Meter, cx: &mut Context<'_>) -> Poll<T> {
    meter.begin_slice();
    let poll = work.poll(cx);
    meter.end_slice();
    poll
}
