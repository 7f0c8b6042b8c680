//! Takes the header off a connection, and not one byte more: what follows may be TLS, or either HTTP.

use std::io;

use tokio::{io::AsyncReadExt, net::TcpStream};

use super::{ENOUGH, Header, HeaderError, Parsed, parse};

/// Why a connection has no header.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the PROXY header is not one: {0}")]
    Header(#[from] HeaderError),
    #[error("the connection ended within the PROXY header")]
    Closed,
    #[error("the PROXY header cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Reads the header that must stand at the start of the connection. Waits for ever for a peer that does not send one.
///
/// The bytes are looked at before they are taken: a line of version 1 tells its end only by its end. Whatever does not make
/// a header whole is part of it and is taken, so that the next look waits for what is new.
pub(crate) async fn read(socket: &mut TcpStream) -> Result<Header, ReadError> {
    let mut buffer = [0; ENOUGH];
    let mut used = 0;
    loop {
        let seen = socket.peek(&mut buffer[used..]).await?;
        if seen == 0 {
            return Err(ReadError::Closed);
        }
        match parse(&buffer[..used + seen])? {
            Parsed::Partial => {
                socket.read_exact(&mut buffer[used..used + seen]).await?;
                used += seen;
            }
            Parsed::Whole { header, length } => {
                skip(socket, length.saturating_sub(used), &mut buffer).await?;
                return Ok(header);
            }
        }
    }
}

async fn skip(socket: &mut TcpStream, mut left: usize, waste: &mut [u8]) -> Result<(), ReadError> {
    while left > 0 {
        let most = left.min(waste.len());
        match socket.read(&mut waste[..most]).await? {
            0 => return Err(ReadError::Closed),
            read => left -= read,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.set_nodelay(true).unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn what_follows_the_header_is_left_however_the_bytes_arrive() {
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n";
        let tlvs = [b"\r\n\r\n\0\r\nQUIT\n\x20\0\x01\x2c".as_slice(), &[7; 300]].concat();
        for header in [&line[..], &tlvs] {
            for step in [1, 7, 1000] {
                let (mut client, mut server) = pair().await;
                let bytes = [header, b"PRI"].concat();
                let sends = tokio::spawn(async move {
                    for part in bytes.chunks(step) {
                        client.write_all(part).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                });
                let said = read(&mut server).await.unwrap();
                assert_eq!(said == Header::Local, header != line);
                let mut rest = String::new();
                server.read_to_string(&mut rest).await.unwrap();
                assert_eq!(rest, "PRI", "steps of {step}");
                sends.await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_header_that_ends_early_or_is_none_is_an_error() {
        for (bytes, message) in [
            (&b""[..], "the connection ended within the PROXY header"),
            (b"PROXY TCP4 ", "the connection ended within the PROXY header"),
            (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\x01", "the connection ended within the PROXY header"),
            (
                b"GET / HTTP/1.1\r\n",
                "the PROXY header is not one: it begins neither with PROXY nor with the signature of version 2",
            ),
        ] {
            let (mut client, mut server) = pair().await;
            client.write_all(bytes).await.unwrap();
            drop(client);
            assert_eq!(read(&mut server).await.unwrap_err().to_string(), message);
        }
    }
}
