//! One request of a case, and what has to come of it: at the backend and at the client.

use std::{io::Write as _, net::SocketAddr, process::Stdio};

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::Full;
use penstock_tests::http;
use serde::Deserialize;

use super::encrypted;

/// Whom requests are for that say nothing of it.
const HOST: &str = "conformance.example";

/// A request, and what has to come of it.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// To which Service of the case, and to which of its ports.
    pub(crate) front: &'static str,
    pub(crate) port: u16,
    way: Way,
    method: Method,
    path: &'static str,
    host: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    /// Whether the backend is asked to answer with what it was asked.
    dumps: bool,
    /// Whether a filter of its rule asks for that.
    dumped: bool,
    wanted: Wanted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Http1,
    Http2,
    /// HTTPS, with the host that the handshake names.
    Tls(&'static str),
}

#[derive(Clone, Debug, Default)]
struct Wanted {
    /// None: 200.
    statuses: Vec<u16>,
    grpc: Option<u16>,
    location: Option<&'static str>,
    /// Headers of the response, each with the values that it may have.
    headers: Vec<(&'static str, Vec<&'static str>)>,
    absent: Vec<&'static str>,
    /// What the backend says of itself and of the request. None: as the client sent it.
    backend: Option<&'static str>,
    path: Option<&'static str>,
    host: Option<&'static str>,
    seen: Vec<(&'static str, &'static str)>,
    unseen: Vec<&'static str>,
}

/// What a kitchen answers to `x-dump`.
#[derive(Debug, Deserialize)]
struct Seen {
    name: String,
    method: String,
    authority: String,
    path: String,
    headers: Vec<(String, String)>,
}

pub(crate) fn ask(method: Method, path: &'static str) -> Ask {
    Ask {
        front: "",
        port: 80,
        way: Way::Http1,
        method,
        path,
        host: HOST,
        headers: Vec::new(),
        dumps: true,
        dumped: false,
        wanted: Wanted::default(),
    }
}

pub(crate) fn get(path: &'static str) -> Ask {
    ask(Method::GET, path)
}

/// A gRPC call of `/service/method`.
pub(crate) fn call(path: &'static str) -> Ask {
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    ask(Method::POST, path).http2().with(&headers)
}

// === impl Ask ===

impl Ask {
    // === the request ===

    /// To another Service of the case.
    pub(crate) fn to(mut self, front: &'static str) -> Self {
        self.front = front;
        self
    }

    pub(crate) fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    pub(crate) fn host(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }

    pub(crate) fn with(mut self, headers: &[(&'static str, &'static str)]) -> Self {
        self.headers.extend(headers);
        self
    }

    /// HTTP/2 with prior knowledge.
    pub(crate) fn http2(mut self) -> Self {
        self.way = Way::Http2;
        self
    }

    /// HTTPS to port 443, on a connection for this host.
    pub(crate) fn tls(mut self, host: &'static str) -> Self {
        self.way = Way::Tls(host);
        self.port = 443;
        self
    }

    /// The backend does what the path says, in place of a dump.
    pub(crate) fn plain(mut self) -> Self {
        self.dumps = false;
        self
    }

    // === what comes of it ===

    /// Answered by this backend, which has seen the request as it was sent unless something else is said.
    pub(crate) fn from(mut self, backend: &'static str) -> Self {
        self.wanted.backend = Some(backend);
        self
    }

    pub(crate) fn status(self, status: u16) -> Self {
        self.statuses(&[status])
    }

    /// One of these.
    pub(crate) fn statuses(mut self, statuses: &[u16]) -> Self {
        self.wanted.statuses.extend(statuses);
        self
    }

    /// A status of gRPC in the head of the response.
    pub(crate) fn grpc_status(mut self, status: u16) -> Self {
        self.wanted.grpc = Some(status);
        self
    }

    /// A redirect to there. The port is left out if it is the scheme's own.
    pub(crate) fn redirects(mut self, status: u16, location: &'static str) -> Self {
        self.wanted.location = Some(location);
        self.status(status)
    }

    /// A header of the response: one of these values, white space aside.
    pub(crate) fn answers(mut self, name: &'static str, values: &[&'static str]) -> Self {
        self.wanted.headers.push((name, values.to_vec()));
        self
    }

    pub(crate) fn answers_no(mut self, name: &'static str) -> Self {
        self.wanted.absent.push(name);
        self
    }

    /// The request itself asks for no dump: its rule does.
    pub(crate) fn dumped_by_rule(mut self) -> Self {
        self.dumped = true;
        self
    }

    /// No backend has seen it: kitchens sign what they answer.
    pub(crate) fn ends_here(mut self) -> Self {
        self.dumps = false;
        self.headers.push(("x-dump", "1"));
        self.answers_no("x-component")
    }

    pub(crate) fn sees_path(mut self, path: &'static str) -> Self {
        self.wanted.path = Some(path);
        self
    }

    pub(crate) fn sees_host(mut self, host: &'static str) -> Self {
        self.wanted.host = Some(host);
        self
    }

    /// Headers at the backend; several lines of one are joined by a comma.
    pub(crate) fn sees(mut self, headers: &[(&'static str, &'static str)]) -> Self {
        self.wanted.seen.extend(headers);
        self
    }

    pub(crate) fn sees_no(mut self, names: &[&'static str]) -> Self {
        self.wanted.unseen.extend(names);
        self
    }

    // === sending and judging ===

    /// Sends it to an address of its Service.
    pub(crate) async fn check(&self, address: SocketAddr) -> Result<()> {
        let answer = self.send(address).await.with_context(|| self.to_string())?;
        self.judge(&answer).with_context(|| {
            let body = String::from_utf8_lossy(answer.body());
            format!("{self}: {} {:?} {:?}", answer.status(), answer.headers(), body.trim())
        })
    }

    pub(crate) async fn send(&self, address: SocketAddr) -> Result<Response<Bytes>> {
        if let Way::Tls(name) = self.way {
            return self.curl(address, name).await;
        }
        let mut request = Request::builder().method(self.method.clone());
        for (name, value) in self.sent() {
            request = request.header(name, value);
        }
        if self.way == Way::Http2 {
            // The empty message of a gRPC call; other requests have no body.
            let message: &[u8] = if self.method == Method::POST { &[0; 5] } else { &[] };
            let request = request.uri(format!("http://{}{}", self.host, self.path));
            return http::send_h2c(address, request.body(Full::from(message))?).await;
        }
        let request = request.uri(self.path).header(header::HOST, self.host);
        http::send(address, request.body(Full::default())?).await
    }

    fn sent(&self) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
        self.headers.iter().copied().chain((self.dumps && !self.dumped).then_some(("x-dump", "1")))
    }

    async fn curl(&self, address: SocketAddr, name: &str) -> Result<Response<Bytes>> {
        let authority = encrypted::authority()?;
        let mut ca = tempfile::NamedTempFile::new()?;
        ca.write_all(authority.pem.as_bytes())?;
        let mut command = tokio::process::Command::new("curl");
        command.args(["-sS", "--include", "--max-time", "10", "--request", self.method.as_str(), "--cacert"]);
        command.arg(ca.path()).arg("--resolve").arg(format!("{name}:{}:{}", address.port(), address.ip()));
        if !authority.knows(name) {
            command.arg("--insecure");
        }
        for (name, value) in self.sent().chain([("host", self.host)]) {
            command.arg("--header").arg(format!("{name}: {value}"));
        }
        command.arg(format!("https://{name}:{}{}", address.port(), self.path));
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.context("curl")?;
        ensure!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr).trim());
        parse(&output.stdout)
    }

    pub(crate) fn judge(&self, answer: &Response<Bytes>) -> Result<()> {
        let Wanted { statuses, grpc, location, headers, absent, .. } = &self.wanted;
        let statuses: &[u16] = if statuses.is_empty() { &[200] } else { statuses };
        ensure!(statuses.contains(&answer.status().as_u16()), "not {statuses:?}");
        let has = joined(answer.headers(), "grpc-status")?;
        ensure!(has == grpc.map(|it| it.to_string()), "not the grpc-status {grpc:?}");
        for (name, values) in headers {
            let has = joined(answer.headers(), name)?.with_context(|| format!("no {name}"))?;
            ensure!(values.iter().any(|it| close(it) == close(&has)), "not {name}: one of {values:?}");
        }
        for name in absent {
            ensure!(!answer.headers().contains_key(*name), "there should be no {name}");
        }
        if let Some(location) = location {
            let has = joined(answer.headers(), "location")?.context("no location")?;
            ensure!(without_port(&has) == *location, "not to {location}");
        }
        if self.dumps && answer.status() == 200 && grpc.is_none() {
            let seen: Seen = serde_json::from_slice(answer.body()).context("no dump of the request")?;
            return self.judge_seen(&seen);
        }
        Ok(())
    }

    fn judge_seen(&self, seen: &Seen) -> Result<()> {
        let wanted = &self.wanted;
        if let Some(backend) = wanted.backend {
            ensure!(seen.name == backend, "{} has answered, not {backend}", seen.name);
        }
        ensure!(seen.method == self.method.as_str(), "the backend saw {}", seen.method);
        let path = wanted.path.unwrap_or(self.path);
        ensure!(seen.path == path, "the backend saw {}, not {path}", seen.path);
        let host = wanted.host.unwrap_or(self.host);
        ensure!(seen.authority == host, "the backend saw the host {}, not {host}", seen.authority);
        for (name, value) in &wanted.seen {
            let has = seen.header(name);
            ensure!(has.as_deref() == Some(*value), "the backend saw {name}: {has:?}, not {value}");
        }
        for name in &wanted.unseen {
            ensure!(seen.header(name).is_none(), "the backend saw {name}");
        }
        Ok(())
    }
}

impl std::fmt::Display for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}{} {:?}", self.method, self.host, self.path, self.headers)?;
        if self.way == Way::Http1 { Ok(()) } else { write!(f, " {:?}", self.way) }
    }
}

impl Seen {
    fn header(&self, name: &str) -> Option<String> {
        let lines = self.headers.iter().filter(|it| it.0.eq_ignore_ascii_case(name)).map(|it| &*it.1);
        let lines: Vec<&str> = lines.collect();
        (!lines.is_empty()).then(|| lines.join(","))
    }
}

fn joined(headers: &HeaderMap, name: &str) -> Result<Option<String>> {
    let lines: Vec<&str> = headers.get_all(name).iter().map(HeaderValue::to_str).collect::<Result<_, _>>()?;
    Ok((!lines.is_empty()).then(|| lines.join(",")))
}

/// A list without its white space, which is free.
fn close(list: &str) -> String {
    list.replace(' ', "")
}

/// A URL without the port that its scheme implies, which is free too.
fn without_port(url: &str) -> String {
    url.replacen(if url.starts_with("https:") { ":443/" } else { ":80/" }, "/", 1)
}

/// What `curl --include` prints.
fn parse(output: &[u8]) -> Result<Response<Bytes>> {
    let end = output.windows(4).position(|it| it == b"\r\n\r\n").context("no head of a response")?;
    let mut lines = std::str::from_utf8(&output[..end])?.split("\r\n");
    let status = lines.next().and_then(|it| it.split_whitespace().nth(1)).context("no status")?;
    let mut answer = Response::builder().status(status.parse::<u16>()?);
    for line in lines {
        let (name, value) = line.split_once(':').with_context(|| format!("no header: {line}"))?;
        answer = answer.header(HeaderName::try_from(name)?, value.trim());
    }
    Ok(answer.body(Bytes::copy_from_slice(&output[end + 4..]))?)
}
