//! A WASI 0.2 guest that behaves, and misbehaves, as the request's path says. ../../README.md lists the paths.

mod body;
mod fetch;
mod reply;

use kit::{Json, Target, called, in_call};
use wasip2::cli::{environment, exit, stderr, stdout};
use wasip2::clocks::monotonic_clock;
use wasip2::http::types::{ErrorCode, IncomingRequest, Method, ResponseOutparam, Scheme};
use wasip2::random::random::get_random_u64;

use reply::{Reply, say};

/// As good as for ever: 100 years in nanoseconds, which no host's clock overflows on.
const FOR_EVER_NS: u64 = 100 * 365 * 24 * 3600 * 1_000_000_000;

struct Kitchen;

impl wasip2::exports::http::incoming_handler::Guest for Kitchen {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let target = Target::new(&target);
        let milliseconds = target.number("ms", 0);
        match target.path {
            _ if request.headers().has("x-dump") => say(out, 200, &dump(&request)),
            "/ok" => say(out, 200, "ok\n"),
            "/status" => Reply::new(target.number("code", 200) as u16).send(out).finish(None),
            "/dump" => say(out, 200, &dump(&request)),
            "/env" => say(out, 200, &env()),
            "/header" => header(out, &target),
            "/headers" => headers(out, &target),
            "/log" => log(out, &target),
            "/fetch" => fetch::fetch(out, &target),

            "/counter" => say(out, 200, &counter()),
            "/flaky" => match kit::fails(&target.text("id").unwrap_or_default(), target.number("times", 1)) {
                true => say(out, target.number("code", 500) as u16, "failed\n"),
                false => say(out, 200, "ok\n"),
            },
            "/concurrent" => concurrent(out, milliseconds),
            "/sleep" => {
                sleep(milliseconds);
                say(out, 200, "slept\n");
            }
            "/burn" => {
                let end = monotonic_clock::now() + milliseconds * 1_000_000;
                kit::burn(|| monotonic_clock::now() >= end);
                say(out, 200, "burnt\n");
            }
            "/work" => {
                kit::work(target.number("rounds", 0));
                say(out, 200, "worked\n");
            }
            "/after" => {
                say(out, 200, "answered\n");
                sleep(milliseconds);
            }

            "/echo" => body::echo(request, out),
            "/pipe" => body::pipe(request, out),
            "/upload" => body::upload(request, out, &target),
            "/no-read" => say(out, 200, "not read\n"),
            "/stream" => body::stream(out, &target, Some(target.number("chunks", 3))),
            "/infinite" => body::stream(out, &target, None),
            "/trailers" => body::trailers(request, out),
            "/kitchen.Kitchen/Echo" => body::grpc(request, out),
            "/events" => body::events(out, &target),
            "/length" => body::length(out, &target),
            "/abandon" => body::first(out).abandon(),

            "/spin" => kit::spin(),
            "/spin-after-headers" => {
                let _sent = Reply::new(200).send(out);
                kit::spin();
            }
            "/spin-mid-body" => {
                let _sent = body::first(out);
                kit::spin();
            }
            "/trap" => kit::trap(),
            "/trap-after-headers" => {
                let _sent = Reply::new(200).send(out);
                kit::trap();
            }
            "/trap-mid-body" => {
                let _sent = body::first(out);
                kit::trap();
            }
            "/trap-after-body" => {
                say(out, 200, "all of it\n");
                kit::trap();
            }
            "/panic" => panic!("asked to panic"),
            "/recurse" => say(out, 200, &kit::recurse(0).to_string()),
            "/deadlock" => drop(wasip2::io::poll::poll(&[])),
            "/exit" => exit::exit(if target.number("code", 1) == 0 { Ok(()) } else { Err(()) }),
            "/hog" => kit::hog(),
            "/grow" => grow(out, &target),
            "/never" | "/kitchen.Kitchen/Never" => sleep_ns(FOR_EVER_NS),
            "/never-after-headers" => {
                let _sent = Reply::new(200).send(out);
                sleep_ns(FOR_EVER_NS);
            }
            "/never-mid-body" => {
                let _sent = body::first(out);
                sleep_ns(FOR_EVER_NS);
            }
            "/no-response" => drop(out),
            "/error" => ResponseOutparam::set(out, Err(error(&target))),

            "/" | "/hello" => say(out, 200, "hello from kitchen-p2\n"),
            _ => say(out, 404, "no such path\n"),
        }
    }
}

wasip2::http::proxy::export!(Kitchen);

fn sleep(milliseconds: u64) {
    if milliseconds > 0 {
        sleep_ns(milliseconds.saturating_mul(1_000_000));
    }
}

fn sleep_ns(nanoseconds: u64) {
    monotonic_clock::subscribe_duration(nanoseconds).block();
}

/// The environment's `NAME`, by which several workloads of this component are told apart.
fn name() -> String {
    environment::get_environment().into_iter().find(|it| it.0 == "NAME").map(|it| it.1).unwrap_or_default()
}

fn dump(request: &IncomingRequest) -> String {
    let method = match request.method() {
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
    let scheme = request.scheme().map(|scheme| match scheme {
        Scheme::Http => String::from("http"),
        Scheme::Https => String::from("https"),
        Scheme::Other(name) => name,
    });
    Json::new()
        .text("component", "kitchen-p2")
        .text("name", &name())
        .text("method", method)
        .text("scheme", &scheme.unwrap_or_default())
        .text("authority", &request.authority().unwrap_or_default())
        .text("path", &request.path_with_query().unwrap_or_default())
        .raw("headers", &kit::pairs(request.headers().entries()))
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

fn header(out: ResponseOutparam, target: &Target<'_>) {
    let name = target.text("name").unwrap_or_default();
    let value = target.text("value").unwrap_or_default();
    let reply = Reply::new(200);
    match reply.headers.append(&name, value.as_bytes()) {
        Ok(()) => reply.say(out, "set\n"),
        Err(error) => say(out, 500, &format!("{name}: {error:?}\n")),
    }
}

fn headers(out: ResponseOutparam, target: &Target<'_>) {
    let value = kit::chunk(7, target.number("size", 100) as usize);
    let value = value.strip_suffix(b"\n").unwrap_or(&value);
    let reply = Reply::new(200);
    for i in 0..target.number("count", 10) {
        if let Err(error) = reply.headers.append(&format!("x-big-{i}"), value) {
            return say(out, 500, &format!("x-big-{i}: {error:?}\n"));
        }
    }
    reply.say(out, "headers\n");
}

fn log(out: ResponseOutparam, target: &Target<'_>) {
    for (name, stream) in [("out", stdout::get_stdout()), ("err", stderr::get_stderr())] {
        if let Some(text) = target.text(name) {
            let _ = stream.blocking_write_and_flush(format!("{text}\n").as_bytes());
        }
    }
    say(out, 200, "logged\n");
}

fn counter() -> String {
    let state = called(get_random_u64);
    Json::new().text("component", "kitchen-p2").text("instance", &state.id).number("count", state.calls).end()
}

fn concurrent(out: ResponseOutparam, milliseconds: u64) {
    let _call = in_call();
    sleep(milliseconds);
    let state = called(get_random_u64);
    let json = Json::new().text("component", "kitchen-p2").text("instance", &state.id);
    say(out, 200, &json.number("count", state.calls).number("now", state.now).number("max", state.max).end());
}

fn grow(out: ResponseOutparam, target: &Target<'_>) {
    let mib = target.number("mib", 1);
    match kit::grow(mib as usize) {
        Ok(()) => say(out, 200, &Json::new().number("mib", mib).end()),
        Err(granted) => say(out, 500, &Json::new().number("refused_after_mib", granted as u64).end()),
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
