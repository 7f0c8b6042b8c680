//! The admin pages: health, status, routes and explanations, as JSON on a port of their own.

use std::{collections::BTreeMap, convert::Infallible, io, net::SocketAddr, str::FromStr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use penstock_router::{
    route::{Explanation, RequestKey, normalise},
    serve::Action,
};
use serde::Serialize;
use tokio::net::TcpListener;

use super::{Host, ShareState, metrics};

/// How long a client of the admin port may take for its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// One line of `/v1/routes`, in the order in which requests are matched.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    listener: String,
    generation: u64,
    host: String,
    matches: String,
    route: String,
    rule: usize,
    backends: Vec<BackendRow>,
}

#[derive(Debug, Serialize)]
struct BackendRow {
    name: String,
    weight: u32,
}

/// The answer of `/v1/explain` for one listener.
#[derive(Debug, Serialize)]
struct ExplainRow {
    listener: String,
    generation: u64,
    #[serde(flatten)]
    explanation: Explanation,
}

pub(super) async fn serve(host: Arc<Host>, address: SocketAddr) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let mut done = host.done.clone();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = done.wait_for(|done| *done) => return,
            };
            let Ok((stream, _)) = accepted else {
                // Out of descriptors, say: it passes.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let host = host.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let response = answer(&host, &request);
                    async move { Ok::<_, Infallible>(response) }
                });
                let mut http = hyper::server::conn::http1::Builder::new();
                http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
                if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
                    tracing::debug!(%error, "an admin connection ended");
                }
            });
        }
    });
    Ok(address)
}

fn answer(host: &Host, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "the admin pages answer GET only\n");
    }
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "ok\n"),
        "/readyz" => ready(host),
        "/metrics" => respond(StatusCode::OK, metrics::TEXT, metrics::page(host).into()),
        "/v1/status" => json(&*host.status.borrow()),
        "/v1/routes" => json(&routes(host)),
        "/v1/explain" => match explain(host, request.uri().query().unwrap_or_default()) {
            Ok(rows) => json(&rows),
            Err(message) => text(StatusCode::BAD_REQUEST, message),
        },
        _ => text(StatusCode::NOT_FOUND, "pages: /livez /readyz /metrics /v1/status /v1/routes /v1/explain\n"),
    }
}

/// Ready: it has been told what to run, all of that has been tried, and it is not about to stop. Once ready it stays so
/// until it leaves: a workload that fails, or one more that loads, is no reason to take its neighbours' host away.
fn ready(host: &Host) -> Response<Full<Bytes>> {
    let status = host.status.borrow();
    if status.leaving {
        return text(StatusCode::SERVICE_UNAVAILABLE, "the host is about to stop\n");
    }
    if status.version > 0 {
        return text(StatusCode::OK, "ok\n");
    }
    let loading =
        status.shares.iter().filter(|(_, share)| share.state == ShareState::Loading).map(|(id, _)| id.as_str());
    let waiting: Vec<&str> = loading.collect();
    let trouble = host.metrics.get().and_then(|metrics| metrics.trouble());
    let waiting = match (waiting.is_empty(), trouble) {
        (false, _) => waiting.join(", "),
        (true, None) => "the first snapshot".to_owned(),
        (true, Some(trouble)) => format!("the first snapshot (no stream to the operator: {trouble})"),
    };
    text(StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {waiting}\n"))
}

fn routes(host: &Host) -> Vec<Row> {
    let mut rows = Vec::new();
    for (listener, handle) in &**host.directory.load() {
        let generation = handle.current();
        rows.extend(generation.table.rows().map(|row| Row {
            listener: listener.clone(),
            generation: generation.number,
            host: row.host.map_or_else(|| "*".to_owned(), ToString::to_string),
            matches: row.matches.to_string(),
            route: row.route.to_string(),
            rule: row.rule,
            backends: backends(row.action),
        }));
    }
    rows
}

fn backends(action: &Action) -> Vec<BackendRow> {
    let targets = action.backends.targets();
    targets.map(|target| BackendRow { name: target.backend.name().to_owned(), weight: target.weight }).collect()
}

/// `method`, `url`, any number of `header=Name:Value`, and `listener` to ask one listener only.
fn explain(host: &Host, query: &str) -> Result<Vec<ExplainRow>, String> {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        fields.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    let one = |name: &str| fields.get(name).and_then(|values| values.first()).map(String::as_str);
    let url = one("url").ok_or("explain needs url=, for example ?method=GET&url=http://localhost/api\n")?;
    let url = Uri::from_str(url).map_err(|error| format!("url: {error}\n"))?;
    let method = Method::from_str(one("method").unwrap_or("GET")).map_err(|error| format!("method: {error}\n"))?;
    let mut headers = HeaderMap::new();
    for header in fields.get("header").into_iter().flatten() {
        let (name, value) =
            header.split_once(':').ok_or_else(|| format!("header: '{header}' is not 'Name: value'\n"))?;
        let name = HeaderName::from_str(name.trim()).map_err(|error| format!("header '{name}': {error}\n"))?;
        headers.append(name, HeaderValue::from_str(value.trim()).map_err(|error| format!("header value: {error}\n"))?);
    }
    let authority = url.authority().map(ToString::to_string).unwrap_or_default();
    let authority = match headers.get(header::HOST) {
        Some(host) => host.to_str().map_err(|error| format!("header Host: {error}\n"))?.to_owned(),
        None => authority,
    };
    let path = normalise(url.path()).map_err(|error| format!("url: {error}\n"))?;
    let key = RequestKey { host: &authority, path: &path, query: url.query(), method: &method, headers: &headers };
    let wanted = one("listener");
    Ok(host
        .directory
        .load()
        .iter()
        .filter(|(name, _)| wanted.is_none_or(|wanted| wanted == name.as_str()))
        .map(|(name, handle)| {
            let generation = handle.current();
            ExplainRow {
                listener: name.clone(),
                generation: generation.number,
                explanation: generation.table.explain(&key),
            }
        })
        .collect())
}

fn json(value: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec(value) {
        Ok(body) => respond(StatusCode::OK, "application/json", body.into()),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn text(status: StatusCode, body: impl Into<String>) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", body.into().into())
}

fn respond(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
