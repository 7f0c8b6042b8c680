//! What instances of one component of one share are made from: everything that can be done before a request comes.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use penstock_router::{Cause, Error};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{
    Engine, Store, UpdateDeadline,
    component::{Instance as RawInstance, InstancePre, ResourceTable},
};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};
use wasmtime_wasi_config::WasiConfigVariables;
use wasmtime_wasi_http::{WasiHttpCtx, p2, p3};

use super::{
    heavy::Lane,
    meter::{Meter, Verdict},
    pool::Member,
    state::{MemoryLimit, State},
    stdio::LogStream,
    usage::{Limit, Usage},
    work::metered,
};
use crate::capability::http::{Egress, Hooks};

/// How requests enter a component.
pub(crate) enum Entry {
    /// `wasi:http/incoming-handler`, WASI 0.2.
    P2(p2::bindings::ProxyPre<State>),
    /// `wasi:http/handler`, WASI 0.3.
    P3(p3::bindings::ServicePre<State>),
    /// Not at all: it serves its siblings.
    None(InstancePre<State>),
}

/// A component's settings, resolved.
#[derive(Clone)]
pub(crate) struct TemplateOptions {
    /// `namespace/deployment@revision`.
    pub(crate) share: Arc<str>,
    pub(crate) component: Arc<str>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) config: Arc<WasiConfigVariables>,
    pub(crate) egress: Arc<Egress>,
    /// Bytes.
    pub(crate) memory_limit: usize,
    /// CPU time per call.
    pub(crate) cpu_limit: Option<Duration>,
    /// Elements of each table.
    pub(crate) table_limit: usize,
    /// Bytes of a response's body.
    pub(crate) response_limit: Option<u64>,
    pub(crate) mounts: Vec<Mount>,
}

/// A host folder that the component sees.
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    pub(crate) host: PathBuf,
    pub(crate) guest: String,
    pub(crate) read_only: bool,
}

/// What instances of one component of one share are made from.
pub(crate) struct Template {
    pub(crate) engine: Engine,
    pub(crate) entry: Entry,
    pub(crate) options: TemplateOptions,
    /// The components whose exports this one imports; [`State::siblings`] has the same order.
    pub(crate) links: Vec<Arc<Template>>,
    /// Places for instances, shared by the whole host: one for each that the pool can hold.
    pub(crate) slots: Arc<Semaphore>,
    /// Where its calls compute.
    pub(crate) lane: Arc<Lane>,
    /// What its instances use.
    pub(crate) usage: Arc<Usage>,
}

/// A live component with its store.
pub(crate) struct Instance {
    pub(crate) store: Store<State>,
    pub(crate) exports: Exports,
    /// Calls begun on it.
    pub(crate) calls: u32,
    pub(crate) born: Instant,
    /// Of the pool that it was started for; none: of its caller alone.
    pub(super) member: Option<Member>,
    _slot: OwnedSemaphorePermit,
}

/// The typed face of an instance.
pub(crate) enum Exports {
    P2(p2::bindings::Proxy),
    P3(p3::bindings::Service),
    None(RawInstance),
}

impl Exports {
    /// The untyped instance of a component that serves its siblings.
    pub(crate) fn raw(&self) -> Option<RawInstance> {
        match self {
            Self::None(raw) => Some(*raw),
            Self::P2(_) | Self::P3(_) => None,
        }
    }
}

impl Template {
    /// Makes an instance, waiting for a place on the host if all are taken.
    pub(crate) async fn instantiate(self: &Arc<Self>) -> Result<Box<Instance>, Error> {
        let slot = match self.slots.clone().try_acquire_owned() {
            Ok(slot) => slot,
            Err(_) => self.slots.clone().acquire_owned().await.map_err(|_| self.host_full())?,
        };
        let meter = self.meter();
        metered(&meter.clone(), self.instantiate_in(slot, meter)).await
    }

    /// Makes an instance unless the host is full. For links between siblings: the caller holds a place already, so
    /// waiting here for another could wait for ever, and is measured already.
    pub(crate) async fn instantiate_now(self: &Arc<Self>) -> Result<Box<Instance>, Error> {
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| self.host_full())?;
        self.instantiate_in(slot, self.meter()).await
    }

    fn meter(&self) -> Arc<Meter> {
        Arc::new(Meter::new(self.options.cpu_limit, self.usage.clone()))
    }

    async fn instantiate_in(
        self: &Arc<Self>,
        slot: OwnedSemaphorePermit,
        meter: Arc<Meter>,
    ) -> Result<Box<Instance>, Error> {
        let mut store = self.store(meter)?;
        let exports = match &self.entry {
            Entry::P2(pre) => pre.instantiate_async(&mut store).await.map(Exports::P2),
            Entry::P3(pre) => pre.instantiate_async(&mut store).await.map(Exports::P3),
            Entry::None(pre) => pre.instantiate_async(&mut store).await.map(Exports::None),
        };
        match exports {
            Ok(exports) => {
                Ok(Box::new(Instance { store, exports, calls: 0, born: Instant::now(), member: None, _slot: slot }))
            }
            Err(error) => Err(self.failure(&store, &error, "could not be started", Cause::GuestStart)),
        }
    }

    fn store(self: &Arc<Self>, meter: Arc<Meter>) -> Result<Store<State>, Error> {
        let options = &self.options;
        let mut wasi = WasiCtxBuilder::new();
        wasi.envs(&options.environment)
            .stdout(LogStream::new(options.share.clone(), options.component.clone(), "stdout"))
            .stderr(LogStream::new(options.share.clone(), options.component.clone(), "stderr"));
        for mount in &options.mounts {
            let perms = if mount.read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
            wasi.preopened_dir(&mount.host, &mount.guest, perms).map_err(|error| {
                let detail = format!("{}: cannot mount {}: {error}", self.who(), mount.host.display());
                Error::new(Cause::GuestStart, detail)
            })?;
        }
        let mut store = Store::new(
            &self.engine,
            State {
                table: ResourceTable::new(),
                wasi: wasi.build(),
                http: WasiHttpCtx::new(),
                hooks: Hooks::new(options.egress.clone(), self.usage.clone()),
                config: options.config.clone(),
                limits: MemoryLimit::new(options.memory_limit, options.table_limit, self.usage.clone()),
                meter: meter.clone(),
                template: self.clone(),
                siblings: self.links.iter().map(|_| None).collect(),
            },
        );
        store.limiter(|state| &mut state.limits);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| {
            Ok(match meter.tick() {
                Verdict::Run => UpdateDeadline::Continue(1),
                Verdict::Pause => UpdateDeadline::Yield(1),
                Verdict::Stop => UpdateDeadline::Interrupt,
            })
        });
        Ok(store)
    }

    /// `component 'x' of ns/deployment@revision`, for error texts.
    pub(crate) fn who(&self) -> String {
        format!("component '{}' of {}", self.options.component, self.options.share)
    }

    fn host_full(&self) -> Error {
        let detail = format!("{}: the host has no room for another instance", self.who());
        Error::new(Cause::HostFull, detail).retry_after(Duration::from_secs(1))
    }

    /// The limit that a guest which failed had run into, if any.
    pub(crate) fn limit_error(&self, state: &State) -> Option<Error> {
        let (cause, what) = match state.limits.refused() {
            Some(Limit::Memory) => {
                let limit = self.options.memory_limit >> 20;
                (Cause::GuestMemory, format!("needed more than its {limit} MiB of memory (memoryLimitMiB)"))
            }
            Some(_) => {
                let limit = self.options.table_limit;
                (Cause::GuestTable, format!("needed a table of more than its {limit} elements (tableLimit)"))
            }
            None if state.hooks.was_limited() => {
                let limit = self.options.egress.limit();
                (Cause::GuestOutbound, format!("had its {limit} outgoing connections open already (outboundLimit)"))
            }
            None => return None,
        };
        Some(Error::new(cause, format!("{} {what}", self.who())))
    }

    /// A response of so many bytes is more than it may send.
    pub(crate) fn response_error(&self) -> Error {
        self.usage.stop(Limit::Response);
        let limit = self.options.response_limit.unwrap_or_default() >> 20;
        let detail = format!("{} sent more than its {limit} MiB in one response (responseLimitMiB)", self.who());
        Error::new(Cause::ResponseTooLarge, detail)
    }

    /// The one place where a failed call or start gets its cause. `what` completes the sentence that starts with the
    /// component's name; `otherwise` is the cause if the store does not tell a better one.
    pub(crate) fn failure(&self, store: &Store<State>, error: &wasmtime::Error, what: &str, otherwise: Cause) -> Error {
        let state = store.data();
        if let Some(failure) = error.downcast_ref::<Error>() {
            return Error::new(failure.cause, failure.detail.clone());
        }
        if state.meter.is_exhausted() {
            let limit = self.options.cpu_limit.unwrap_or_default().as_millis();
            let detail = format!("{} used more than its {limit} ms of CPU for one call (cpuLimit)", self.who());
            return Error::new(Cause::GuestCpu, detail);
        }
        if let Some(error) = self.limit_error(state) {
            return error;
        }
        tracing::warn!(target: "guest", share = %self.options.share, component = %self.options.component, "{error:?}");
        let reason = match error.downcast_ref::<wasmtime::Trap>() {
            Some(trap) => trap.to_string(),
            None => error.root_cause().to_string(),
        };
        Error::new(otherwise, format!("{} {what}: {reason}", self.who()))
    }
}
