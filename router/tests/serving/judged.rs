//! The corpus, played over pipes in memory and judged by what the letter of RFC 9112 says of the same bytes: the check that the
//! fuzz target `request` makes of all bytes, and the seeds that it begins with.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fs, path::Path};

use crate::corpus::{Case, HTTP1, cases};
use crate::wire::{
    agree::{agree, same},
    frames::{check, opened},
    play::play,
    strict::{self, Rest},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PROBE: &[u8] = b"GET /probe HTTP/1.1\r\nHost: a\r\n\r\n";

fn all() -> Vec<Case> {
    HTTP1.into_iter().flat_map(cases).collect()
}

#[test]
fn what_reaches_the_backend_is_a_request_by_the_letter() {
    // Alone, and with a request behind it; and what the fuzzer has found.
    let cases = all().into_iter().map(|case| (case.bytes(), case.name));
    let all = cases.chain(seeds("request")).flat_map(|(bytes, name)| {
        let behind = [&bytes[..], PROBE].concat();
        [(bytes, name.clone()), (behind, name)]
    });
    let mut failures = Vec::new();
    for (bytes, name) in all.filter(|(bytes, _)| !bytes.starts_with(PREFACE)) {
        if let Err(told) = agrees(&bytes) {
            failures.push(format!("{name}: {told}"));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// Whether the router makes of the bytes what they are, in whatever pieces they come.
fn agrees(bytes: &[u8]) -> Result<(), String> {
    let whole = play(bytes, bytes.len());
    let answers = agree(bytes, &whole)?;
    for piece in [1, 7, 64].into_iter().filter(|piece| bytes.len() / piece < 2000) {
        let pieces = play(bytes, piece);
        let others = agree(bytes, &pieces).map_err(|told| format!("pieces of {piece}: {told}"))?;
        same((&whole, &answers), (&pieces, &others)).map_err(|told| format!("pieces of {piece}: {told}"))?;
    }
    Ok(())
}

/// What a fuzz target begins with, and the names of its files.
fn seeds(target: &str) -> impl Iterator<Item = (Vec<u8>, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    fs::read_dir(folder).unwrap().map(|file| {
        let path = file.unwrap().path();
        (fs::read(&path).unwrap(), path.display().to_string())
    })
}

#[test]
fn what_comes_back_over_http2_may_be_sent() {
    let (mut failures, mut calls) = (Vec::new(), 0);
    for (bytes, name) in seeds("http2") {
        let opened = opened(&bytes);
        for piece in [usize::MAX, 1, 7] {
            let played = play(&[PREFACE, &bytes].concat(), piece);
            calls += played.calls.len();
            let told = check(&played.answer, &opened);
            if told.is_err() || played.calls.len() > opened.len() {
                failures.push(format!("{name}: {told:?}, {} calls", played.calls.len()));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(calls > 60, "{calls} calls: the seeds say nothing");
}

#[test]
fn frames_that_may_not_be_sent_are_found() {
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        [&[0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream][..], payload].concat()
    };
    let (settings, opened) = (frame(4, 0, 0, &[]), BTreeMap::from([(1, 0)]));
    let head = frame(1, 4, 1, &[0x88]);
    let good = [settings.clone(), head.clone(), frame(0, 1, 1, b"x"), frame(6, 1, 0, &[0; 8])].concat();
    check(&good, &opened).unwrap();
    for (name, bad) in [
        ("no SETTINGS first", vec![head.clone()]),
        ("a stream that nobody opened", vec![settings.clone(), frame(1, 4, 3, &[0x88])]),
        ("DATA before the head", vec![settings.clone(), frame(0, 0, 1, b"x")]),
        ("DATA after the end", vec![settings.clone(), frame(1, 5, 1, &[0x88]), frame(0, 1, 1, b"x")]),
        ("a frame amid a header block", vec![settings.clone(), frame(1, 0, 1, &[0x88]), frame(6, 0, 0, &[0; 8])]),
        ("a short PING", vec![settings.clone(), frame(6, 0, 0, &[0; 7])]),
        ("SETTINGS of a stream", vec![settings.clone(), frame(4, 0, 1, &[])]),
        ("a push", vec![settings.clone(), frame(5, 4, 1, &[0; 8])]),
    ] {
        assert!(check(&bad.concat(), &opened).is_err(), "{name}");
    }
}

#[test]
fn the_strict_reader_reads() {
    let two =
        b"\r\nPOST /a?b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n\
                GET / HTTP/1.0\n\nPUT /c HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\nx";
    let read = strict::requests(two);
    assert_eq!(read.rest, None);
    let seen: Vec<(&str, &[u8], bool)> =
        read.requests.iter().map(|request| (&*request.target, &*request.body, request.whole)).collect();
    assert_eq!(seen, [("/a?b", &b"abc"[..], true), ("/", b"", true), ("/c", b"x", false)]);
    for bad in [
        "GET  / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.2\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na",
        "GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
    ] {
        let read = strict::requests(bad.as_bytes());
        assert!(read.rest == Some(Rest::Malformed) && read.requests.is_empty(), "{bad:?}");
    }
}

#[test]
fn the_fuzzer_begins_with_the_corpus() {
    crate::seeds::hold("request", all().into_iter().map(|case| (case.name.clone(), case.bytes())));
}
