//! A 0.3 instance that serves several calls at once (`maxConcurrency` above 1): a task of its own, calls handed to it.
//!
//! A trap ends the whole instance: the calls that had begun on it fail, those that had not are given back to their
//! callers, who try another instance. A call whose client has left, or whose deadline has passed, cannot be ended alone
//! (wasmtime#11833); its instance takes no more calls, and goes when the calls that are still wanted have ended.

use std::{
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use futures_util::{StreamExt, future::Either, stream::FuturesUnordered};
use http::{Request, Response, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use penstock_router::{Body, BoxError, Cause, Error};
use tokio::sync::{mpsc, oneshot};
use wasmtime::component::Accessor;
use wasmtime_wasi_http::{WasiBody, p3};

use super::{
    State,
    body::Turn,
    call::{content_length, p3_error, p3_request},
    concurrency::Adaptive,
    crash::Crashes,
    meter::{Meter, now},
    pool::Retire,
    template::{Exports, Instance, Template},
    work::Work,
};

/// What came of a call that was handed over.
pub(crate) enum Answer {
    Response(Response<Body>),
    Failed(Error),
    /// The instance ended before the call began.
    NotStarted(Request<WasiBody>),
}

/// The caller's side of one instance.
pub(crate) struct Shared {
    jobs: mpsc::UnboundedSender<Job>,
    in_flight: Arc<AtomicUsize>,
    begun: AtomicU32,
    retired: Arc<AtomicBool>,
    limit: Arc<Adaptive>,
    retire: Retire,
    born: Instant,
}

/// What the task of an instance shares with its callers' side and its pool.
struct Serving {
    retired: Arc<AtomicBool>,
    limit: Arc<Adaptive>,
    meter: Arc<Meter>,
    retire: Retire,
    crashes: Arc<Crashes>,
}

struct Job {
    request: Request<WasiBody>,
    answer: oneshot::Sender<Answer>,
    place: Place,
}

/// One of an instance's concurrent calls; given back when the response has been read or given up.
pub(crate) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Shared {
    /// Hands an instance to a task of its own.
    pub(super) fn start(instance: Box<Instance>, limit: usize, retire: Retire, crashes: Arc<Crashes>) -> Arc<Self> {
        let (jobs, receiver) = mpsc::unbounded_channel();
        let (retired, limit) = (Arc::<AtomicBool>::default(), Arc::new(Adaptive::new(limit)));
        let template = instance.store.data().template.clone();
        let (meter, born) = (instance.store.data().meter.clone(), instance.born);
        let serving = Serving { retired: retired.clone(), limit: limit.clone(), meter: meter.clone(), retire, crashes };
        let work = serve(instance, receiver, serving);
        tokio::spawn(Work::new(work, meter, template.lane.clone()));
        Arc::new(Self { jobs, in_flight: Arc::default(), begun: AtomicU32::new(0), retired, limit, retire, born })
    }

    /// Whether it will never take a call again.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Relaxed)
            || self.begun.load(Relaxed) >= self.retire.invocations
            || self.retire.is_old(self.born)
            || self.jobs.is_closed()
    }

    /// Calls that it serves at once now.
    pub(crate) fn limit(&self) -> usize {
        self.limit.limit()
    }

    pub(crate) fn load(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Takes one of its places, if there is one.
    pub(crate) fn reserve(&self) -> Option<Place> {
        if self.is_retired() {
            return None;
        }
        let limit = self.limit();
        let room = |count: usize| (count < limit).then_some(count + 1);
        self.in_flight.fetch_update(Relaxed, Relaxed, room).ok()?;
        let place = Place(self.in_flight.clone());
        let room = |count: u32| (count < self.retire.invocations).then_some(count + 1);
        self.begun.fetch_update(Relaxed, Relaxed, room).ok()?;
        Some(place)
    }

    /// Answers one request on this instance.
    pub(crate) async fn answer(&self, request: Request<WasiBody>, place: Place) -> Answer {
        let (answer, answered) = oneshot::channel();
        if let Err(unsent) = self.jobs.send(Job { request, answer, place }) {
            return Answer::NotStarted(unsent.0.request);
        }
        answered.await.unwrap_or_else(|_| {
            Answer::Failed(Error::new(Cause::GuestTrap, "the instance ended in a trap while it served several calls"))
        })
    }
}

/// Why the instance ended, if it ended badly; read by the bodies that were still open.
type Failure = Arc<OnceLock<(Cause, String)>>;

async fn serve(mut instance: Box<Instance>, mut jobs: mpsc::UnboundedReceiver<Job>, serving: Serving) {
    let failure = Failure::default();
    let template = instance.store.data().template.clone();
    let Instance { store, exports, .. } = &mut *instance;
    let Exports::P3(service) = exports else { return };
    let result = store
        .run_concurrent(async |accessor| drive(accessor, service, &mut jobs, &serving, &template, &failure).await)
        .await;
    serving.retired.store(true, Relaxed);
    if let Err(error) | Ok(Err(error)) = result {
        let error = template.failure(store, &error, "trapped", Cause::GuestTrap);
        serving.crashes.failed(&error);
        // Set once: this is the only place that sets it.
        let _ = failure.set((error.cause, error.detail));
    }
    jobs.close();
    while let Some(job) = jobs.recv().await {
        // A caller that has left needs no answer.
        let _ = job.answer.send(Answer::NotStarted(job.request));
    }
}

/// Calls between two looks at the handles and the memory that an instance keeps.
const CHECK: u64 = 64;

/// Takes calls and lets them run side by side, until the instance is not wanted any more and nothing is in flight.
async fn drive(
    accessor: &Accessor<State>,
    service: &p3::bindings::Service,
    jobs: &mut mpsc::UnboundedReceiver<Job>,
    serving: &Serving,
    template: &Arc<Template>,
    failure: &Failure,
) -> wasmtime::Result<()> {
    let mut calls = FuturesUnordered::new();
    let mut open = true;
    let mut served = 0_u64;
    loop {
        let next = {
            let job = std::pin::pin!(async { if open { jobs.recv().await } else { std::future::pending().await } });
            let ended = std::pin::pin!(async {
                match calls.next().await {
                    Some(ended) => ended,
                    None => std::future::pending().await,
                }
            });
            match futures_util::future::select(ended, job).await {
                Either::Left((ended, _)) => Either::Left(ended),
                Either::Right((job, _)) => Either::Right(job),
            }
        };
        match next {
            Either::Left(ended) => {
                let ended = ended?;
                served += 1;
                serving.crashes.answered();
                template.lane.tendency.learn(serving.meter.is_heavy());
                serving.limit.ended(now(), template.lane.tendency.is_heavy());
                let (in_progress, most) = (calls.len(), serving.retire.memory);
                let spent = served.is_multiple_of(CHECK)
                    && accessor.with(|mut access| {
                        let state = access.get();
                        state.leaks(in_progress) || state.limits.used() > most
                    });
                if spent || matches!(ended, Ended::Unwanted) {
                    serving.retired.store(true, Relaxed);
                }
            }
            Either::Right(Some(job)) => {
                serving.meter.begin_call();
                calls.push(call(accessor, service, job, template, failure.clone()));
            }
            Either::Right(None) => open = false,
        }
        if calls.is_empty() && (!open || serving.retired.load(Relaxed)) {
            return Ok(());
        }
    }
}

enum Ended {
    Well,
    /// The caller left before the guest was done.
    Unwanted,
}

async fn call(
    accessor: &Accessor<State>,
    service: &p3::bindings::Service,
    job: Job,
    template: &Arc<Template>,
    failure: Failure,
) -> wasmtime::Result<Ended> {
    let Job { request, mut answer, place } = job;
    let (request, io) = accessor.with(|mut access| p3_request(&mut access.get().hooks, request));
    let handled = std::pin::pin!(service.handle(accessor, request));
    let response = match futures_util::future::select(handled, std::pin::pin!(answer.closed())).await {
        Either::Left((response, _)) => response?,
        Either::Right(((), _)) => return Ok(Ended::Unwanted),
    };
    let response = match response {
        Ok(response) => accessor.with(|mut access| response.into_http(&mut access, io))?,
        Err(code) => {
            let _ = answer.send(Answer::Failed(p3_error(template, &code)));
            return Ok(Ended::Well);
        }
    };
    let (done, read) = oneshot::channel();
    let who = template.clone();
    let owed = response.headers().get(header::CONTENT_LENGTH).and_then(content_length);
    let left = template.options.response_limit.unwrap_or(u64::MAX);
    if owed.is_some_and(|owed| owed > left) {
        let _ = answer.send(Answer::Failed(template.response_error()));
        return Ok(Ended::Unwanted);
    }
    let response = response.map(|inner| {
        let body = SharedBody {
            inner,
            failure,
            template: who,
            owed,
            left,
            turn: Turn::default(),
            done: Some(done),
            _place: place,
        };
        Body::boxed(body.map_err(BoxError::from))
    });
    let _ = answer.send(Answer::Response(response));
    Ok(match read.await {
        Ok(()) => Ended::Well,
        Err(_) => Ended::Unwanted,
    })
}

/// A response's body that knows when its instance ended badly.
struct SharedBody {
    inner: WasiBody,
    failure: Failure,
    template: Arc<Template>,
    /// Bytes that the head promises and that have not been passed on yet.
    owed: Option<u64>,
    /// Bytes that it may still send.
    left: u64,
    turn: Turn,
    /// Told when the body was read to its end; dropped if it was given up.
    done: Option<oneshot::Sender<()>>,
    _place: Place,
}

impl SharedBody {
    fn finish(&mut self) {
        if let Some(done) = self.done.take() {
            // The instance may be gone by now.
            let _ = done.send(());
        }
    }
}

impl Drop for SharedBody {
    fn drop(&mut self) {
        // A connection stops asking once it has sent as many bytes as the head promised.
        if self.owed == Some(0) {
            self.finish();
        }
    }
}

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if this.turn.is_over(cx) {
            return Poll::Pending;
        }
        let frame = match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(frame) => frame,
        };
        match (frame, this.failure.get()) {
            (Some(Ok(frame)), _) => {
                let len = frame.data_ref().map_or(0, |data| data.len() as u64);
                let Some(left) = this.left.checked_sub(len) else {
                    return Poll::Ready(Some(Err(this.template.response_error())));
                };
                this.left = left;
                this.turn.pass(&frame);
                if let (Some(owed), Some(data)) = (&mut this.owed, frame.data_ref()) {
                    *owed = owed.saturating_sub(data.len() as u64);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            (None, None) => {
                this.finish();
                Poll::Ready(None)
            }
            (_, Some((cause, detail))) => Poll::Ready(Some(Err(Error::new(*cause, detail.clone())))),
            (Some(Err(error)), None) => {
                let detail = format!("{} broke off its response: {error}", this.template.who());
                Poll::Ready(Some(Err(Error::new(Cause::GuestNoResponse, detail))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
