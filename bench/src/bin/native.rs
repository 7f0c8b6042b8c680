//! Penstock's router, whole: 10,000 routes over 100 hostnames and 100 backends, admission, limits, deadlines, and a
//! backend that answers at once with the same static body as `plain_hyper`.
//!
//! With a certificate it has a port with TLS beside the plain one. With `--swap-every` it builds its table anew all the time, as a
//! host does whose routes change, and says how long each took.

use std::{
    convert::Infallible,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use bytes::Bytes;
use clap::Parser;
use http::{HeaderValue, Request, Response, header};
use penstock_bench::{BODY, routes};
use penstock_router::{
    Action, Backend, BackendFuture, Body, CallContext, Listener, ListenerConfig, Table, TableHandle, Target, Weighted,
    admit::{Admission, Limits},
    background, drain,
    route::{Match, PathMatch, Route, Rule},
    tls::{Certificate, ClientCertificates, Tls, TlsConfig, TlsHandle},
};

/// Backends; each has its own admission.
const BACKENDS: usize = 100;

/// Penstock's router with a backend that answers at once.
#[derive(Debug, Parser)]
struct Arguments {
    /// Routes in the table.
    #[arg(long, default_value_t = routes::ROUTES)]
    routes: usize,
    /// A certificate for a second port, with TLS.
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// Its private key.
    #[arg(long)]
    key: Option<PathBuf>,
    /// Builds and swaps the table so often, in milliseconds from swap to swap.
    #[arg(long)]
    swap_every: Option<u64>,
    /// Where it builds them.
    #[arg(long, value_enum, default_value = "background")]
    swap_on: SwapOn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum SwapOn {
    /// A thread of low priority, as a host does.
    Background,
    /// A thread beside those that serve, with the same priority.
    Thread,
    /// One of those that serve, which serves nobody meanwhile: what a task does that builds a table itself.
    Worker,
}

struct Static(String);

impl Backend for Static {
    fn name(&self) -> &str {
        &self.0
    }

    fn call<'a>(&'a self, _: Request<Body>, _: CallContext) -> BackendFuture<'a> {
        Box::pin(async {
            let mut response = Response::new(Bytes::from_static(BODY.as_bytes()).into());
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            Ok(response)
        })
    }
}

fn table(size: usize) -> Result<Table> {
    let limits = Limits { concurrency: 1_000, queue_depth: 1_000, queue_timeout: Duration::from_secs(5) };
    let backends: Vec<(Arc<dyn Backend>, _)> = (0..BACKENDS)
        .map(|n| (Arc::new(Static(format!("bench/backend-{n}"))) as Arc<dyn Backend>, Admission::new(limits)))
        .collect();
    let mut all = Vec::with_capacity(size);
    for n in 0..size {
        let (backend, admission) = &backends[n % BACKENDS];
        let target = Target { backend: backend.clone(), admission: admission.clone(), filters: None, weight: 1 };
        let path = PathMatch::prefix(&routes::prefix(n))?;
        all.push(Route {
            name: format!("bench/route-{n}").into(),
            created: None,
            hostnames: vec![routes::host(n).parse()?],
            rules: vec![Rule {
                name: None,
                matches: vec![Match { path, ..Match::default() }],
                action: Action { backends: Weighted::from(target), ..Action::default() },
            }],
        });
    }
    Ok(Table::compile(all))
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let handle = TableHandle::new(table(arguments.routes)?);
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    // Never drained: the comparison kills it.
    let (_signal, watch) = drain::channel();
    let listener = Listener::bind(address, ListenerConfig::new("bench"), handle.clone(), Arc::new(()))?;
    println!("listening on {}", listener.local_addr());
    if let (Some(certificate), Some(key)) = (&arguments.certificate, &arguments.key) {
        let config = ListenerConfig { tls: Some(tls(certificate, key)?), ..ListenerConfig::new("bench-tls") };
        let listener = Listener::bind(address, config, handle.clone(), Arc::new(()))?;
        println!("with TLS on {}", listener.local_addr());
        tokio::spawn(listener.serve(watch.clone()));
    }
    if let Some(pause) = arguments.swap_every.map(Duration::from_millis) {
        tokio::spawn(keep_swapping(handle, arguments, pause));
    }
    listener.serve(watch).await;
    Ok(())
}

/// Ends only by failing.
async fn keep_swapping(handle: TableHandle, arguments: Arguments, pause: Duration) -> Result<Infallible> {
    let swap = move || -> Result<()> {
        let started = Instant::now();
        let next = table(arguments.routes)?;
        let built = started.elapsed();
        handle.swap(next);
        println!("swapped: built in {:.1} ms", built.as_secs_f64() * 1e3);
        Ok(())
    };
    loop {
        match arguments.swap_on {
            SwapOn::Background => background::run(swap.clone()).await?,
            SwapOn::Thread => tokio::task::spawn_blocking(swap.clone()).await??,
            SwapOn::Worker => swap()?,
        }
        tokio::time::sleep(pause).await;
    }
}

fn tls(certificate: &Path, key: &Path) -> Result<TlsHandle> {
    let (chain, key) = (fs::read_to_string(certificate)?, fs::read_to_string(key)?);
    let certificate = Certificate { name: "bench".into(), chain, key };
    let config = TlsConfig { certificates: vec![certificate], clients: ClientCertificates::Ignored };
    Ok(TlsHandle::new(Tls::new(&config, None)?))
}
