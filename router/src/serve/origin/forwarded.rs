//! `Forwarded` (RFC 7239) of a trusted peer, and our own element of it.

use std::net::{IpAddr, SocketAddr};

use http::{
    HeaderMap, HeaderValue,
    header::{FORWARDED, HOST},
};

use super::{
    super::{refuse::is_host, source::Source},
    full, node, put,
    way::{Way, is_https, joined},
};
use crate::{Error, listen::Networks};

/// What one hop says: who came to it, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Element {
    node: Option<SocketAddr>,
    tls: Option<bool>,
    host: Option<HeaderValue>,
}

/// Reads what the peer says. What is not understood stays as the connection has it.
pub(super) fn read(headers: &HeaderMap, trusted: &Networks, way: &mut Way) {
    let mut all = Vec::new();
    for line in headers.get_all(FORWARDED) {
        match elements(line.as_bytes()) {
            Some(elements) => all.extend(elements),
            // No hop, which ends the walk.
            None => all.push(Element::default()),
        }
    }
    let elements = all;
    let followed = way.walk(elements.iter().rev().map(|element| element.node), trusted);
    let Some(element) = followed.checked_sub(1).and_then(|last| elements.iter().nth_back(last)) else { return };
    // What the client asked for, as the hop that it came to saw it.
    if let Some(host) = &element.host {
        way.host = Some(host.clone());
    }
    if let Some(tls) = element.tls {
        way.reached(tls, None);
    }
    let mut hops = String::with_capacity(64);
    for node in elements.iter().rev().take(followed).rev().filter_map(|element| element.node) {
        hops.push_str(&node.ip().to_string());
        hops.push_str(", ");
    }
    if let Some(peer) = way.hops.take() {
        hops.push_str(peer.to_str().unwrap_or_default());
        way.hops = HeaderValue::try_from(hops).ok().or(Some(peer));
    }
}

/// Appends the connection's own element: `for`, `host` and `proto`. A malformed line is left out: the quote that a client
/// left open in it would swallow what is appended.
pub(super) fn write(headers: &mut HeaderMap, source: &Source) -> Result<(), Error> {
    let mut element = match source.address.ip() {
        IpAddr::V4(ip) => format!("for={ip}"),
        IpAddr::V6(ip) => format!("for=\"[{ip}]\""),
    };
    if let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(|host| !host.is_empty()) {
        // Always quoted: a port's colon may not stand in a token. What is_host() lets through needs no escape.
        element.push_str(";host=\"");
        element.push_str(host);
        element.push('"');
    }
    element.push_str(if source.tls { ";proto=https" } else { ";proto=http" });
    let list = joined(headers, &FORWARDED, |line| elements(line).is_some(), element.as_bytes()).ok_or_else(full)?;
    put(headers, FORWARDED, list)
}

/// The elements of one field line; `None` if it is malformed: where the fault ends nobody can tell.
fn elements(mut text: &[u8]) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    while !text.is_empty() {
        elements.extend(element(&mut text)?);
    }
    Some(elements)
}

/// Takes the next element and its comma: `Some(None)` if it is empty, `None` if it is malformed.
fn element(text: &mut &[u8]) -> Option<Option<Element>> {
    let mut element = Element::default();
    let mut empty = true;
    loop {
        *text = text.trim_ascii_start();
        if !matches!(text.first(), None | Some(b',' | b';')) {
            empty = false;
            pair(text, &mut element)?;
            *text = text.trim_ascii_start();
        }
        let Some((byte, rest)) = text.split_first() else { break };
        *text = rest;
        match byte {
            b',' => break,
            b';' => {}
            _ => return None,
        }
    }
    Some((!empty).then_some(element))
}

fn pair(text: &mut &[u8], element: &mut Element) -> Option<()> {
    let end = memchr::memchr(b'=', text)?;
    let (name, rest) = (&text[..end], &text[end + 1..]);
    if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)) {
        return None;
    }
    *text = rest;
    let value = value(text)?;
    if name.eq_ignore_ascii_case(b"for") {
        element.node = node::address(&value);
    } else if name.eq_ignore_ascii_case(b"proto") {
        element.tls = is_https(&value);
    } else if name.eq_ignore_ascii_case(b"host") && !value.is_empty() && is_host(&value) {
        element.host = HeaderValue::from_bytes(&value).ok();
    }
    Some(())
}

/// A token or a quoted string (RFC 9110 section 5.6.4). Tokens are taken as many proxies write them, with `:` and brackets.
fn value(text: &mut &[u8]) -> Option<Vec<u8>> {
    let Some(mut rest) = text.strip_prefix(b"\"") else {
        let end = text.iter().position(|byte| matches!(byte, b',' | b';' | b' ' | b'\t')).unwrap_or(text.len());
        let (token, rest) = text.split_at(end);
        *text = rest;
        return (!token.is_empty() && !token.contains(&b'"')).then(|| token.to_vec());
    };
    let mut value = Vec::new();
    loop {
        let (byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            b'"' => break,
            b'\\' => {
                let (escaped, after) = rest.split_first()?;
                rest = after;
                value.push(*escaped);
            }
            other => value.push(*other),
        }
    }
    *text = rest;
    Some(value)
}
