//! Other hosts with the same shares: calls for which there is no place here go there, and theirs come here.
//!
//! Off unless a workload asks for it (`capacity.whenFull: Spill`). kube-proxy chooses hosts blindly: with 12, 10 and 7 replicas
//! on three hosts each gets a third of the connections, and the last one's clients wait while places are free elsewhere. A call that
//! finds no place is passed on, once, to a host that is thought to have one; that one takes it at once or says no, and then it
//! waits where it came in, as without spilling. What was passed on is never passed on again: a peer's calls go to instances
//! straight, past all routes.
//!
//! - Who else has a share, and how loaded it is, the operator says each second ([`Peers::update`]); every answer of a peer says it
//!   anew ([`book`]).
//! - Each host has a key of its own, and shows a certificate that the operator has signed for its name, as a client and as a
//!   server ([`identity`]). Without one nothing is passed on and nobody is let in.
//! - One HTTP/2 connection leads to each peer, opened before it is needed ([`link`]).

mod book;
mod identity;
mod link;
mod pass;
mod server;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Weak},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use penstock_api::control;
use penstock_router::DrainWatch;
use tokio::task::JoinHandle;

pub use self::identity::IdentityError;
pub(crate) use self::pass::Passing;
use self::{identity::Identity, link::Link, pass::Told};
use crate::workload::Share;

/// A host among others.
pub struct Peers {
    port: u16,
    identity: Arc<Identity>,
    known: Mutex<Known>,
    /// What calls of peers lead to: the shares here that are ready.
    serving: ArcSwap<BTreeMap<String, Arc<Share>>>,
}

#[derive(Default)]
struct Known {
    /// What the operator said last: a share that starts later begins with it.
    said: Vec<control::Peer>,
    links: BTreeMap<(String, SocketAddr), Arc<Link>>,
    /// Of each share here that passes calls on.
    passing: BTreeMap<String, Weak<Passing>>,
}

// === impl Peers ===

impl Peers {
    /// Begins to listen for peers, which are let in once there is a certificate. The task ends when the host has drained and
    /// the last call of a peer has ended.
    pub(crate) fn start(
        listener: std::net::TcpListener,
        host_id: &str,
        drain: DrainWatch,
    ) -> Result<(Arc<Self>, JoinHandle<()>), PeersError> {
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let identity = Arc::new(Identity::new(host_id)?);
        let this = Arc::new(Self { port, identity, known: Mutex::default(), serving: ArcSwap::default() });
        let serving = tokio::spawn(server::serve(listener, this.clone(), drain));
        Ok((this, serving))
    }

    /// Where peers reach this host.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What the operator is asked to sign (RFC 2986, DER).
    #[must_use]
    pub fn certificate_request(&self) -> Vec<u8> {
        self.identity.request().to_vec()
    }

    /// What the operator has signed. Connections that are open keep what they began with.
    ///
    /// # Errors
    /// When it is not for this host's key, or no certificate at all; the one before stays.
    pub fn certify(&self, certificate: &control::Certificate) -> Result<(), IdentityError> {
        self.identity.set(&certificate.chain, &certificate.authorities)
    }

    /// Who there is now, and how loaded. What a peer has begun it finishes.
    pub fn update(&self, peers: control::Peers) {
        let mut known = self.known.lock();
        let mut wanted = BTreeSet::new();
        for peer in &peers.peers {
            match peer.address.parse::<SocketAddr>() {
                Ok(address) => drop(wanted.insert((peer.host_id.clone(), address))),
                Err(error) => {
                    tracing::warn!(peer = peer.host_id, address = peer.address, %error, "no address of a peer")
                }
            }
        }
        known.links.retain(|key, _| wanted.contains(key));
        for key in wanted {
            let (host, address) = key.clone();
            known.links.entry(key).or_insert_with(|| Link::open(host, address, self.identity.clone()));
        }
        known.said = peers.peers;
        known.passing.retain(|_, it| it.strong_count() > 0);
        for (share, passing) in &known.passing {
            if let Some(passing) = passing.upgrade() {
                passing.update(known.told(share));
            }
        }
    }

    /// How calls of a share are passed on.
    pub(crate) fn passing(&self, share: &str) -> Arc<Passing> {
        let mut known = self.known.lock();
        let passing = Passing::new(share.into());
        passing.update(known.told(share));
        known.passing.insert(share.to_owned(), Arc::downgrade(&passing));
        passing
    }

    /// Says which shares take calls of peers from now on.
    pub(crate) fn serve(&self, shares: BTreeMap<String, Arc<Share>>) {
        self.serving.store(Arc::new(shares));
    }
}

// === impl Known ===

impl Known {
    /// What is known of one share elsewhere.
    fn told(&self, share: &str) -> Vec<Told> {
        self.said
            .iter()
            .filter_map(|peer| {
                let key = (peer.host_id.clone(), peer.address.parse().ok()?);
                let there = peer.shares.iter().find(|it| it.id == share)?;
                let link = self.links.get(&key)?.clone();
                Some(Told { link, capacity: there.capacity, in_flight: there.in_flight })
            })
            .collect()
    }
}

/// Why a host has no place among others.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// The port cannot be used.
    #[error(transparent)]
    Socket(#[from] std::io::Error),
    /// There is no key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}
