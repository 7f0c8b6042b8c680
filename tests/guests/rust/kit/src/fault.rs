//! Faults that need nothing of the host but an engine.

use std::hint::black_box;

/// Bytes of a WebAssembly page.
const PAGE: usize = 65_536;
/// Bytes between two touched addresses: a page of the machine, so that grown memory is really used.
const STRIDE: usize = 4096;

/// Loops for ever, using the processor.
pub fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Uses the processor until `enough` says so; it is asked every few microseconds.
pub fn burn(enough: impl Fn() -> bool) {
    let mut turns = 0_u64;
    while !enough() {
        for _ in 0..10_000 {
            turns = black_box(turns.wrapping_add(1));
        }
    }
}

/// The same amount of computing whenever it is asked for: a thousand steps for each round.
pub fn work(rounds: u64) {
    let mut turns = 0_u64;
    for _ in 0..rounds.saturating_mul(1000) {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// The `unreachable` instruction.
pub fn trap() -> ! {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort();
}

/// Calls itself until the stack is used up.
pub fn recurse(depth: u64) -> u64 {
    if black_box(false) {
        return depth;
    }
    let deeper = black_box([depth; 16]);
    recurse(deeper[0] + 1) + deeper[15]
}

/// Grows memory by `mib` MiB and touches all of it. `Err` holds the MiB that were granted before the first refusal.
pub fn grow(mib: usize) -> Result<(), usize> {
    const PAGES_PER_MIB: usize = (1 << 20) / PAGE;
    for granted in 0..mib {
        let old = memory_grow(PAGES_PER_MIB).ok_or(granted)?;
        for address in (old * PAGE..(old + PAGES_PER_MIB) * PAGE).step_by(STRIDE) {
            // SAFETY: memory_grow has just added these addresses, and nothing else refers to them: the allocator asks
            // for pages of its own.
            unsafe { (address as *mut u8).write_volatile(1) };
        }
    }
    Ok(())
}

/// Grows and touches memory until it is refused, then traps.
pub fn hog() -> ! {
    while grow(1).is_ok() {}
    trap()
}

/// The size in pages before the growth, `None` when it was refused.
fn memory_grow(pages: usize) -> Option<usize> {
    #[cfg(target_arch = "wasm32")]
    let old = core::arch::wasm32::memory_grow::<0>(pages);
    #[cfg(not(target_arch = "wasm32"))]
    let old = {
        let _ = pages;
        usize::MAX
    };
    (old != usize::MAX).then_some(old)
}
