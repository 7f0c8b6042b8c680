//! What a swap of the route table costs, to whoever swaps and to the requests meanwhile:
//! `cargo bench -p penstock-router --bench swap`.

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot be set up has nothing to say")]

use std::{
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use penstock_router::{
    Action, Table, TableHandle,
    route::{Match, PathMatch, Route, Rule},
};

const SIZES: [usize; 3] = [10, 1_000, 100_000];

fn table(size: usize) -> Table {
    let route = |n: usize| {
        let path = PathMatch::prefix(&format!("/app-{}", n / 100)).unwrap();
        Route {
            name: format!("bench/route-{n}").into(),
            created: None,
            hostnames: vec![format!("service-{}.example.com", n % 100).parse().unwrap()],
            rules: vec![Rule {
                name: None,
                matches: vec![Match { path, ..Match::default() }],
                action: Action::default(),
            }],
        }
    };
    Table::compile((0..size).map(route).collect())
}

/// The publication itself: the next table is built already, and freeing the old one is left to a pool.
fn publish(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let _inside = runtime.enter();
    let mut group = criterion.benchmark_group("swap");
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    for size in SIZES {
        let handle = TableHandle::new(table(size));
        group.bench_with_input(BenchmarkId::from_parameter(size), &size, |bencher, &size| {
            bencher.iter_batched(|| table(size), |next| handle.swap(next), BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// What a request pays to hold the current generation: alone, and while another thread swaps as fast as it can.
fn current(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("current");
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    let handle = TableHandle::new(table(10));
    group.bench_function("quiet", |bencher| bencher.iter(|| black_box(handle.current().number)));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut next = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                handle.swap(Table::default());
                // 1,000 a second: ten times what the project promises to bear.
                next += Duration::from_millis(1);
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        group.bench_function("1,000 swaps a second", |bencher| bencher.iter(|| black_box(handle.current().number)));
        stop.store(true, Ordering::Relaxed);
    });
    group.finish();
}

criterion_group!(benches, publish, current);
criterion_main!(benches);
