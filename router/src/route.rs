//! Which rule answers a request: Gateway API's HTTPRoute matching and precedence as pure functions over a compiled table.
//!
//! A [`Route`] lists hostnames and [`Rule`]s, a rule lists [`Match`]es and carries an action of any type. [`RouteTable::compile`] sorts
//! every (hostname, match) pair by the one derived order of `rank`, and indexes the sorted list, so that [`RouteTable::find`]
//! only looks at pairs whose hostname and path already fit. Nothing here knows of sockets, clocks or components.

mod explain;
mod header;
mod host;
mod index;
mod normalise;
mod path;
mod query;
mod rank;
mod rule;
mod table;
mod value;

pub use explain::{Considered, Explanation, Loser, Lost};
pub use header::HeaderMatch;
pub use host::{HostPattern, HostRefused};
pub(crate) use index::Hit;
pub use normalise::{PathRefused, normalise};
pub use path::{Matched, PathMatch, PathPatternRefused};
pub use query::QueryMatch;
pub use rank::Decider;
pub use rule::{Match, Route, Rule};
pub use table::{Found, RequestKey, RouteTable, Row, Shadowed};
pub use value::{RegexMatch, RegexRefused, StringMatch};
