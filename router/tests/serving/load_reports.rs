//! Responses that say how loaded their backend is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use crate::server::{Server, backend, ok};
use http::{HeaderValue, Request, Response};
use penstock_router::{Backend, BackendFuture, Body, CallContext, Cause, Error, ListenerConfig};

/// Counts how often it is asked.
struct Loaded(Arc<AtomicUsize>);

impl Backend for Loaded {
    fn name(&self) -> &str {
        "test/loaded"
    }

    fn load_report(&self) -> Option<HeaderValue> {
        self.0.fetch_add(1, SeqCst);
        Some(HeaderValue::from_static("TEXT application_utilization=0.5"))
    }

    fn call<'a>(&'a self, request: Request<Body>, _: CallContext) -> BackendFuture<'a> {
        Box::pin(async move {
            if request.uri().path() == "/trap" {
                return Err(Error::new(Cause::GuestTrap, "it trapped"));
            }
            let mut response = Response::new(Body::from("fine"));
            response.headers_mut().insert("endpoint-load-metrics", HeaderValue::from_static("TEXT cpu_utilization=9"));
            Ok(response)
        })
    }
}

#[tokio::test]
async fn a_report_stands_in_responses_if_that_is_asked_for() {
    for load_reports in [true, false] {
        let asked = Arc::new(AtomicUsize::new(0));
        let backend: Arc<dyn Backend> = Arc::new(Loaded(Arc::clone(&asked)));
        let config = ListenerConfig { load_reports, ..ListenerConfig::new("test") };
        let server = Server::with_config(&backend, config);
        let mut raw = server.connect().await;
        let (answer, error) = (raw.get("/").await, raw.get("/trap").await);
        assert_eq!((answer.status, error.status), (200, 502));
        // What a component says of itself is not taken for what is known of it.
        let own = if load_reports { "TEXT application_utilization=0.5" } else { "TEXT cpu_utilization=9" };
        assert!(answer.has(&format!("endpoint-load-metrics: {own}")), "{answer:?}");
        assert_eq!(error.head.contains("endpoint-load-metrics"), load_reports, "{error:?}");
        assert_eq!(asked.load(SeqCst), if load_reports { 2 } else { 0 });
    }
}

#[tokio::test]
async fn what_has_no_load_says_nothing() {
    let config = ListenerConfig { load_reports: true, ..ListenerConfig::new("test") };
    let server = Server::with_config(&backend(|_, _| async { ok("fine") }), config);
    let answer = server.connect().await.get("/").await;
    assert!(answer.status == 200 && !answer.head.contains("endpoint-load-metrics"), "{answer:?}");
}
