//! What the sample guests of both WASI versions share: reading the request's target, writing JSON, faults that need
//! no host, the state of one instance, and `wasi:config/store` (which has one version for both).

mod config;
mod fault;
mod flaky;
mod json;
mod state;
mod target;

pub use config::config;
pub use fault::{burn, grow, hog, recurse, spin, trap, work};
pub use flaky::fails;
pub use json::{Json, pairs};
pub use state::{Call, State, called, in_call};
pub use target::{Target, Url, chunk, fnv1a};
