//! Writes to the API server: so many at once, the latest of each object wins, and what fails is tried again with growing
//! pauses. Who asks for the same write twice gets it once.

use std::collections::{BTreeSet, HashMap, VecDeque};

use bytes::Bytes;
use http::{Method, Request, header::CONTENT_TYPE};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{Client, Resource, ResourceExt};
use penstock_api::{GrpcRoute, Host, HttpRoute, Workload, WorkloadDeployment, WorkloadReplicaSet};
use serde::de::DeserializeOwned;
use tokio::{
    task::JoinSet,
    time::{Duration, Instant},
};

use crate::{
    backoff,
    metrics::{Metrics, WriteLabels},
    plan::{Name, RouteKind, names::FIELD_MANAGER},
};

/// The pause after the API server has refused an object as it is: only a change of something else can help.
const REFUSED: Duration = Duration::from_secs(60);
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Deployment,
    /// Of a deployment.
    Scale,
    ReplicaSet,
    Workload,
    Host,
    Slice,
    /// Its status only.
    Service,
    /// Its status only.
    Route(RouteKind),
    Event,
}

/// Which object, and whether it is its status.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) status: bool,
    pub(crate) name: Name,
}

/// What is to be done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Server-side apply of this JSON object.
    Apply(Bytes),
    /// Create this JSON object, if nothing of its name is there.
    Create(Bytes),
    /// Delete the object with this uid.
    Delete(String),
    /// Have so many replicas, unless somebody else has changed the number in between.
    Scale { from: Option<u32>, to: u32 },
}

/// An object as the API server has it now.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "it is only ever in a box")]
pub(crate) enum Written {
    Deployment(WorkloadDeployment),
    ReplicaSet(WorkloadReplicaSet),
    Workload(Workload),
    Host(Host),
    Slice(EndpointSlice),
    Service(Service),
    HttpRoute(HttpRoute),
    GrpcRoute(GrpcRoute),
    /// An Event, or a scale: nobody reads them.
    Event,
}

/// What came of a write.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is as was asked for.
    Written(Box<Written>),
    /// It is gone, or being deleted.
    Deleted,
    /// There is no such object (any more).
    Missing,
    /// There is another object of that name, and nothing is to be done to that one.
    Another,
    /// The API server does not accept it; it is tried again, but seldom.
    Refused,
    /// It could not be done now; it is tried again.
    Failed,
}

#[derive(Debug, Default)]
struct Slot {
    /// To be written next.
    wanted: Option<Action>,
    /// Being written.
    running: Option<Action>,
    failures: u32,
    /// When `wanted` is to be sent; none: as soon as possible.
    due: Option<Instant>,
    queued: bool,
}

/// All writes.
pub(crate) struct Writes {
    client: Client,
    metrics: Metrics,
    limit: usize,
    slots: HashMap<Key, Slot>,
    /// What can be sent now: objects, statuses, Events.
    queues: [VecDeque<Key>; 3],
    later: BTreeSet<(Instant, Key)>,
    running: JoinSet<(Key, Result<Option<Written>, kube::Error>)>,
}

impl Writes {
    /// At most `limit` at once.
    pub(crate) fn new(client: Client, limit: usize, metrics: Metrics) -> Self {
        Self {
            client,
            metrics,
            limit,
            slots: HashMap::new(),
            queues: Default::default(),
            later: BTreeSet::new(),
            running: JoinSet::new(),
        }
    }

    /// Asks for a write, not before `due`. It takes the place of one that has not been sent yet.
    pub(crate) fn set(&mut self, key: Key, action: Action, due: Option<Instant>) {
        let slot = self.slots.entry(key.clone()).or_default();
        if slot.wanted.is_none() && slot.running.as_ref() == Some(&action) {
            return;
        }
        if slot.wanted.as_ref() == Some(&action) && slot.due <= due.or(slot.due) {
            return;
        }
        // What was put off is not put off again by a newer version of it, or it might never be sent.
        let due = match (slot.wanted.is_some(), slot.failures) {
            (true, 0) => due.min(slot.due),
            (_, 0) => due,
            _ => slot.due,
        };
        slot.wanted = Some(action);
        slot.due = due;
        self.enqueue(key);
    }

    /// The object is as it should be: nothing needs to be sent.
    pub(crate) fn cancel(&mut self, key: &Key) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.wanted = None;
            slot.failures = 0;
            if slot.running.is_none() {
                self.slots.remove(key);
            }
        }
    }

    /// Whether something is still to be written, or being written.
    pub(crate) fn is_pending(&self, key: &Key) -> bool {
        self.slots.contains_key(key)
    }

    /// Whether a deletion is under way or waits.
    pub(crate) fn is_deleting(&self, key: &Key) -> bool {
        let deletes = |it: &Option<Action>| matches!(it, Some(Action::Delete(_)));
        self.slots.get(key).is_some_and(|it| deletes(&it.wanted) || (it.wanted.is_none() && deletes(&it.running)))
    }

    /// Drops everything, also what is on its way.
    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.queues.iter_mut().for_each(VecDeque::clear);
        self.later.clear();
        self.running = JoinSet::new();
    }

    /// When there is something to send that is put off now.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.later.first().map(|it| it.0)
    }

    /// Sends what can be sent.
    pub(crate) fn dispatch(&mut self) {
        let now = Instant::now();
        while let Some((due, key)) = self.later.pop_first() {
            if due > now {
                self.later.insert((due, key));
                break;
            }
            if let Some(slot) = self.slots.get_mut(&key)
                && slot.due == Some(due)
            {
                slot.due = None;
                self.enqueue(key);
            }
        }
        while self.running.len() < self.limit {
            let Some(key) = self.queues.iter_mut().find_map(VecDeque::pop_front) else { return };
            let Some(slot) = self.slots.get_mut(&key) else { continue };
            slot.queued = false;
            if slot.running.is_some() || slot.due.is_some() {
                continue;
            }
            let Some(action) = slot.wanted.take() else { continue };
            slot.running = Some(action.clone());
            let client = self.client.clone();
            self.running.spawn(async move {
                let result = match tokio::time::timeout(PATIENCE, send(&client, &key, action)).await {
                    Ok(result) => result,
                    Err(elapsed) => Err(kube::Error::Service(Box::new(elapsed))),
                };
                (key, result)
            });
        }
    }

    /// Waits for a write to end. Never returns while none is on its way.
    pub(crate) async fn ended(&mut self) -> (Key, Outcome) {
        loop {
            match self.running.join_next().await {
                Some(Ok((key, result))) => {
                    let outcome = self.settle(&key, result);
                    return (key, outcome);
                }
                // One that was aborted by `clear`, or that panicked: its slot is sent again by nobody, but panics are bugs.
                Some(Err(error)) => tracing::error!(%error, "a write was lost"),
                None => std::future::pending::<()>().await,
            }
        }
    }

    /// A write that has ended already, if there is one.
    pub(crate) fn try_ended(&mut self) -> Option<(Key, Outcome)> {
        let (key, result) = self.running.try_join_next()?.ok()?;
        let outcome = self.settle(&key, result);
        Some((key, outcome))
    }

    fn settle(&mut self, key: &Key, result: Result<Option<Written>, kube::Error>) -> Outcome {
        let Some(slot) = self.slots.get_mut(key) else { return Outcome::Missing };
        let action = slot.running.take();
        let verb = match &action {
            _ if key.status => "status",
            Some(Action::Delete(_)) => "delete",
            Some(Action::Create(_)) => "create",
            Some(Action::Scale { .. }) => "scale",
            _ => "apply",
        };
        let outcome = match result {
            Ok(Some(object)) => Outcome::Written(Box::new(object)),
            Ok(None) => Outcome::Deleted,
            Err(error) => judge(&error, key, verb),
        };
        let (word, pause) = match &outcome {
            Outcome::Written(_) | Outcome::Deleted => ("done", None),
            Outcome::Missing => ("missing", None),
            Outcome::Another => ("another", None),
            Outcome::Refused => ("refused", Some(REFUSED)),
            Outcome::Failed => ("failed", Some(backoff::pause(slot.failures + 1))),
        };
        self.metrics.writes.get_or_create(&WriteLabels { kind: key.kind.name(), verb, outcome: word }).inc();
        match pause {
            None => slot.failures = 0,
            Some(pause) => {
                slot.failures += 1;
                slot.due = Some(Instant::now() + pause);
                // An Event that cannot be written is no loss worth a queue.
                if slot.wanted.is_none() && (key.kind != Kind::Event || slot.failures < 3) {
                    slot.wanted = action;
                }
            }
        }
        if slot.wanted.is_some() {
            self.enqueue(key.clone());
        } else {
            self.slots.remove(key);
        }
        outcome
    }

    fn enqueue(&mut self, key: Key) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        if slot.running.is_some() {
            return;
        }
        match slot.due {
            Some(due) => drop(self.later.insert((due, key))),
            None if slot.queued => {}
            None => {
                slot.queued = true;
                let queue = match key.kind {
                    Kind::Event => 2,
                    _ if key.status => 1,
                    _ => 0,
                };
                self.queues[queue].push_back(key);
            }
        }
    }

    pub(crate) fn report(&self) {
        let waiting = |kind: &str, number: usize| {
            self.metrics.waiting.get_or_create(&kind.into()).set(i64::try_from(number).unwrap_or(i64::MAX));
        };
        waiting("write", self.slots.len() - self.running.len().min(self.slots.len()));
        waiting("request", self.running.len());
    }
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Deployment => "WorkloadDeployment",
            Self::Scale => "Scale",
            Self::ReplicaSet => "WorkloadReplicaSet",
            Self::Workload => "Workload",
            Self::Host => "Host",
            Self::Slice => "EndpointSlice",
            Self::Service => "Service",
            Self::Route(kind) => kind.name(),
            Self::Event => "Event",
        }
    }

    fn path(self, name: &Name) -> String {
        let namespace = Some(name.namespace.as_str());
        match self {
            Self::Deployment | Self::Scale => WorkloadDeployment::url_path(&(), namespace),
            Self::ReplicaSet => WorkloadReplicaSet::url_path(&(), namespace),
            Self::Workload => Workload::url_path(&(), namespace),
            Self::Host => Host::url_path(&(), namespace),
            Self::Slice => EndpointSlice::url_path(&(), namespace),
            Self::Service => Service::url_path(&(), namespace),
            Self::Route(RouteKind::Http) => HttpRoute::url_path(&(), namespace),
            Self::Route(RouteKind::Grpc) => GrpcRoute::url_path(&(), namespace),
            Self::Event => k8s_openapi::api::events::v1::Event::url_path(&(), namespace),
        }
    }
}

impl Key {
    pub(crate) fn object(kind: Kind, name: &Name) -> Self {
        Self { kind, status: false, name: name.clone() }
    }

    pub(crate) fn status(kind: Kind, name: &Name) -> Self {
        Self { kind, status: true, name: name.clone() }
    }
}

fn judge(error: &kube::Error, key: &Key, verb: &'static str) -> Outcome {
    let kube::Error::Api(status) = error else {
        tracing::debug!(kind = key.kind.name(), name = %key.name, verb, %error, "a write failed");
        return Outcome::Failed;
    };
    let message = &status.message;
    match (status.code, verb) {
        (404, "status" | "delete" | "scale") => Outcome::Missing,
        // Somebody else has scaled it: what comes next is decided from there.
        (409 | 422, "scale") => Outcome::Another,
        // What is known here is old, and a watch will tell.
        (409, "delete" | "create") => Outcome::Another,
        // The namespace is gone.
        (404, "create") => Outcome::Missing,
        (400 | 413 | 422, _) => {
            tracing::error!(kind = key.kind.name(), name = %key.name, verb, "the API server refuses it: {message}");
            Outcome::Refused
        }
        (code, _) => {
            tracing::debug!(kind = key.kind.name(), name = %key.name, verb, code, "a write failed: {message}");
            Outcome::Failed
        }
    }
}

async fn send(client: &Client, key: &Key, action: Action) -> Result<Option<Written>, kube::Error> {
    let base = key.kind.path(&key.name);
    let sub = if key.status { "/status" } else { "" };
    let request = match action {
        Action::Apply(body) => Request::builder()
            .method(Method::PATCH)
            .uri(format!("{base}/{}{sub}?fieldManager={FIELD_MANAGER}&force=true", key.name.name))
            .header(CONTENT_TYPE, "application/apply-patch+yaml")
            .body(body.to_vec()),
        Action::Create(body) => Request::builder()
            .method(Method::POST)
            .uri(format!("{base}?fieldManager={FIELD_MANAGER}"))
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_vec()),
        Action::Scale { from, to } => {
            let mut patch = vec![serde_json::json!({ "op": "add", "path": "/spec/replicas", "value": to })];
            // A scale of 0 has no such field.
            if let Some(from) = from.filter(|it| *it > 0) {
                patch.insert(0, serde_json::json!({ "op": "test", "path": "/spec/replicas", "value": from }));
            }
            Request::builder()
                .method(Method::PATCH)
                .uri(format!("{base}/{}/scale?fieldManager={FIELD_MANAGER}-autoscaler", key.name.name))
                .header(CONTENT_TYPE, "application/json-patch+json")
                .body(body(&patch).to_vec())
        }
        Action::Delete(uid) => {
            let options = serde_json::json!({
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "preconditions": { "uid": uid },
                "propagationPolicy": "Background",
            });
            let request = Request::builder()
                .method(Method::DELETE)
                .uri(format!("{base}/{}", key.name.name))
                .header(CONTENT_TYPE, "application/json")
                .body(options.to_string().into_bytes());
            let request = request.map_err(kube::Error::HttpError)?;
            client.request_text(request).await?;
            return Ok(None);
        }
    };
    let request = request.map_err(kube::Error::HttpError)?;
    let written = match key.kind {
        Kind::Deployment => Written::Deployment(typed(client, request).await?),
        Kind::ReplicaSet => Written::ReplicaSet(typed(client, request).await?),
        Kind::Workload => Written::Workload(typed(client, request).await?),
        Kind::Host => Written::Host(typed(client, request).await?),
        Kind::Slice => Written::Slice(typed(client, request).await?),
        Kind::Service => Written::Service(typed(client, request).await?),
        Kind::Route(RouteKind::Http) => Written::HttpRoute(typed(client, request).await?),
        Kind::Route(RouteKind::Grpc) => Written::GrpcRoute(typed(client, request).await?),
        Kind::Event | Kind::Scale => {
            client.request_text(request).await?;
            Written::Event
        }
    };
    Ok(Some(written))
}

async fn typed<K: Resource + DeserializeOwned>(client: &Client, request: Request<Vec<u8>>) -> Result<K, kube::Error> {
    let mut object: K = client.request(request).await?;
    object.managed_fields_mut().clear();
    Ok(object)
}

/// An object as JSON. `null` would say something in a server-side apply, so it is left out.
pub(crate) fn body(value: &impl serde::Serialize) -> Bytes {
    // Everything that is written has texts for keys, so it can be written.
    serde_json::to_vec(value).map(Bytes::from).unwrap_or_default()
}
