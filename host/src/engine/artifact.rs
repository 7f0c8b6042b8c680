//! From an `image` to a component that can be linked: fetch, check by digest, compile once, keep.

mod common;
mod compiled;
mod digest;
mod disk;
mod error;
mod file;
mod inspect;
mod oci;
mod precompiled;
mod reference;
mod request;
mod seal;
mod single_flight;
mod sniff;
mod store;
mod sweep;

pub use common::CommonOptions;
pub use compiled::{Compiled, Origin};
pub use digest::{Digest, InvalidDigest};
pub use error::{ArtifactError, ArtifactWarning};
pub use inspect::{Export, Import, Inspection, Role, inspect};
pub use oci::{PullLimits, Tried};
pub use reference::ImageRef;
pub use request::{Fetched, ImageRequest, StoreOptions};
pub use store::ArtifactStore;
