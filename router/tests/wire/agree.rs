//! What the router makes of the bytes of a connection, compared with what the letter says that they are.
#![allow(dead_code, unreachable_pub, reason = "tests and fuzz targets share it")]

use penstock_router::route::normalise;

use super::{
    play::{Call, Played},
    strict::{Request, Response, requests, responses},
};

/// Checks what came of the bytes.
///
/// # Errors
/// What does not agree.
pub fn agree(bytes: &[u8], played: &Played) -> Result<Vec<Response>, String> {
    let read = requests(bytes);
    // Smuggling: whatever a backend sees is a request by the letter, and in its place.
    let mut rest = read.requests.iter();
    for call in &played.calls {
        if !rest.any(|request| is(call, request)) {
            return Err(format!("no such request, or not there: {call:?}"));
        }
    }
    let methods = read.requests.iter().map(|request| request.method.clone()).chain(read.rest_method.clone());
    let methods: Vec<String> = methods.collect();
    let responses = responses(&played.answer, &methods)?;
    let (answered, asked) = (responses.len(), read.requests.len());
    // What is no request is refused; of what is incomplete, that may be known already.
    if answered > asked + usize::from(read.rest.is_some()) {
        return Err(format!("{answered} answers to {asked} requests"));
    }
    if let Some(refusal) = responses.get(asked)
        && !(400..=599).contains(&refusal.status)
    {
        return Err(format!("no request was answered with {}", refusal.status));
    }
    for (at, response) in responses.iter().enumerate() {
        let last = at + 1 == responses.len();
        let cut = read.requests.get(at).is_some_and(|request| !request.whole);
        let may_be_cut = last && cut;
        if !response.whole && !may_be_cut {
            return Err(format!("cut for no reason: {response:?}"));
        }
        if response.closes && !last {
            return Err(format!("goes on after the end: {response:?}"));
        }
        if response.body.windows(17).any(|text| text == b"\"type\":\"internal\"") {
            return Err(format!("a fault in the router: {response:?}"));
        }
    }
    let unanswered = read.requests.iter().skip(responses.len()).find(|request| request.whole);
    if let Some(request) = unanswered
        && !played.closed
    {
        return Err(format!("never answered: {request:?}"));
    }
    Ok(responses)
}

/// Whether the backend was told of this request, and of no more of it than there is.
fn is(call: &Call, request: &Request) -> bool {
    let body =
        if call.whole { request.whole && call.body == request.body } else { request.body.starts_with(&call.body) };
    let host = request.hosts.first().map_or("", String::as_str);
    let (path, query) = path_and_query(&request.target);
    call.method == request.method
        && normalise(path).is_ok_and(|path| path == call.path)
        && call.query.as_deref() == query
        && request.hosts.len() <= 1
        && call.host.as_deref().unwrap_or_default().eq_ignore_ascii_case(host)
        && body
}

/// Origin-form, absolute-form, or `*` (RFC 9112 section 3.2).
fn path_and_query(target: &str) -> (&str, Option<&str>) {
    let rest = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => match rest.find(['/', '?']) {
            Some(start) => &rest[start..],
            None => "/",
        },
        _ => target,
    };
    match rest.split_once('?') {
        Some(("", query)) => ("/", Some(query)),
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    }
}

/// Checks that it does not matter in which pieces the bytes came: what was seen and answered is the same, as far as both go.
/// (A body that nobody reads ends the connection, or not, by how much of it is there.)
///
/// # Errors
/// What differs.
pub fn same(whole: (&Played, &[Response]), pieces: (&Played, &[Response])) -> Result<(), String> {
    let statuses = |responses: &[Response]| responses.iter().map(|response| response.status).collect::<Vec<_>>();
    let (statuses, calls) = ([statuses(whole.1), statuses(pieces.1)], [&whole.0.calls, &pieces.0.calls]);
    if !is_prefix(&statuses[0], &statuses[1]) {
        return Err(format!("answers differ: {statuses:?}"));
    }
    let named =
        calls.map(|calls| calls.iter().map(|call| format!("{} {}", call.method, call.path)).collect::<Vec<_>>());
    if is_prefix(&named[0], &named[1]) { Ok(()) } else { Err(format!("calls differ: {calls:?}")) }
}

fn is_prefix<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    one.iter().zip(other).all(|(one, other)| one == other)
}
