use std::sync::Arc;

use http::{Request, Response, header::COOKIE};

use super::*;
use crate::{
    Backend, BackendFuture, Body, CallContext,
    admit::{Admission, Limits},
};

struct Named(&'static str);

impl Backend for Named {
    fn name(&self) -> &str {
        self.0
    }

    fn call<'a>(&'a self, _: Request<Body>, _: CallContext) -> BackendFuture<'a> {
        Box::pin(async { Ok(Response::default()) })
    }
}

fn backends(weights: &[(&'static str, u32)]) -> Weighted {
    let limits = Limits { concurrency: 1, queue_depth: 0, queue_timeout: Duration::ZERO };
    let target = |(name, weight): &(&'static str, u32)| Target {
        backend: Arc::new(Named(name)),
        admission: Admission::new(limits),
        filters: None,
        weight: *weight,
    };
    Weighted::new(weights.iter().map(target).collect())
}

fn config(carrier: Carrier, absolute: u64, idle: u64) -> SessionConfig {
    let seconds = |seconds: u64| (seconds > 0).then(|| Duration::from_secs(seconds));
    SessionConfig { name: Some("s".into()), carrier, absolute: seconds(absolute), idle: seconds(idle) }
}

const COOKIE_OF_SESSION: Carrier = Carrier::Cookie { permanent: false };

fn visit(sessions: &Sessions, cookie: &str) -> Visit {
    let parts = Request::get("/app/x").header(COOKIE, format!("s={cookie}")).body(()).unwrap().into_parts().0;
    sessions.visit(&parts, &Matched::Prefix("/app".into()))
}

fn marked(sessions: &Sessions, visit: &Visit, place: usize, tls: bool) -> Option<String> {
    let mut headers = HeaderMap::new();
    sessions.mark(visit, place, tls, &mut headers);
    assert!(headers.len() <= 1);
    headers.values().next().map(|value| value.to_str().unwrap().to_owned())
}

fn token(sessions: &Sessions, place: usize) -> String {
    Claim { token: sessions.tokens[place].unwrap(), began: None, seen: None }.to_string()
}

#[test]
fn a_session_goes_to_its_backend_whatever_the_weights() {
    let all = backends(&[("d/a", 1), ("d/b", 0), ("d/a", 3), ("", 5), ("d/b", 0)]);
    let sessions = Sessions::new(&config(COOKIE_OF_SESSION, 0, 0), "d/r 0", &all).unwrap();
    let picks = |visit: &Visit, failed| {
        let mut counts = [0; 5];
        for _ in 0..1000 {
            counts[sessions.pick(visit, &all, failed).unwrap().0] += 1;
        }
        counts
    };
    let a = picks(&visit(&sessions, &token(&sessions, 0)), None);
    assert!(a[0] > 150 && a[2] > 600 && a[0] + a[2] == 1000, "its revisions by weight: {a:?}");
    let b = picks(&visit(&sessions, &token(&sessions, 1)), None);
    assert!(b[1] > 300 && b[4] > 300 && b[1] + b[4] == 1000, "evenly without one: {b:?}");
    let b = picks(&visit(&sessions, &token(&sessions, 1)), Some(1));
    assert_eq!(b[4], 1000, "another revision than the one that failed");
    let none = picks(&visit(&sessions, "0123456789abcdef"), None);
    assert!(none[0] > 0 && none[2] > 0 && none[3] > 0 && none[1] + none[4] == 0, "no session: {none:?}");

    let one = backends(&[("d/a", 1), ("d/b", 1)]);
    let sessions = Sessions::new(&config(COOKIE_OF_SESSION, 0, 0), "d/r 0", &one).unwrap();
    let pinned = visit(&sessions, &token(&sessions, 1));
    assert_eq!(sessions.pick(&pinned, &one, Some(1)).unwrap().0, 1, "a session does not leave its backend");
}

#[test]
fn rules_and_backends_have_tokens_of_their_own() {
    let all = backends(&[("d/a", 1), ("d/b", 1), ("d/a", 1), ("", 1)]);
    let of = |rule| Sessions::new(&config(COOKIE_OF_SESSION, 0, 0), rule, &all).unwrap();
    let (one, two) = (of("d/r 0"), of("d/r 1"));
    assert_eq!((one.tokens[0], one.tokens[3]), (one.tokens[2], None));
    assert!(one.tokens[0] != one.tokens[1] && one.tokens[0] != two.tokens[0]);
    assert!(visit(&one, &token(&two, 0)).session.is_none());
    assert_eq!(marked(&one, &visit(&one, ""), 3, false), None, "nobody stays with what has no name");

    let unnamed = SessionConfig { name: None, ..config(COOKIE_OF_SESSION, 0, 0) };
    let name = |rule| Sessions::new(&unnamed, rule, &all).unwrap().name;
    assert!(name("d/r 0").starts_with("penstock-session-") && name("d/r 0") != name("d/r 1"));
}

#[test]
fn names() {
    for good in ["s", "JSESSIONID", "my-session_2", &"x".repeat(128)] {
        assert_eq!(Sessions::check_name(good), Ok(()), "{good}");
    }
    for bad in ["", "a b", "a;b", "a=b", "a\r\nb", "\u{e9}", "a\"", &"x".repeat(129)] {
        assert!(Sessions::check_name(bad).is_err(), "{bad}");
    }
}

#[test]
fn cookies_say_how_long_and_where() {
    let all = backends(&[("d/a", 1)]);
    let of = |config| Sessions::new(&config, "d/r 0", &all).unwrap();
    let plain = of(config(COOKIE_OF_SESSION, 0, 0));
    let token = token(&plain, 0);
    let first = visit(&plain, "");
    let set = format!("s={token}; Path=/app; HttpOnly; SameSite=Lax");
    assert_eq!(marked(&plain, &first, 0, false), Some(set.clone()));
    assert_eq!(marked(&plain, &first, 0, true), Some(set.clone() + "; Secure"));

    let timed = of(config(COOKIE_OF_SESSION, 3600, 0));
    let now = first.now;
    let cookie = marked(&timed, &Visit { now, ..visit(&timed, "") }, 0, false).unwrap();
    assert_eq!(cookie, format!("s={token}.{now:x}; Path=/app; HttpOnly; SameSite=Lax"), "tracked, not told");

    let permanent = of(config(Carrier::Cookie { permanent: true }, 3600, 800));
    let first = Visit { now, ..visit(&permanent, "") };
    let set =
        |seen: u64, age: u64| format!("s={token}.{now:x}.{seen:x}; Path=/app; HttpOnly; SameSite=Lax; Max-Age={age}");
    assert_eq!(marked(&permanent, &first, 0, false), Some(set(now, 3600)));
    let carried = |now| Visit { now, ..visit(&permanent, &format!("{token}.{:x}.{:x}", first.now, first.now)) };
    assert_eq!(marked(&permanent, &carried(now + 99), 0, false), None, "not with every request");
    assert_eq!(marked(&permanent, &carried(now + 100), 0, false), Some(set(now + 100, 3500)), "began when it began");

    let header = of(config(Carrier::Header, 0, 0));
    assert_eq!(marked(&header, &Visit { now, ..visit(&header, "") }, 0, true), Some(token));
}

#[test]
fn sessions_end() {
    let all = backends(&[("d/a", 1)]);
    let now = 1_800_000_000_u64;
    for (name, absolute, idle, began, seen, valid) in [
        ("no limit", 0, 0, None, None, true),
        ("no limit any more", 0, 0, Some(now - 9999), Some(now - 9999), true),
        ("young", 60, 0, Some(now - 59), None, true),
        ("old", 60, 0, Some(now - 60), None, false),
        ("busy", 0, 10, Some(now - 9999), Some(now - 9), true),
        ("idle", 0, 10, Some(now - 9999), Some(now - 10), false),
        ("busy, but old", 60, 10, Some(now - 60), Some(now), false),
        ("from before there was a limit", 60, 10, None, None, true),
        ("a clock that goes ahead", 60, 0, Some(now + 300), None, true),
        ("a forged future", 60, 0, Some(now + 301), None, false),
    ] {
        let sessions = Sessions::new(&config(COOKIE_OF_SESSION, absolute, idle), "d/r 0", &all).unwrap();
        let claim = Claim { token: sessions.tokens[0].unwrap(), began, seen };
        assert_eq!(sessions.valid(&claim.to_string(), now).is_some(), valid, "{name}");
        if valid && claim.began.is_none() && absolute > 0 {
            let visit = Visit { now, session: Some(claim), path: "/".into() };
            assert!(marked(&sessions, &visit, 0, false).is_some(), "{name}: it gets its times now");
        }
    }
}

#[test]
fn the_first_valid_one_of_several_counts() {
    let all = backends(&[("d/a", 1), ("d/b", 1)]);
    let sessions = Sessions::new(&config(COOKIE_OF_SESSION, 0, 0), "d/r 0", &all).unwrap();
    let carried = format!("nonsense; s={}; s={}", token(&sessions, 1), token(&sessions, 0));
    assert_eq!(visit(&sessions, &carried).session.unwrap().token, sessions.tokens[1].unwrap());
    let header = Sessions::new(&config(Carrier::Header, 0, 0), "d/r 0", &all).unwrap();
    let parts = Request::get("/").header("S", token(&header, 1)).body(()).unwrap().into_parts().0;
    assert_eq!(header.visit(&parts, &Matched::Regex).session.unwrap().token, header.tokens[1].unwrap());
}
