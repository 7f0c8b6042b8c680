//! Accepts connections, come what may.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};

/// First and longest pause after an error of the system (no descriptors or memory left): long enough not to spin, short
/// enough to be back as soon as there are some.
const PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What an accepted connection comes with.
type Accepted = (TcpStream, SocketAddr, OwnedSemaphorePermit);

/// Accepts one connection after another while there are slots for them.
pub(super) struct Acceptor {
    socket: TcpListener,
    slots: Arc<Semaphore>,
    backoff: Backoff,
}

/// When to try again after errors.
#[derive(Debug, Default)]
struct Backoff {
    errors: u32,
    until: Option<Instant>,
}

// === impl Acceptor ===

impl Acceptor {
    pub(super) fn new(socket: TcpListener, slots: Arc<Semaphore>) -> Self {
        Self { socket, slots, backoff: Backoff::default() }
    }

    /// The next connection. It waits for a slot first, so that clients beyond the limit stay in the kernel's backlog.
    /// Cancel-safe, and a pause goes on where it was.
    pub(super) async fn accept(&mut self) -> Accepted {
        loop {
            if let Some(until) = self.backoff.until {
                sleep_until(until).await;
                self.backoff.until = None;
            }
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { std::future::pending().await };
            let accepted = self.socket.accept().await;
            if let Some((socket, client)) = self.take(accepted) {
                return (socket, client, slot);
            }
        }
    }

    /// Whether the system has none left of what a connection takes: descriptors, memory.
    pub(super) const fn is_short(&self) -> bool {
        self.backoff.errors > 0
    }

    fn take(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) -> Option<(TcpStream, SocketAddr)> {
        match accepted {
            Ok((socket, client)) => {
                self.backoff = Backoff::default();
                // Responses are written whole: there is nothing to gain from holding back their last segment.
                let _ = socket.set_nodelay(true);
                Some((socket, client))
            }
            // That client is gone; the next one may be there.
            Err(error) if is_of_client(&error) => None,
            Err(error) => {
                let pause = self.backoff.fail(Instant::now());
                tracing::warn!(%error, ?pause, "cannot accept connections; trying again");
                None
            }
        }
    }
}

fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

// === impl Backoff ===

impl Backoff {
    fn fail(&mut self, now: Instant) -> Duration {
        let pause = (PAUSE * 2_u32.saturating_pow(self.errors.min(16))).min(LONGEST_PAUSE);
        self.errors += 1;
        self.until = Some(now + pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_cap() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u128> = (0..12).map(|_| backoff.fail(Instant::now()).as_millis()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000, 1000]);
        backoff.errors = u32::MAX - 1;
        assert_eq!(backoff.fail(Instant::now()), LONGEST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_error_of_the_system_it_pauses_and_goes_on() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut acceptor = Acceptor::new(socket, Arc::new(Semaphore::new(1)));
        // EMFILE on every Unix that matters.
        assert!(acceptor.take(Err(io::ErrorKind::ConnectionAborted.into())).is_none());
        assert!(!acceptor.is_short());
        assert!(acceptor.take(Err(io::Error::from_raw_os_error(24))).is_none());
        assert!(acceptor.is_short());
        let until = acceptor.backoff.until.unwrap();
        let _client = std::net::TcpStream::connect(address).unwrap();
        let (_, _, slot) = acceptor.accept().await;
        assert!(Instant::now() >= until);
        assert_eq!(acceptor.backoff.errors, 0);
        let _other = std::net::TcpStream::connect(address).unwrap();
        assert!(tokio::time::timeout(LONGEST_PAUSE, acceptor.accept()).await.is_err(), "no slot is left");
        drop(slot);
        let _accepted = acceptor.accept().await;
    }
}
