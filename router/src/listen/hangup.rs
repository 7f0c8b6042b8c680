//! Notices a client that hangs up while nobody reads what it sent.
//!
//! hyper sees the end of a connection only when it reads, and it does not read while a backend leaves a request body
//! alone: its client could be long gone. The kernel knows (`EPOLLRDHUP`), but tells only whoever asks about a socket
//! without reading it, and hyper has the only handle. So, for the few requests that last in that state, a second handle
//! of the same socket asks.

use std::{io, os::fd::AsFd, sync::Arc};

use tokio::{io::Interest, net::TcpStream};
use tokio_util::task::AbortOnDropHandle;

use crate::serve::{Order, Peer};

/// Watches until it is dropped; cuts the connection if the client hangs up before.
pub(super) struct Hangup(#[expect(dead_code, reason = "held for its drop")] AbortOnDropHandle<()>);

impl Hangup {
    pub(super) fn watch(socket: &TcpStream, peer: &Arc<Peer>) -> io::Result<Self> {
        let twin = std::net::TcpStream::from(socket.as_fd().try_clone_to_owned()?);
        let twin = TcpStream::from_std(twin)?;
        let peer = Arc::clone(peer);
        let task = tokio::spawn(async move {
            // Of all interests this one alone ends with the reading side and not with bytes to read.
            if twin.ready(Interest::PRIORITY).await.is_ok_and(|ready| ready.is_read_closed()) {
                peer.tell(Order::Cut);
            }
        });
        Ok(Self(AbortOnDropHandle::new(task)))
    }
}
