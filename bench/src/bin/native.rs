//! Penstock's router, whole: 10,000 routes over 100 hostnames and 100 backends, admission, limits, deadlines, and a
//! backend that answers at once with the same static body as `plain_hyper`.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use penstock_bench::{BODY, routes};
use penstock_router::{
    Action, Backend, BackendFuture, Body, CallContext, Listener, ListenerConfig, Table, TableHandle, Target, Weighted,
    admit::{Admission, Limits},
    drain,
    route::{Match, PathMatch, Route, Rule},
};

/// Backends; each has its own admission.
const BACKENDS: usize = 100;

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

fn table() -> Result<Table> {
    let limits = Limits { concurrency: 1_000, queue_depth: 1_000, queue_timeout: Duration::from_secs(5) };
    let backends: Vec<(Arc<dyn Backend>, _)> = (0..BACKENDS)
        .map(|n| (Arc::new(Static(format!("bench/backend-{n}"))) as Arc<dyn Backend>, Admission::new(limits)))
        .collect();
    let mut all = Vec::with_capacity(routes::ROUTES);
    for n in 0..routes::ROUTES {
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
    let table = TableHandle::new(table()?);
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(address, ListenerConfig::new("bench"), table, Arc::new(()))?;
    println!("listening on {}", listener.local_addr());
    // Never drained: the comparison kills it.
    let (_signal, watch) = drain::channel();
    listener.serve(watch).await;
    Ok(())
}
