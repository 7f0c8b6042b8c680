//! Who is connected, and what each is to be told: latest wins, nobody waits for anybody.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use penstock_api::{control, snapshot::Snapshot};
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
}

#[derive(Default)]
struct Streams {
    leader: Leader,
    last: u64,
    by_host: BTreeMap<HostId, Entry>,
}

struct Entry {
    number: u64,
    snapshot: watch::Sender<Option<Arc<Snapshot>>>,
    peers: watch::Sender<Arc<control::Peers>>,
}

/// One stream's place among the hosts.
pub(super) struct Place {
    pub(super) host: HostId,
    number: u64,
    /// What the host is to be told: the newest snapshot. Its sender is gone once the stream is to end.
    pub(super) snapshot: watch::Receiver<Option<Arc<Snapshot>>>,
    /// Who else there is, the newest.
    pub(super) peers: watch::Receiver<Arc<control::Peers>>,
}

// === impl Hosts ===

impl Hosts {
    /// Nobody is connected, and nobody knows who leads. The receiver's end means that no handle is left.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<HostEvent>) {
        let (events, receiver) = mpsc::channel(EVENTS);
        (Self(Arc::new(Inner { streams: Mutex::default(), events })), receiver)
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

    /// Tells a host who else has its shares, in the same way. Nobody, until it is told.
    pub fn tell_peers(&self, host: &HostId, peers: Arc<control::Peers>) {
        if let Some(entry) = self.0.streams.lock().by_host.get(host) {
            entry.peers.send_replace(peers);
        }
    }

    /// Ends every stream, with a [`HostEvent::Disconnected`] for each. The hosts serve on and come again.
    pub fn disconnect_all(&self) {
        self.0.streams.lock().by_host.values_mut().for_each(Entry::end);
    }

    /// Ends the stream of one host, whose pod is gone for instance.
    pub fn disconnect(&self, host: &HostId) {
        self.0.streams.lock().by_host.get_mut(host).into_iter().for_each(Entry::end);
    }

    /// Says who leads. Hosts are taken in only while it is [`Leader::Me`]; those that are here when it no longer is are
    /// sent away.
    pub fn set_leader(&self, leader: Leader) {
        let mut streams = self.0.streams.lock();
        if leader != Leader::Me {
            streams.by_host.values_mut().for_each(Entry::end);
        }
        streams.leader = leader;
    }

    /// How many hosts are connected.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.0.streams.lock().by_host.len()
    }

    pub(super) fn leader(&self) -> Leader {
        self.0.streams.lock().leader.clone()
    }

    /// Takes a host in. A stream that it has already ends.
    ///
    /// # Errors
    /// Who leads instead, if this one does not (any more), or its controllers are gone.
    pub(super) async fn enter(&self, hello: Hello) -> Result<Place, Leader> {
        // A permit first, so that the event goes out under the lock: events of one host keep their order.
        let Ok(permit) = self.0.events.reserve().await else { return Err(Leader::Unknown) };
        let mut streams = self.0.streams.lock();
        if streams.leader != Leader::Me {
            return Err(streams.leader.clone());
        }
        streams.last += 1;
        let number = streams.last;
        let (sender, snapshot) = watch::channel(None);
        let (peers_sender, peers) = watch::channel(Arc::default());
        let host = hello.host.clone();
        streams.by_host.insert(host.clone(), Entry { number, snapshot: sender, peers: peers_sender });
        permit.send(HostEvent::Connected(hello));
        Ok(Place { host, number, snapshot, peers })
    }

    /// Whether a newer stream of the same host has taken this one's place.
    pub(super) fn replaced(&self, place: &Place) -> bool {
        let streams = self.0.streams.lock();
        streams.by_host.get(&place.host).is_some_and(|entry| entry.number != place.number)
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

// === impl Entry ===

impl Entry {
    /// The stream sees its sender gone, says so to the host, and leaves by itself.
    fn end(&mut self) {
        self.snapshot = watch::Sender::new(None);
    }
}

// === impl Streams ===

impl Streams {
    fn has(&self, place: &Place) -> bool {
        self.by_host.get(&place.host).is_some_and(|entry| entry.number == place.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::{MachineSignal, Report};

    fn hello(host: &str) -> Hello {
        Hello { host: host.into(), ..Hello::default() }
    }

    fn report(host: &str) -> HostEvent {
        HostEvent::Report { host: host.into(), report: Arc::new(Report::default()), changed: vec![] }
    }

    fn leading() -> (Hosts, mpsc::Receiver<HostEvent>) {
        let (hosts, events) = Hosts::new();
        hosts.set_leader(Leader::Me);
        (hosts, events)
    }

    fn names(events: &mut mpsc::Receiver<HostEvent>) -> Vec<String> {
        let mut names = Vec::new();
        while let Ok(event) = events.try_recv() {
            names.push(match event {
                HostEvent::Connected(hello) => format!("connected {}", hello.host),
                HostEvent::Report { host, .. } => format!("report {host}"),
                HostEvent::Signals { host, .. } => format!("signals {host}"),
                HostEvent::Disconnected { host } => format!("disconnected {host}"),
            });
        }
        names
    }

    #[tokio::test]
    async fn a_stream_that_was_replaced_says_nothing_more() {
        let (hosts, mut events) = leading();
        let old = hosts.enter(hello("a")).await.unwrap();
        assert!(hosts.tell(&old, report("a")).await);
        let new = hosts.enter(hello("a")).await.unwrap();
        assert!(hosts.replaced(&old) && !hosts.replaced(&new));
        assert!(!hosts.tell(&old, report("a")).await);
        hosts.leave(&old).await;
        assert!(hosts.tell(&new, report("a")).await);
        assert_eq!(names(&mut events), ["connected a", "report a", "connected a", "report a"]);
        hosts.leave(&new).await;
        assert_eq!(names(&mut events), ["disconnected a"]);
        assert_eq!(hosts.connected(), 0);
    }

    #[tokio::test]
    async fn the_last_push_wins_and_no_push_waits() {
        let (hosts, _events) = leading();
        let mut place = hosts.enter(hello("a")).await.unwrap();
        for version in 1..=3 {
            assert!(hosts.push(&"a".into(), Arc::new(Snapshot { version, ..Snapshot::default() })));
        }
        assert!(!hosts.push(&"b".into(), Arc::default()), "nobody of that name is here");
        place.snapshot.changed().await.unwrap();
        assert_eq!(place.snapshot.borrow_and_update().as_ref().unwrap().version, 3);
        assert!(!place.snapshot.has_changed().unwrap());
    }

    #[tokio::test]
    async fn who_does_not_lead_takes_nobody_in() {
        let (hosts, mut events) = Hosts::new();
        assert_eq!(hosts.enter(hello("a")).await.err(), Some(Leader::Unknown));
        hosts.set_leader(Leader::Me);
        let mut place = hosts.enter(hello("a")).await.unwrap();
        hosts.set_leader(Leader::At("10.0.0.7:9443".into()));
        assert!(place.snapshot.changed().await.is_err(), "its stream ends");
        hosts.leave(&place).await;
        assert_eq!(hosts.enter(hello("a")).await.err(), Some(Leader::At("10.0.0.7:9443".into())));
        assert_eq!(names(&mut events), ["connected a", "disconnected a"]);
    }

    #[tokio::test]
    async fn controllers_that_are_behind_hold_up_reports_and_lose_signals_only() {
        let (hosts, mut events) = leading();
        let place = hosts.enter(hello("a")).await.unwrap();
        for _ in 1..EVENTS {
            assert!(hosts.tell(&place, report("a")).await);
        }
        let signals = || HostEvent::Signals { host: "a".into(), machine: MachineSignal::default(), signals: vec![] };
        hosts.mention(&place, signals());
        let mut late = Box::pin(hosts.tell(&place, report("a")));
        assert!(futures_util::poll!(&mut late).is_pending(), "it waits");
        assert!(hosts.push(&"a".into(), Arc::default()), "what goes down does not");
        assert!(matches!(events.recv().await, Some(HostEvent::Connected(_))));
        assert!(late.await);
        let names = names(&mut events);
        assert_eq!(names.len(), EVENTS);
        assert!(names.iter().all(|name| name == "report a"));
    }
}
