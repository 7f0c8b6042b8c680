//! One candidate as a lookup sees it: the rule, and what is asked for beside hostname and path.

use std::collections::HashMap;

use http::{HeaderName, Method};

use super::{
    super::{query, rule::Match, table::RequestKey, value::StringMatch},
    Hit, Matching,
    blob::{Blob, Place, Reader},
};

/// Conditions longer than this are not copied next to each of a route's hostnames, but looked up where they are kept once.
const MAX_INLINE: usize = 256;
/// The methods that have a number here, from 1; nought is any.
const METHODS: [Method; 9] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::PATCH,
    Method::HEAD,
    Method::OPTIONS,
    Method::CONNECT,
    Method::TRACE,
];

/// How a record's conditions are found.
const FREE: u8 = 0;
const INLINE: u8 = 1;
const KEPT: u8 = 2;

/// The header names in use, so that a record can hold a number instead.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: Vec<HeaderName>,
    numbers: HashMap<HeaderName, u16>,
}

// === impl Names ===

impl Names {
    fn number(&mut self, name: &HeaderName) -> Option<u16> {
        if let Some(&number) = self.numbers.get(name) {
            return Some(number);
        }
        let number = u16::try_from(self.names.len()).ok()?;
        self.names.push(name.clone());
        self.numbers.insert(name.clone(), number);
        Some(number)
    }
}

/// Writes a candidate and gives its place.
pub(super) fn write(blob: &mut Blob, names: &mut Names, rule: u32, matching: u32, kept: &Matching) -> Place {
    let place = blob.end();
    blob.u32(rule);
    blob.u32(matching);
    let size = blob.end();
    blob.u16(0);
    let is_regex = kept.matched == super::Matched::Regex;
    let inline = if is_regex { None } else { conditions(&kept.spec, names) };
    match inline {
        _ if !is_regex && !kept.spec.is_conditional() => blob.u8(FREE),
        None => blob.u8(KEPT),
        Some(conditions) => {
            blob.u8(INLINE);
            blob.append(&conditions);
            blob.set_u16(size, conditions.len() as u16);
        }
    }
    place
}

/// Conditions that are all exact and short; `None` for others.
fn conditions(spec: &Match, names: &mut Names) -> Option<Vec<u8>> {
    let method = match &spec.method {
        None => 0,
        Some(method) => METHODS.iter().position(|known| known == method)? as u8 + 1,
    };
    fn exact(value: &StringMatch) -> Option<&[u8]> {
        match value {
            StringMatch::Exact(text) if text.len() <= MAX_INLINE => Some(text.as_bytes()),
            _ => None,
        }
    }
    let mut out = Blob::default();
    out.u8(method);
    out.u8(u8::try_from(spec.headers.len()).ok()?);
    for header in &spec.headers {
        out.u16(names.number(&header.name)?);
        out.text(exact(&header.value)?);
    }
    out.u8(u8::try_from(spec.query.len()).ok()?);
    for query in &spec.query {
        if query.name.len() > MAX_INLINE {
            return None;
        }
        out.text(query.name.as_bytes());
        out.text(exact(&query.value)?);
    }
    let out = out.into_bytes();
    (out.len() <= MAX_INLINE).then_some(out)
}

/// Reads one candidate and goes on to the next: the rule if all holds.
#[inline]
pub(super) fn check(at: &mut Reader<'_>, request: &RequestKey<'_>, names: &Names, kept: &[Matching]) -> Option<Hit> {
    let hit = Hit { rule: at.u32(), matching: at.u32() };
    let size = usize::from(at.u16());
    let kind = at.u8();
    let conditions = at.bytes(size);
    let holds = match kind {
        FREE => true,
        INLINE => holds(Reader::new(conditions), request, names),
        _ => {
            let kept = &kept[hit.matching as usize];
            // An expression for the path goes last, since it costs most.
            kept.spec.conditions_hold(request)
                && (kept.matched != super::Matched::Regex || kept.spec.path.matches(request.path))
        }
    };
    holds.then_some(hit)
}

fn holds(mut conditions: Reader<'_>, request: &RequestKey<'_>, names: &Names) -> bool {
    let method = usize::from(conditions.u8());
    if method > 0 && METHODS[method - 1] != *request.method {
        return false;
    }
    for _ in 0..conditions.u8() {
        let name = &names.names[usize::from(conditions.u16())];
        let value = conditions.text();
        if !request.headers.get_all(name).iter().any(|line| line.as_bytes() == value) {
            return false;
        }
    }
    for _ in 0..conditions.u8() {
        let name = conditions.text();
        let value = conditions.text();
        if !query::first(request.query.unwrap_or_default(), name).is_some_and(|raw| query::same(raw, value)) {
            return false;
        }
    }
    true
}
