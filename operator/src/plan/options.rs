//! What a plan needs to know beside the objects.

use std::fmt;

use super::Name;

/// A port of a Service that needs a listener.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServicePort {
    /// The Service.
    pub service: Name,
    /// The port's name; a port without one goes by its number.
    pub port_name: String,
    /// The Service's own port, not the listener's.
    pub port: u16,
}

impl fmt::Display for ServicePort {
    /// The listener's name: `namespace/service:port-name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.port_name)
    }
}

/// What a plan needs to know beside the objects.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The snapshot's version.
    pub version: u64,
    /// Where the shared listener listens; none: there is no such listener.
    pub shared_address: Option<&'a str>,
    /// Whether hostnames of HTTPRoutes are served by the shared listener too. In a cluster a gateway does that.
    pub shared_http_routes: bool,
    /// Where the listener of a Service's port listens. It must answer the same each time it is asked, and never the same
    /// for two ports; none: there is no address left.
    pub service_address: &'a dyn Fn(&ServicePort) -> Option<String>,
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("version", &self.version)
            .field("shared_address", &self.shared_address)
            .field("shared_http_routes", &self.shared_http_routes)
            .finish_non_exhaustive()
    }
}
