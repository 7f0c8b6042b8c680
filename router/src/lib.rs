//! HTTP in, backend out: listeners, route tables, admission and filters, with no knowledge of WebAssembly or Kubernetes.

pub mod admit;
pub mod backend;
pub mod background;
pub mod body;
pub mod drain;
pub mod error;
pub mod filter;
mod kept;
pub mod listen;
pub mod observe;
pub mod policy;
pub mod route;
pub mod serve;
pub mod swap;
pub mod tls;

pub use backend::{Backend, BackendFuture, CallContext};
pub use body::{Body, BoxError};
pub use drain::{DrainSignal, DrainWatch};
pub use error::{Cause, Error, GrpcCode, Source};
pub use listen::{Listener, ListenerConfig, ListenerLimits, Networks};
pub use observe::{AccessRecord, Ended, Mirrored, Observer};
pub use serve::{
    Action, Budget, Budgets, Carrier, Mirror, NameRefused, Retry, SessionConfig, Sessions, Table, Target, Timeouts,
    Weighted,
};
pub use swap::{Generation, TableHandle};
