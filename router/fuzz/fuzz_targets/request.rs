//! The bytes of an HTTP/1 connection, through all of the router: whatever reaches a backend is a request by the letter of
//! RFC 9112 and in its place, every answer is one, and it does not matter in which pieces the bytes came.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/wire"]
mod wire {
    pub mod agree;
    pub mod play;
    pub mod strict;
}

use wire::{
    agree::{agree, same},
    play::play,
};

fuzz_target!(|bytes: &[u8]| {
    if bytes.is_empty() || bytes.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") {
        return;
    }
    let check = || {
        let whole = play(bytes, bytes.len());
        let answers = agree(bytes, &whole)?;
        let pieces = play(bytes, bytes.len() % 11 + 1);
        let others = agree(bytes, &pieces)?;
        same((&whole, &answers), (&pieces, &others))
    };
    if let Err(told) = check() {
        panic!("{told}\n{}", bytes.escape_ascii());
    }
});
