//! A WASI 0.3 guest that behaves, and misbehaves, as the request's path says. ../../README.md lists the paths.

mod body;
mod fetch;
mod reply;

use kit::{Json, Target, called, in_call};
use wasip3::cli::{environment, exit, stderr, stdout};
use wasip3::clocks::monotonic_clock;
use wasip3::http::types::{ErrorCode, Method, Request, Response, Scheme};
use wasip3::random::random::get_random_u64;
use wasip3::{spawn_local, wit_stream};

use body::first;
use reply::{Reply, say};

/// As good as for ever: 100 years in nanoseconds, which no host's clock overflows on.
const FOR_EVER_NS: u64 = 100 * 365 * 24 * 3600 * 1_000_000_000;

struct Kitchen;

impl wasip3::exports::http::handler::Guest for Kitchen {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        let target = Target::new(&target);
        let milliseconds = target.number("ms", 0);
        Ok(match target.path {
            _ if request.get_headers().has("x-dump") => say(200, &dump(&request)),
            "/ok" => say(200, "ok\n"),
            "/status" => empty(target.number("code", 200) as u16),
            "/dump" => say(200, &dump(&request)),
            "/env" => say(200, &env()),
            "/header" => header(&target),
            "/headers" => headers(&target),
            "/log" => log(&target).await,
            "/fetch" => fetch::fetch(&target).await,

            "/counter" => say(200, &counter()),
            "/flaky" => match kit::fails(&target.text("id").unwrap_or_default(), target.number("times", 1)) {
                true => say(target.number("code", 500) as u16, "failed\n"),
                false => say(200, "ok\n"),
            },
            "/concurrent" => concurrent(milliseconds).await,
            "/sleep" => {
                sleep(milliseconds).await;
                say(200, "slept\n")
            }
            "/burn" => {
                let end = monotonic_clock::now() + milliseconds * 1_000_000;
                kit::burn(|| monotonic_clock::now() >= end);
                say(200, "burnt\n")
            }
            "/work" => {
                kit::work(target.number("rounds", 0));
                say(200, "worked\n")
            }
            "/after" => {
                spawn_local(sleep(milliseconds));
                say(200, "answered\n")
            }

            "/echo" => body::echo(request),
            "/pipe" => body::pipe(request),
            "/upload" => body::upload(request, &target).await,
            "/no-read" => say(200, "not read\n"),
            "/stream" => body::stream(&target, Some(target.number("chunks", 3))),
            "/infinite" => body::stream(&target, None),
            "/trailers" => body::trailers(request).await,
            "/kitchen.Kitchen/Echo" => body::grpc(request),
            "/events" => body::events(&target),
            "/length" => body::length(&target),
            "/abandon" => first(async |body| body.abandon().await),

            "/spin" => kit::spin(),
            "/spin-after-headers" => headers_then(async || kit::spin()),
            "/spin-mid-body" => first(async |_body| kit::spin()),
            "/trap" => kit::trap(),
            "/trap-after-headers" => headers_then(async || kit::trap()),
            "/trap-mid-body" => first(async |_body| kit::trap()),
            "/trap-after-body" => first(async |body| {
                body.finish(None).await;
                kit::trap();
            }),
            "/panic" => panic!("asked to panic"),
            "/recurse" => say(200, &kit::recurse(0).to_string()),
            "/deadlock" => {
                let (_writer, mut reader) = wit_stream::new::<u8>();
                say(200, &format!("{:?}\n", reader.next().await))
            }
            "/exit" => {
                exit::exit(if target.number("code", 1) == 0 { Ok(()) } else { Err(()) });
                say(200, "still here\n")
            }
            "/hog" => kit::hog(),
            "/grow" => grow(&target),
            "/never" | "/kitchen.Kitchen/Never" => {
                monotonic_clock::wait_for(FOR_EVER_NS).await;
                say(200, "for ever is over\n")
            }
            "/never-after-headers" => headers_then(async || monotonic_clock::wait_for(FOR_EVER_NS).await),
            "/never-mid-body" => first(async |_body| monotonic_clock::wait_for(FOR_EVER_NS).await),
            "/no-response" => return Err(ErrorCode::InternalError(None)),
            "/error" => return Err(error(&target)),

            "/" | "/hello" => say(200, "hello from kitchen-p3\n"),
            _ => say(404, "no such path\n"),
        })
    }
}

wasip3::http::service::export!(Kitchen);

async fn sleep(milliseconds: u64) {
    if milliseconds > 0 {
        monotonic_clock::wait_for(milliseconds.saturating_mul(1_000_000)).await;
    }
}

fn empty(status: u16) -> Response {
    let (response, body) = Reply::new(status).start();
    spawn_local(body.finish(None));
    response
}

/// Headers without a body, and then what goes wrong. The pause lets the host send them: the task goes on at once.
fn headers_then(then: impl AsyncFnOnce() + 'static) -> Response {
    let (response, body) = Reply::new(200).start();
    spawn_local(async move {
        sleep(20).await;
        then().await;
        drop(body);
    });
    response
}

/// The environment's `NAME`, by which several workloads of this component are told apart.
fn name() -> String {
    environment::get_environment().into_iter().find(|it| it.0 == "NAME").map(|it| it.1).unwrap_or_default()
}

fn dump(request: &Request) -> String {
    let method = match request.get_method() {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => &name.clone(),
    };
    let scheme = request.get_scheme().map(|scheme| match scheme {
        Scheme::Http => String::from("http"),
        Scheme::Https => String::from("https"),
        Scheme::Other(name) => name,
    });
    Json::new()
        .text("component", "kitchen-p3")
        .text("name", &name())
        .text("method", method)
        .text("scheme", &scheme.unwrap_or_default())
        .text("authority", &request.get_authority().unwrap_or_default())
        .text("path", &request.get_path_with_query().unwrap_or_default())
        .raw("headers", &kit::pairs(request.get_headers().copy_all()))
        .end()
}

fn env() -> String {
    let json = Json::new()
        .raw("environment", &kit::pairs(environment::get_environment()))
        .raw("arguments", &kit::pairs(environment::get_arguments().iter().map(|a| (a, ""))));
    match kit::config() {
        Ok(config) => json.raw("config", &kit::pairs(config)).end(),
        Err(error) => json.text("config_error", &error).end(),
    }
}

fn header(target: &Target<'_>) -> Response {
    let name = target.text("name").unwrap_or_default();
    let value = target.text("value").unwrap_or_default();
    let reply = Reply::new(200);
    match reply.headers.append(&name, value.as_bytes()) {
        Ok(()) => reply.say("set\n"),
        Err(error) => say(500, &format!("{name}: {error:?}\n")),
    }
}

fn headers(target: &Target<'_>) -> Response {
    let value = kit::chunk(7, target.number("size", 100) as usize);
    let value = value.strip_suffix(b"\n").unwrap_or(&value);
    let reply = Reply::new(200);
    for i in 0..target.number("count", 10) {
        if let Err(error) = reply.headers.append(&format!("x-big-{i}"), value) {
            return say(500, &format!("x-big-{i}: {error:?}\n"));
        }
    }
    reply.say("headers\n")
}

async fn log(target: &Target<'_>) -> Response {
    type Write = fn(
        wasip3::wit_bindgen::StreamReader<u8>,
    ) -> wasip3::wit_bindgen::FutureReader<Result<(), wasip3::cli::types::ErrorCode>>;
    let streams: [(&str, Write); 2] = [("out", stdout::write_via_stream), ("err", stderr::write_via_stream)];
    for (name, write_via) in streams {
        if let Some(text) = target.text(name) {
            let (mut stream, reader) = wit_stream::new();
            let written = write_via(reader);
            let _ = stream.write_all(format!("{text}\n").into_bytes()).await;
            drop(stream);
            let _ = written.await;
        }
    }
    say(200, "logged\n")
}

fn counter() -> String {
    let state = called(get_random_u64);
    Json::new().text("component", "kitchen-p3").text("instance", &state.id).number("count", state.calls).end()
}

async fn concurrent(milliseconds: u64) -> Response {
    let _call = in_call();
    sleep(milliseconds).await;
    let state = called(get_random_u64);
    let json = Json::new().text("component", "kitchen-p3").text("instance", &state.id);
    say(200, &json.number("count", state.calls).number("now", state.now).number("max", state.max).end())
}

fn grow(target: &Target<'_>) -> Response {
    let mib = target.number("mib", 1);
    match kit::grow(mib as usize) {
        Ok(()) => say(200, &Json::new().number("mib", mib).end()),
        Err(granted) => say(500, &Json::new().number("refused_after_mib", granted as u64).end()),
    }
}

fn error(target: &Target<'_>) -> ErrorCode {
    match target.text("code").as_deref() {
        Some("refused") => ErrorCode::ConnectionRefused,
        Some("timeout") => ErrorCode::HttpResponseTimeout,
        Some("denied") => ErrorCode::HttpRequestDenied,
        Some("configuration") => ErrorCode::ConfigurationError,
        Some("silent") => ErrorCode::InternalError(None),
        _ => ErrorCode::InternalError(Some(String::from("asked to fail"))),
    }
}
