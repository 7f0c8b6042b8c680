//! Nothing: see `tests/gate.rs`.
