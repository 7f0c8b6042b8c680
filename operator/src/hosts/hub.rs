//! Who is connected, and what each is to be told: latest wins, nobody waits for anybody.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use penstock_api::snapshot::Snapshot;
use tokio::sync::{mpsc, watch};

use super::{Hello, HostEvent, HostId, Leader};

/// Events that wait for the controllers. Beyond it hosts are read no further until there is room, so that a burst costs
/// time and not memory.
const EVENTS: usize = 4096;

/// The connected hosts. Clones share them.
#[derive(Clone)]
pub struct Hosts(Arc<Inner>);

struct Inner {
    streams: Mutex<Streams>,
    events: mpsc::Sender<HostEvent>,
    leader: watch::Sender<Leader>,
}

#[derive(Default)]
struct Streams {
    last: u64,
    by_host: BTreeMap<HostId, Entry>,
}

struct Entry {
    number: u64,
    snapshot: watch::Sender<Option<Arc<Snapshot>>>,
}

/// One stream's place among the hosts.
pub(super) struct Place {
    pub(super) host: HostId,
    number: u64,
    /// What the host is to be told: the newest snapshot. Its sender is gone once the stream is to end.
    pub(super) snapshot: watch::Receiver<Option<Arc<Snapshot>>>,
}

// === impl Hosts ===

impl Hosts {
    /// Nobody is connected, and nobody knows who leads. The receiver's end means that no handle is left.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<HostEvent>) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let leader = watch::Sender::new(Leader::Unknown);
        (Self(Arc::new(Inner { streams: Mutex::default(), events, leader })), receiver)
    }

    /// Tells a host what it should run and route. Never waits: of several snapshots that a host could not take in yet, it
    /// gets the last. Returns whether the host is connected; one that connects later is announced by
    /// [`HostEvent::Connected`] and waits for a push of its own.
    pub fn push(&self, host: &HostId, snapshot: Arc<Snapshot>) -> bool {
        let streams = self.0.streams.lock();
        streams.by_host.get(host).is_some_and(|entry| {
            entry.snapshot.send_replace(Some(snapshot));
            true
        })
    }

    /// Ends every stream, with a [`HostEvent::Disconnected`] for each. The hosts serve on and come again.
    pub fn disconnect_all(&self) {
        let mut streams = self.0.streams.lock();
        for entry in streams.by_host.values_mut() {
            // The stream sees its sender gone, says so and leaves by itself.
            entry.snapshot = watch::Sender::new(None);
        }
    }

    /// Says who leads. Hosts are taken in only while it is [`Leader::Me`]; those that are here when it no longer is are
    /// sent away.
    pub fn set_leader(&self, leader: Leader) {
        let lost = leader != Leader::Me;
        self.0.leader.send_replace(leader);
        if lost {
            self.disconnect_all();
        }
    }

    /// How many hosts are connected.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.0.streams.lock().by_host.len()
    }

    pub(super) fn leader(&self) -> Leader {
        self.0.leader.borrow().clone()
    }

    /// Takes a host in. A stream that it has already ends. `None`: the controllers are gone.
    pub(super) async fn enter(&self, hello: Hello) -> Option<Place> {
        // A permit first, so that the event goes out under the lock: events of one host keep their order.
        let permit = self.0.events.reserve().await.ok()?;
        let mut streams = self.0.streams.lock();
        streams.last += 1;
        let number = streams.last;
        let (sender, snapshot) = watch::channel(None);
        let host = hello.host.clone();
        streams.by_host.insert(host.clone(), Entry { number, snapshot: sender });
        permit.send(HostEvent::Connected(hello));
        Some(Place { host, number, snapshot })
    }

    /// Passes an event of a stream on, if it is still its host's. `false`: it is not, or the controllers are gone.
    pub(super) async fn tell(&self, place: &Place, event: HostEvent) -> bool {
        let Ok(permit) = self.0.events.reserve().await else { return false };
        let streams = self.0.streams.lock();
        let current = streams.has(place);
        if current {
            permit.send(event);
        }
        current
    }

    /// The same for what is old news in a moment: left out when the controllers are behind.
    pub(super) fn mention(&self, place: &Place, event: HostEvent) {
        let Ok(permit) = self.0.events.try_reserve() else { return };
        if self.0.streams.lock().has(place) {
            permit.send(event);
        }
    }

    /// The stream has ended.
    pub(super) async fn leave(&self, place: &Place) {
        let permit = self.0.events.reserve().await;
        let mut streams = self.0.streams.lock();
        if streams.has(place) {
            streams.by_host.remove(&place.host);
            if let Ok(permit) = permit {
                permit.send(HostEvent::Disconnected { host: place.host.clone() });
            }
        }
    }
}

// === impl Streams ===

impl Streams {
    fn has(&self, place: &Place) -> bool {
        self.by_host.get(&place.host).is_some_and(|entry| entry.number == place.number)
    }
}
