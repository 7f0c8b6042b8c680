//! Ports of listeners: one for each port of each Service, the same on all hosts. EndpointSlices are the record.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::RangeInclusive,
};

use sha2::{Digest, Sha256};

use super::Name;

/// Which listener has which port.
#[derive(Clone, Debug)]
pub struct Ports {
    range: RangeInclusive<u16>,
    owners: BTreeMap<u16, (Name, String)>,
    by_service: BTreeMap<Name, BTreeMap<String, u16>>,
}

impl Ports {
    /// None is taken. Before the first [`Ports::allocate`], all that EndpointSlices say is to be [recorded](Ports::record).
    #[must_use]
    pub fn new(range: RangeInclusive<u16>) -> Self {
        Self { range, owners: BTreeMap::new(), by_service: BTreeMap::new() }
    }

    /// Takes over what an EndpointSlice says. False if the port is another's, out of range, or the Service's port has
    /// another one already: then the slice is to be put right.
    pub fn record(&mut self, service: &Name, port_name: &str, port: u16) -> bool {
        if self.range.contains(&port)
            && let Entry::Vacant(free) = self.owners.entry(port)
        {
            let known = self.by_service.entry(service.clone()).or_default();
            if let Entry::Vacant(own) = known.entry(port_name.to_owned()) {
                own.insert(port);
                free.insert((service.clone(), port_name.to_owned()));
                return true;
            }
        }
        self.get(service, port_name) == Some(port)
    }

    /// The port of a Service's port, if it has one.
    #[must_use]
    pub fn get(&self, service: &Name, port_name: &str) -> Option<u16> {
        self.by_service.get(service)?.get(port_name).copied()
    }

    /// Ports for all of a Service's ports, by their names ([`super::ServicePort::port_name`]: a port without a name goes by
    /// its number). Those that have one keep it, those that are no longer named lose
    /// it; a name without a port in the answer means that none is left.
    pub fn allocate<'a>(
        &mut self,
        service: &Name,
        port_names: impl IntoIterator<Item = &'a str>,
    ) -> BTreeMap<String, u16> {
        let mut known = self.by_service.remove(service).unwrap_or_default();
        let mut ports: BTreeMap<String, Option<u16>> =
            port_names.into_iter().map(|name| (name.to_owned(), known.remove(name))).collect();
        // Given back before new ones are taken, so that a full range suffices for a Service that renames its ports.
        for port in known.values() {
            self.owners.remove(port);
        }
        for (name, port) in ports.iter_mut().filter(|it| it.1.is_none()) {
            *port = self.free(service, name);
            if let Some(port) = port {
                self.owners.insert(*port, (service.clone(), name.clone()));
            }
        }
        let ports: BTreeMap<String, u16> = ports.into_iter().filter_map(|(name, port)| Some((name, port?))).collect();
        if !ports.is_empty() {
            self.by_service.insert(service.clone(), ports.clone());
        }
        ports
    }

    /// A free port, first of all the one that this name had if it ever had one: where the search begins depends on the name
    /// alone, so that a Service that comes again is likely to find its ports, and one that is new to find none that
    /// somebody just gave back.
    fn free(&self, service: &Name, port_name: &str) -> Option<u16> {
        let (first, last) = (*self.range.start(), *self.range.end());
        let size = u64::from(last.checked_sub(first)?) + 1;
        let hash = Sha256::digest(format!("{service}:{port_name}"));
        let start = hash.iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte)) % size;
        let ports = (start..size).chain(0..start).filter_map(|at| first.checked_add(u16::try_from(at).ok()?));
        ports.into_iter().find(|it| !self.owners.contains_key(it))
    }

    /// Gives back all ports of a Service that is gone.
    pub fn release(&mut self, service: &Name) {
        for port in self.by_service.remove(service).into_iter().flatten() {
            self.owners.remove(&port.1);
        }
    }
}
