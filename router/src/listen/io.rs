//! A connection's socket, with an eye on how it is going.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[cfg(target_os = "linux")]
use super::hangup::Hangup;
use super::{frames::Frames, framing::Framing, stream::Stream};
use crate::serve::Peer;

/// The socket of one connection: gives back what was read to tell the protocol, follows the framing of HTTP/1 and the frames
/// of HTTP/2, and notes when the client keeps us waiting.
pub(crate) struct Io {
    socket: Stream,
    peer: Arc<Peer>,
    /// Read already, to tell HTTP/1 from HTTP/2.
    prefix: Bytes,
    followed: Followed,
    mid_head: bool,
    /// A chunked body broke: nothing that follows is read.
    broken: bool,
    blocked: bool,
    #[cfg(target_os = "linux")]
    hangup: Option<Hangup>,
}

/// What is looked at beside hyper.
enum Followed {
    Http1(Framing),
    Http2(Frames),
}

// === impl Io ===

impl Io {
    pub(crate) fn http1(socket: Stream, peer: Arc<Peer>, prefix: Bytes) -> Self {
        Self::new(socket, peer, prefix, Followed::Http1(Framing::default()))
    }

    pub(crate) fn http2(socket: Stream, peer: Arc<Peer>, prefix: Bytes) -> Self {
        Self::new(socket, peer, prefix, Followed::Http2(Frames::new()))
    }

    const fn new(socket: Stream, peer: Arc<Peer>, prefix: Bytes, followed: Followed) -> Self {
        Self {
            socket,
            peer,
            prefix,
            followed,
            mid_head: false,
            broken: false,
            blocked: false,
            #[cfg(target_os = "linux")]
            hangup: None,
        }
    }

    /// Whether the client is still sending a message that nobody reads any more.
    pub(crate) fn mid_message(&self) -> bool {
        matches!(&self.followed, Followed::Http1(framing) if framing.mid_message())
    }

    pub(crate) fn into_socket(self) -> Stream {
        self.socket
    }

    /// Looks at what was read, and says how much of it may be passed on.
    fn saw(&mut self, bytes: &[u8]) -> usize {
        let framing = match &mut self.followed {
            Followed::Http1(framing) => framing,
            Followed::Http2(frames) => return frames.feed(bytes),
        };
        let seen = framing.feed(bytes);
        if let Some(head) = seen.doubtful {
            self.peer.doubt(head);
        }
        if seen.mid_head != self.mid_head {
            self.mid_head = seen.mid_head;
            self.peer.reading_head(seen.mid_head);
        }
        self.broken = seen.broken.is_some();
        seen.broken.unwrap_or(bytes.len())
    }

    /// hyper flushes after every step of a connection, so this is where a wish of the keeper is seen.
    #[cfg(target_os = "linux")]
    fn watch_hangup(&mut self) {
        if self.peer.watches_hangup() != self.hangup.is_some() {
            self.hangup = match self.hangup {
                // Without a second handle (no descriptors left) the deadline ends the request.
                None => self.socket.socket().and_then(|socket| Hangup::watch(socket, &self.peer).ok()),
                Some(_) => None,
            };
        }
    }

    fn wrote(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let (Followed::Http2(frames), Poll::Ready(Ok(bytes))) = (&mut self.followed, &result) {
            frames.wrote(*bytes);
        }
        if result.is_pending() != self.blocked {
            self.blocked = result.is_pending();
            self.peer.write_blocked(self.blocked);
        }
        result
    }
}

fn flooded() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the client sent too many frames that carry nothing")
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the request's chunked body is malformed")
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.broken {
            return Poll::Ready(Err(broken()));
        }
        if let Followed::Http2(frames) = &mut this.followed
            && frames.over()
        {
            return Poll::Ready(if frames.last_word(buf) { Ok(()) } else { Err(flooded()) });
        }
        let before = buf.filled().len();
        if this.prefix.is_empty() {
            std::task::ready!(Pin::new(&mut this.socket).poll_read(cx, buf))?;
        } else {
            let take = this.prefix.len().min(buf.remaining());
            buf.put_slice(&this.prefix[..take]);
            this.prefix.advance(take);
            // What follows it is mostly there already, and so comes into the same buffer of hyper's.
            if let Poll::Ready(Err(error)) = Pin::new(&mut this.socket).poll_read(cx, buf) {
                return Poll::Ready(Err(error));
            }
        }
        let passed = this.saw(&buf.filled()[before..]);
        if this.broken && passed == 0 {
            return Poll::Ready(Err(broken()));
        }
        // What is left reads as the body up to where it breaks; the next read says so.
        buf.set_filled(before + passed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        #[cfg(target_os = "linux")]
        self.watch_hangup();
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
