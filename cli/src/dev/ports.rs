//! Ports for Services' own listeners, each the same for as long as `penstock dev` runs.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr, TcpListener},
};

/// Which listener has which port.
#[derive(Debug)]
pub(crate) struct Ports {
    ip: IpAddr,
    first: Option<u16>,
    given: BTreeMap<String, u16>,
}

impl Ports {
    /// Ports from `first` up on the address that the shared listener has; with `first` 0 the system chooses.
    pub(crate) fn new(shared: SocketAddr, first: u16) -> Self {
        let first = (shared.port() != 0 && first != 0).then_some(first);
        Self { ip: shared.ip(), first, given: BTreeMap::new() }
    }

    /// The address of a listener. One that has been removed keeps its port for the case that it comes back.
    pub(crate) fn of(&mut self, listener: &str) -> SocketAddr {
        let ip = self.ip;
        self.choose(listener, &|port| TcpListener::bind((ip, port)).is_ok())
    }

    fn choose(&mut self, listener: &str, free: &dyn Fn(u16) -> bool) -> SocketAddr {
        let Some(first) = self.first else { return (self.ip, 0).into() };
        if let Some(port) = self.given.get(listener) {
            return (self.ip, *port).into();
        }
        let given: Vec<u16> = self.given.values().copied().collect();
        let port = (first..=u16::MAX).find(|port| !given.contains(port) && free(*port)).unwrap_or(0);
        self.given.insert(listener.to_owned(), port);
        (self.ip, port).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_keeps_its_port() {
        let mut ports = Ports::new(([127, 0, 0, 1], 8000).into(), 8100);
        let mut port = |listener: &str| ports.choose(listener, &|port| port != 8101).port();
        assert_eq!(port("default/b:http"), 8100);
        // 8101 belongs to another program.
        assert_eq!(port("default/c:http"), 8102);
        assert_eq!(port("default/a:http"), 8103);
        assert_eq!(port("default/b:http"), 8100);
    }

    #[test]
    fn the_system_chooses_where_it_does_for_the_shared_listener() {
        for (shared, first) in [(0, 8100), (8000, 0)] {
            let mut ports = Ports::new(([127, 0, 0, 1], shared).into(), first);
            assert_eq!(ports.choose("a", &|_| true).port(), 0);
        }
    }
}
