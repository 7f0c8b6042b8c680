//! Looks at the times of all connections of a listener, so that none of them arms timers of its own.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::serve::{Order, Peer, Shared};

/// The keeper looks this many times within the shortest of the timeouts, so that none is late by more than that part.
const LOOKS: u32 = 8;
const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(500);

/// While nobody can be let in, each look closes this part of the connections, of those that have been idle the longest ...
const ROOM: usize = 4;
/// ... for so long, at least: whoever has just been answered may have the next request on its way.
const AT_EASE: Duration = Duration::from_secs(1);

/// The connections of a listener.
pub(super) struct Keeper {
    peers: Vec<Weak<Peer>>,
    /// Most that there can be.
    places: usize,
    /// Sweep when there are so many, so that many short connections between two looks do not pile up.
    sweep_at: usize,
    interval: Interval,
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(shared: &Shared) -> Self {
        let limits = &shared.config.limits;
        let timeouts = [limits.header_read_timeout, limits.idle_timeout, limits.request_timeout];
        let shortest = timeouts.into_iter().filter(|timeout| !timeout.is_zero()).min().unwrap_or(LONGEST);
        let mut interval = interval((shortest / LOOKS).clamp(SHORTEST, LONGEST));
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { peers: Vec::new(), places: limits.connections.max(1), sweep_at: 64, interval }
    }

    pub(super) fn keep(&mut self, peer: &Arc<Peer>) {
        self.peers.push(Arc::downgrade(peer));
        if self.peers.len() >= self.sweep_at {
            self.peers.retain(|peer| peer.strong_count() > 0);
            self.sweep_at = (self.peers.len() * 2).max(64);
        }
    }

    /// Waits for the next look, and looks. Without connections it waits for ever. Cancel-safe.
    pub(super) async fn tick(&mut self) {
        if self.peers.is_empty() {
            std::future::pending::<()>().await;
        }
        let now: Instant = self.interval.tick().await;
        self.peers.retain(|peer| {
            let Some(peer) = peer.upgrade() else { return false };
            peer.tell(peer.due(now));
            true
        });
        if self.peers.len() >= self.places {
            self.make_room();
        }
    }

    /// Closes connections that nobody uses, while others wait to be accepted: a client that opens many of them and says
    /// nothing does not keep the rest out until its time is up.
    pub(super) fn make_room(&self) {
        let now = Instant::now();
        let peers = self.peers.iter().filter_map(Weak::upgrade);
        let mut idle: Vec<(Duration, Arc<Peer>)> =
            peers.filter_map(|peer| Some((peer.idle(now).filter(|idle| *idle >= AT_EASE)?, peer))).collect();
        idle.sort_unstable_by_key(|(idle, _)| std::cmp::Reverse(*idle));
        for (_, peer) in idle.iter().take(self.peers.len().div_ceil(ROOM)) {
            peer.tell(peer.dismiss(now));
        }
    }

    pub(super) fn tell(&self, order: Order) {
        for peer in self.peers.iter().filter_map(Weak::upgrade) {
            peer.tell(order);
        }
    }
}
