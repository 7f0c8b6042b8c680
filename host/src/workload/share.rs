//! One revision of one deployment on this host: from its images to instances that answer.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use http::HeaderValue;
use penstock_api::snapshot;
use penstock_router::{Backend, BackendFuture, Body, CallContext, Error, admit::Admission};
use thiserror::Error as ThisError;
use tokio::sync::{Notify, Semaphore};
use wasmtime::{
    Engine,
    component::{Component, Linker, types::ComponentItem},
};
use wasmtime_wasi_config::WasiConfigVariables;
use wasmtime_wasi_http::{p2, p3};

use super::{
    graph::{self, LinkError, Node},
    lend::{Room, times},
    link,
    load::Load,
    scratch::{Scratch, ScratchSpace},
};
use crate::{
    SpillStatus,
    capability::http::Egress,
    engine::{
        self,
        artifact::{ArtifactError, ArtifactStore, Compiled},
    },
    instance::{
        Entry, HeavyRuntime, Mount, Pool, PoolOptions, Retire, State, Template, TemplateOptions, Usage, Used, answer,
    },
    peer::{Passing, Peers},
};

/// What every share of a host is made with.
pub(crate) struct Services {
    pub(crate) engine: Engine,
    /// With everything that the host offers: filled once, copied for each component.
    pub(crate) linker: Linker<State>,
    pub(crate) artifacts: ArtifactStore,
    pub(crate) slots: Arc<Semaphore>,
    /// How many there are.
    pub(crate) all_slots: usize,
    /// Told when a call begins to wait.
    pub(crate) waiting: Arc<Notify>,
    pub(crate) heavy: Arc<HeavyRuntime>,
    /// Bytes of memory for a component that names no limit.
    pub(crate) default_memory: usize,
    /// Where empty volumes live.
    pub(crate) scratch: Arc<ScratchSpace>,
    /// Other hosts, if this one knows any.
    pub(crate) peers: Option<Arc<Peers>>,
}

/// Why a share did not start. The text is what a condition or a terminal shows.
#[derive(Debug, ThisError)]
pub enum StartError {
    /// An image could not be had or is not a component.
    #[error("component '{component}': {source}")]
    Artifact {
        /// Which component.
        component: String,
        /// Why.
        source: ArtifactError,
    },
    /// The components do not fit together.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A setting is not valid.
    #[error("component '{component}': {message}")]
    Settings {
        /// Which component.
        component: String,
        /// What is wrong.
        message: String,
    },
    /// No component of the workload answers HTTP.
    #[error(
        "no component of this workload exports wasi:http/incoming-handler@0.2 or wasi:http/handler@0.3 (found: {found}): export one of them, or route requests to another workload"
    )]
    NoHandler {
        /// What the components export instead.
        found: String,
    },
    /// wasmtime refused the component.
    #[error("component '{component}' cannot be linked: {message}")]
    Refused {
        /// Which component.
        component: String,
        /// What wasmtime says.
        message: String,
    },
    /// The first instance did not start.
    #[error("{0}")]
    Instance(String),
}

/// A share that is ready.
pub(crate) struct Share {
    /// Of the share's components those that answer HTTP, by name.
    handlers: BTreeMap<String, Arc<Handler>>,
    pub(crate) admission: Arc<Admission>,
    room: Arc<Room>,
    /// Whole-request deadline of calls whose route names none.
    pub(crate) request_timeout: Duration,
    /// Of all components, those without a pool among them.
    usages: Vec<Arc<Usage>>,
    spill: Option<Arc<Spill>>,
    /// As long as these are kept, others that ask for the same bytes share them.
    _components: Vec<Arc<Compiled>>,
    /// Empty volumes; removed with the share.
    _volumes: Scratch,
}

/// Numbers of one share.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ShareStats {
    /// Warm instances without a call.
    pub(crate) idle: usize,
    /// Instances, idle or not.
    pub(crate) alive: usize,
    /// Instances made so far.
    pub(crate) started: u64,
    /// Of these those that a call waited for.
    pub(crate) cold: u64,
    /// Calls that found a warm instance.
    pub(crate) reused: u64,
    /// Calls that ended in a trap.
    pub(crate) trapped: u64,
    /// Calls at once that its shared instances serve now.
    pub(crate) concurrency: usize,
    /// What all of its components have used.
    pub(crate) used: Used,
    /// What was passed on, and taken from others.
    pub(crate) spill: SpillStatus,
}

/// How a share's calls are passed on to other hosts, and whether they are.
struct Spill {
    passing: Arc<Passing>,
    on: AtomicBool,
}

// === impl Spill ===

impl Spill {
    fn passing(&self) -> Option<&Arc<Passing>> {
        self.on.load(Relaxed).then_some(&self.passing)
    }
}

struct Handler {
    name: Arc<str>,
    /// The share's id: two revisions of one deployment are two backends.
    id: Arc<str>,
    component: String,
    pool: Arc<Pool>,
    load: Arc<Load>,
    spill: Option<Arc<Spill>>,
}

impl Backend for Handler {
    fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> Option<&str> {
        Some(&self.id)
    }

    fn load_report(&self) -> Option<HeaderValue> {
        Some(self.load.report())
    }

    fn elsewhere(&self) -> Option<Box<dyn Backend>> {
        self.spill.as_ref()?.passing()?.elsewhere(&self.component, &self.name)
    }

    fn call<'a>(&'a self, request: http::Request<Body>, context: CallContext) -> BackendFuture<'a> {
        Box::pin(async move { answer(&self.pool, request, &context).await })
    }
}

impl Share {
    /// Fetches, compiles, links and warms a share's components.
    pub(crate) async fn start(spec: &snapshot::Share, services: &Services) -> Result<Self, StartError> {
        let components = fetch(spec, services).await?;
        let volumes = Scratch::new(spec, &services.scratch)?;
        let usages: Vec<Arc<Usage>> = spec.components.iter().map(|_| Arc::default()).collect();
        let templates =
            Templates { spec, services, components: &components, volumes: &volumes, usages: &usages }.build()?;
        let (name, id): (Arc<str>, Arc<str>) = (spec.deployment.as_str().into(), spec.id.as_str().into());
        let (mut answering, mut pools) = (Vec::new(), Vec::new());
        for (component, template) in spec.components.iter().zip(templates) {
            let Some(template) = template else { continue };
            let per_replica = component.pool_size.unwrap_or(0);
            let keep = times(per_replica, spec.replicas);
            let memory = template.options.memory_limit;
            let options = PoolOptions {
                keep,
                max_concurrency: component.max_concurrency.unwrap_or(1) as usize,
                retire: Retire {
                    invocations: component.max_invocations.unwrap_or(u32::MAX),
                    age: component.max_age_ms.map(Duration::from_millis),
                    memory: component.max_memory_mib.map_or(memory - memory / 4, |mib| (mib as usize) << 20),
                },
            };
            let pool = Pool::new(template, options);
            pool.warm().await.map_err(|error| StartError::Instance(error.detail))?;
            pools.push((pool.clone(), per_replica));
            answering.push((component.name.clone(), pool));
        }
        let room = Room::new(pools, (services.slots.clone(), services.all_slots), services.waiting.clone());
        room.resize(spec.capacity, spec.replicas, spec.standby);
        let admission = room.admission().clone();
        let load = Load::new(admission.clone(), room.pools().cloned().collect());
        let passing = services.peers.as_ref().map(|peers| peers.passing(&spec.id));
        let spill = passing.map(|passing| Arc::new(Spill { passing, on: AtomicBool::new(spec.capacity.spill) }));
        let handlers = answering.into_iter().map(|(component, pool)| {
            let (name, id, load, spill) = (name.clone(), id.clone(), load.clone(), spill.clone());
            (component.clone(), Arc::new(Handler { name, id, component, pool, load, spill }))
        });
        let (handlers, request_timeout) = (handlers.collect(), Duration::from_millis(spec.request_timeout_ms));
        Ok(Self {
            handlers,
            admission,
            room,
            request_timeout,
            usages,
            spill,
            _components: components,
            _volumes: volumes,
        })
    }

    /// How its calls are passed on, and peers' are taken; `None`: they are not.
    pub(crate) fn passing(&self) -> Option<&Arc<Passing>> {
        self.spill.as_ref()?.passing()
    }

    /// Changes the share's capacity while it serves.
    pub(crate) fn resize(&self, spec: &snapshot::Share) {
        self.room.resize(spec.capacity, spec.replicas, spec.standby);
        if let Some(spill) = &self.spill {
            spill.on.store(spec.capacity.spill, Relaxed);
        }
    }

    /// Replicas' worth of room that the host lends it now.
    pub(crate) fn lent(&self) -> u32 {
        self.room.lent()
    }

    /// The backend that a route means: the one it names, or the only one.
    pub(crate) fn backend(&self, component: Option<&str>) -> Result<Arc<dyn Backend>, String> {
        match component {
            Some(name) => self
                .handlers
                .get(name)
                .map(|handler| handler.clone() as Arc<dyn Backend>)
                .ok_or_else(|| format!("component '{name}' does not answer HTTP; these do: {}", self.names())),
            None => match (self.handlers.len(), self.handlers.values().next()) {
                (1, Some(only)) => Ok(only.clone()),
                _ => Err(format!("several components answer HTTP ({}): name the one that a route means", self.names())),
            },
        }
    }

    fn names(&self) -> String {
        self.handlers.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn stats(&self) -> ShareStats {
        let spill = self.spill.as_ref().map(|it| it.passing.status()).unwrap_or_default();
        let used = self.usages.iter().map(|usage| usage.read()).sum();
        let none = ShareStats { spill, used, ..ShareStats::default() };
        self.room.pools().map(|pool| pool.stats()).fold(none, |sum, pool| ShareStats {
            idle: sum.idle + pool.idle,
            alive: sum.alive + pool.alive,
            started: sum.started + pool.started,
            cold: sum.cold + pool.cold,
            reused: sum.reused + pool.reused,
            trapped: sum.trapped + pool.trapped,
            concurrency: sum.concurrency + pool.concurrency,
            ..sum
        })
    }

    /// Now and then: keeps its pools as they should be.
    pub(crate) fn tend(&self) {
        self.room.tend();
        for pool in self.room.pools() {
            pool.tend();
        }
    }

    /// What is wrong although it is ready, while it is.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.room.pools().find_map(|pool| pool.trouble())
    }
}

async fn fetch(spec: &snapshot::Share, services: &Services) -> Result<Vec<Arc<Compiled>>, StartError> {
    let all = spec.components.iter().map(async |component| match services.artifacts.load(&component.into()).await {
        Ok((fetched, compiled)) => {
            for warning in [&fetched.warning, &compiled.warning].into_iter().flatten() {
                tracing::warn!(share = %spec.id, component = %component.name, "{warning}");
            }
            Ok(compiled)
        }
        Err(source) => Err(StartError::Artifact { component: component.name.clone(), source }),
    });
    futures_util::future::try_join_all(all).await
}

struct Templates<'a> {
    spec: &'a snapshot::Share,
    services: &'a Services,
    components: &'a [Arc<Compiled>],
    volumes: &'a Scratch,
    usages: &'a [Arc<Usage>],
}

impl Templates<'_> {
    /// For each component the template that answers HTTP, if it does.
    fn build(&self) -> Result<Vec<Option<Arc<Template>>>, StartError> {
        let engine = &self.services.engine;
        let base = &self.services.linker;
        let nodes: Vec<Node> =
            self.spec.components.iter().zip(self.components).map(|(s, c)| node(engine, s, &c.component)).collect();
        let links = graph::resolve(&nodes, |index, import| self.offered(base, index, import))?;

        let mut providers: Vec<Option<Arc<Template>>> = vec![None; nodes.len()];
        let mut handlers: Vec<Option<Arc<Template>>> = vec![None; nodes.len()];
        for &index in &links.order {
            let (Some(node), Some(component), Some(of)) =
                (nodes.get(index), self.component(index), links.of.get(index))
            else {
                continue;
            };
            // To copy it costs more than to link: only where siblings are to be added.
            let mut own = None;
            let mut siblings = Vec::new();
            for link in of {
                let (Some(provider), Some(exporting), Some(Some(template))) =
                    (nodes.get(link.provider), self.component(link.provider), providers.get(link.provider))
                else {
                    continue;
                };
                // One instance of a sibling serves all the interfaces that its caller takes from it.
                let slot = siblings.iter().position(|known| Arc::ptr_eq(known, template)).unwrap_or_else(|| {
                    siblings.push(template.clone());
                    siblings.len() - 1
                });
                let linker = own.get_or_insert_with(|| base.clone());
                linker.allow_shadowing(true);
                link::define(linker, (&node.name, component), (&provider.name, exporting), link, slot)?;
            }
            let linker = own.as_ref().unwrap_or(base);
            let pre = linker.instantiate_pre(component).map_err(|error| self.refused(index, &error))?;
            let options = self.options(index)?;
            let usage = self.usages.get(index).cloned().unwrap_or_default();
            let make = |entry| {
                Arc::new(Template {
                    engine: engine.clone(),
                    entry,
                    options: options.clone(),
                    links: siblings.clone(),
                    slots: self.services.slots.clone(),
                    lane: self.services.heavy.lane(&self.spec.deployment),
                    usage: usage.clone(),
                })
            };
            let entry = if exports(node, "wasi:http/handler@0.3.0") {
                Some(Entry::P3(
                    p3::bindings::ServicePre::new(pre.clone()).map_err(|error| self.refused(index, &error))?,
                ))
            } else if exports(node, "wasi:http/incoming-handler@0.2.0") {
                Some(Entry::P2(p2::bindings::ProxyPre::new(pre.clone()).map_err(|error| self.refused(index, &error))?))
            } else {
                None
            };
            if let Some(place) = handlers.get_mut(index) {
                *place = entry.map(&make);
            }
            if let Some(place) = providers.get_mut(index) {
                *place = Some(make(Entry::None(pre)));
            }
        }
        if handlers.iter().all(Option::is_none) {
            let found: Vec<&str> = nodes.iter().flat_map(|node| &node.exports).map(String::as_str).collect();
            let found = if found.is_empty() { "no exports at all".to_owned() } else { found.join(", ") };
            return Err(StartError::NoHandler { found });
        }
        Ok(handlers)
    }

    fn component(&self, index: usize) -> Option<&Component> {
        self.components.get(index).map(|compiled| &compiled.component)
    }

    /// Whether the host satisfies an import: tried on the linker itself, whose version rules are the ones that count.
    fn offered(&self, base: &Linker<State>, index: usize, import: &str) -> bool {
        let Some(component) = self.component(index) else { return false };
        match base.instantiate_pre(component) {
            Ok(_) => true,
            // wasmtime names the one import that it misses; any other may well be there.
            Err(error) => !format!("{error:?}").contains(&format!("`{import}`")),
        }
    }

    fn options(&self, index: usize) -> Result<TemplateOptions, StartError> {
        let Some(spec) = self.spec.components.get(index) else {
            return Err(StartError::Instance("internal: a component without a description".to_owned()));
        };
        let settings = |message: String| StartError::Settings { component: spec.name.clone(), message };
        let egress =
            Egress::parse(&spec.allowed_hosts, spec.outbound_limit).map_err(|error| settings(error.to_string()))?;
        let mounts = spec
            .volume_mounts
            .iter()
            .map(|mount| {
                let host = self.volumes.path(&mount.name).ok_or_else(|| {
                    settings(format!(
                        "volumeMounts names the volume '{}', which the workload does not have",
                        mount.name
                    ))
                })?;
                Ok(Mount { host, guest: mount.mount_path.clone(), read_only: mount.read_only })
            })
            .collect::<Result<_, StartError>>()?;
        Ok(TemplateOptions {
            share: self.spec.id.as_str().into(),
            component: spec.name.as_str().into(),
            environment: spec.environment.clone().into_iter().collect(),
            config: Arc::new(WasiConfigVariables::from_iter(spec.config.clone())),
            egress: Arc::new(egress),
            memory_limit: spec.memory_limit_mib.map_or(self.services.default_memory, |mib| (mib as usize) << 20),
            cpu_limit: spec.cpu_limit_ms.map(Duration::from_millis),
            table_limit: spec.table_limit.map_or(engine::TABLE_ELEMENTS, |limit| limit as usize),
            response_limit: spec.response_limit_mib.map(|mib| u64::from(mib) << 20),
            mounts,
        })
    }

    fn refused(&self, index: usize, error: &wasmtime::Error) -> StartError {
        let component = self.spec.components.get(index).map(|component| component.name.clone()).unwrap_or_default();
        StartError::Refused { component, message: format!("{error:#}") }
    }
}

fn exports(node: &Node, interface: &str) -> bool {
    node.exports.iter().any(|export| graph::compatible(interface, export))
}

fn node(engine: &Engine, spec: &snapshot::Component, component: &Component) -> Node {
    let ty = component.component_type();
    let interface = |(name, item): (&str, &ComponentItem)| {
        matches!(item, ComponentItem::ComponentInstance(_)).then(|| name.to_owned())
    };
    Node {
        name: spec.name.clone(),
        imports: ty.imports(engine).filter_map(|(name, item)| interface((name, &item.ty))).collect(),
        exports: ty.exports(engine).filter_map(|(name, item)| interface((name, &item.ty))).collect(),
    }
}

/// A failed call is an [`Error`] of the router's; a failed start shows only its sentence.
impl From<Error> for StartError {
    fn from(error: Error) -> Self {
        Self::Instance(error.detail)
    }
}
