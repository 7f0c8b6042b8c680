//! What follows the preface of an HTTP/2 connection, through all of the router: it calls a backend once for each stream at
//! most, sends nothing that RFC 9113 forbids, and ends when its client does.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/wire"]
mod wire {
    pub mod frames;
    pub mod play;
}

use wire::{
    frames::{check, opened},
    play::play,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fuzz_target!(|bytes: &[u8]| {
    let connection = [PREFACE, bytes].concat();
    let opened = opened(bytes);
    for piece in [connection.len(), bytes.len() % 11 + 1] {
        let played = play(&connection, piece);
        let (calls, streams) = (played.calls.len(), opened.len());
        assert!(calls <= streams, "{calls} calls of {streams} streams: {:#?}", played.calls);
        for call in &played.calls {
            let fits = opened.values().any(|data| call.body.len() <= *data);
            assert!(fits && call.path.starts_with(['/', '*']), "{call:?}");
        }
        if let Err(told) = check(&played.answer, &opened) {
            panic!("{told}\n{}\n{}", bytes.escape_ascii(), played.answer.escape_ascii());
        }
    }
});
