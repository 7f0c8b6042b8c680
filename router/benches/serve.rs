//! What a request costs on a connection that stays, from a client's write to its read, with and without what components are
//! told of where it comes from: `cargo bench -p penstock-router --bench serve`.

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot be set up has nothing to say")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use penstock_router::{
    Action, Backend, BackendFuture, Body, CallContext, Listener, ListenerConfig, Networks, Table, TableHandle, Target,
    admit::{Admission, Limits},
    drain,
    listen::{Forwarding, TraceContext},
    route::{Match, Route, Rule},
};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a.example\r\nUser-Agent: bench\r\nAccept: */*\r\n";

/// Requests in one turn: a pipeline, so that the sockets and the scheduler matter less than the requests.
const PIPELINED: usize = 64;

struct Hello;

impl Backend for Hello {
    fn name(&self) -> &str {
        "bench/hello"
    }

    fn call<'a>(&'a self, _: Request<Body>, _: CallContext) -> BackendFuture<'a> {
        Box::pin(std::future::ready(Ok(Response::new("!".into()))))
    }
}

fn listen(config: ListenerConfig) -> SocketAddr {
    let admission = Admission::new(Limits::default());
    let target = Target { backend: Arc::new(Hello), admission, filters: None, weight: 1 };
    let action = Action { backends: target.into(), ..Action::default() };
    let rules = vec![Rule { name: None, matches: vec![Match::default()], action }];
    let table = Table::compile(vec![Route { name: "bench/all".into(), created: None, hostnames: Vec::new(), rules }]);
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), config, TableHandle::new(table), Arc::new(())).unwrap();
    let address = listener.local_addr();
    tokio::spawn(async move {
        let (_signal, watch) = drain::channel();
        listener.serve(watch).await;
    });
    address
}

fn serve(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let off = ListenerConfig {
        forwarding: Forwarding::Off,
        trace_context: TraceContext::Off,
        request_id: false,
        ..ListenerConfig::new("bench")
    };
    let trusted: Networks = ["127.0.0.1".parse().unwrap()].into_iter().collect();
    let gateway = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Request-Id: 1234567890abcdef\r\n\
                   traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    let mut group = criterion.benchmark_group("serve");
    group.throughput(criterion::Throughput::Elements(PIPELINED as u64));
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
    for (name, config, more) in [
        ("nothing told", off.clone(), ""),
        ("way", ListenerConfig { forwarding: Forwarding::XForwarded, ..off.clone() }, ""),
        ("trace", ListenerConfig { trace_context: TraceContext::default(), ..off.clone() }, ""),
        ("request id", ListenerConfig { request_id: true, ..off }, ""),
        ("default", ListenerConfig::new("bench"), ""),
        ("default, forged", ListenerConfig::new("bench"), gateway),
        ("trusted gateway", ListenerConfig { trusted, ..ListenerConfig::new("bench") }, gateway),
    ] {
        let mut client = TcpStream::connect(listen(config)).unwrap();
        client.set_nodelay(true).unwrap();
        let requests = format!("{REQUEST}{more}\r\n").repeat(PIPELINED);
        let mut buffer = vec![0; 1 << 16];
        let mut answers = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                client.write_all(requests.as_bytes()).unwrap();
                while answers < PIPELINED {
                    let read = client.read(&mut buffer).unwrap();
                    assert!(read > 0, "the listener closed");
                    // No header of ours holds the body's only letter.
                    answers += memchr::memchr_iter(b'!', &buffer[..read]).count();
                }
                answers -= PIPELINED;
            });
        });
    }
    group.finish();
}

criterion_group!(benches, serve);
criterion_main!(benches);
