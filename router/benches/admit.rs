//! What admission costs: at once on one thread, at once on all threads, and handed over.

#![allow(clippy::expect_used, clippy::panic, reason = "a benchmark that cannot run ends")]

use std::{
    future::Future,
    hint::black_box,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
    time::Instant,
};

use criterion::{Criterion, criterion_group, criterion_main};
use penstock_router::admit::{Admission, Limits};

fn admit(c: &mut Criterion) {
    let admission = Admission::new(Limits::default());
    c.bench_function("admit/at once", |b| b.iter(|| black_box(admission.try_admit())));
    c.bench_function("admit/at once, two threads", |b| {
        b.iter_custom(|count| {
            let start = Instant::now();
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| (0..count).for_each(|_| drop(black_box(admission.try_admit()))));
                }
            });
            start.elapsed()
        });
    });
    let full = Admission::new(Limits { concurrency: 0, queue_depth: 0, ..Limits::default() });
    let mut cx = Context::from_waker(std::task::Waker::noop());
    c.bench_function("admit/refused", |b| b.iter(|| assert!(pin!(full.admit(None)).poll(&mut cx).is_ready())));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _entered = runtime.enter();
    let one = Admission::new(Limits { concurrency: 1, ..Limits::default() });
    c.bench_function("admit/handed over", |b| {
        let mut held = one.try_admit();
        b.iter(|| {
            let one = Arc::clone(&one);
            let mut waiting = pin!(one.admit(None));
            assert!(waiting.as_mut().poll(&mut cx).is_pending());
            drop(held.take());
            let Poll::Ready(Ok(permit)) = waiting.as_mut().poll(&mut cx) else { panic!("handed over") };
            held = Some(permit);
        });
    });
}

criterion_group!(benches, admit);
criterion_main!(benches);
