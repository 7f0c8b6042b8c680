//! KEDA's questions and our answers.

use std::sync::Arc;

use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{
    Source,
    activity::Activity,
    metadata::Trigger,
    protocol::{
        GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricSpec, MetricValue,
        ScaledObjectRef, external_scaler_server::ExternalScaler,
    },
    stream::Stream,
    value,
};
use crate::{
    plan::Name,
    signals::{Signal, WorkloadSignals},
};

/// Streams at once, one for each trigger of type `external-push`.
pub(super) const STREAMS: usize = 4096;

pub(super) struct Service {
    source: Arc<dyn Source>,
    activity: Arc<Activity>,
    places: Arc<Semaphore>,
    done: CancellationToken,
}

// === impl Service ===

impl Service {
    pub(super) fn new(source: Arc<dyn Source>, streams: usize, done: CancellationToken) -> Self {
        let activity = Activity::new(source.clone());
        tokio::spawn(activity.clone().follow(done.clone()));
        Self { source, activity, places: Arc::new(Semaphore::new(streams)), done }
    }

    fn signals(&self, workload: &Name) -> Result<WorkloadSignals, Status> {
        self.source.signals(workload).ok_or_else(|| unknown(workload))
    }

    fn ready(&self) -> Result<(), Status> {
        if self.source.ready() {
            return Ok(());
        }
        Err(Status::unavailable("this operator does not lead, or has heard of no host yet: come again"))
    }
}

#[tonic::async_trait]
impl ExternalScaler for Service {
    type StreamIsActiveStream = ReceiverStream<Result<IsActiveResponse, Status>>;

    async fn is_active(&self, request: Request<ScaledObjectRef>) -> Result<Response<IsActiveResponse>, Status> {
        let trigger = Trigger::read(&request.into_inner())?;
        self.ready()?;
        let result = self.activity.ask(trigger.question(), Instant::now());
        let result = result.ok_or_else(|| unknown(&trigger.workload))?;
        Ok(Response::new(IsActiveResponse { result }))
    }

    async fn stream_is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamIsActiveStream>, Status> {
        let trigger = Trigger::read(&request.into_inner())?;
        self.ready()?;
        self.signals(&trigger.workload)?;
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return Err(Status::resource_exhausted(
                "there are as many streams as there may be: use triggers of type external instead of external-push",
            ));
        };
        let (sender, receiver) = mpsc::channel(1);
        let (source, done) = (self.source.clone(), self.done.clone());
        tokio::spawn(Stream { source, question: trigger.question(), sender, place, done }.run());
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    /// By the trigger alone, so that every operator has the answer at all times: KEDA takes an error for no metrics.
    async fn get_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        let trigger = Trigger::read(&request.into_inner())?;
        let spec = MetricSpec {
            metric_name: Trigger::metric(trigger.signal),
            target_size: whole(trigger.target_milli),
            target_size_float: value::float(trigger.target_milli),
        };
        Ok(Response::new(GetMetricSpecResponse { metric_specs: vec![spec] }))
    }

    async fn get_metrics(&self, request: Request<GetMetricsRequest>) -> Result<Response<GetMetricsResponse>, Status> {
        let GetMetricsRequest { scaled_object_ref, metric_name } = request.into_inner();
        let trigger = Trigger::read(&scaled_object_ref.unwrap_or_default())?;
        let signal = trigger.asked(&metric_name)?;
        self.ready()?;
        let milli = value::milli(signal, &self.signals(&trigger.workload)?);
        Ok(Response::new(GetMetricsResponse { metric_values: vec![told(signal, milli)] }))
    }
}

fn told(signal: Signal, milli: i64) -> MetricValue {
    MetricValue {
        metric_name: Trigger::metric(signal),
        metric_value: whole(milli),
        metric_value_float: value::float(milli),
    }
}

/// For what cannot read fractions: rounded up, so that 0 stays 0 and something never becomes nothing.
fn whole(milli: i64) -> i64 {
    milli / 1000 + i64::from(milli % 1000 > 0)
}

pub(super) fn unknown(workload: &Name) -> Status {
    let Name { namespace, name } = workload;
    Status::not_found(format!(
        "there is no WorkloadDeployment {name} in namespace {namespace}, or no host has it yet: create it there, or name \
         another in the trigger's metadata (workload: NAME)"
    ))
}
