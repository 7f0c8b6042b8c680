//! A client that knows when the first byte of an answer came.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

/// Nothing here takes longer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One request over a connection of its own, timed from before the connection.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Answer {
    /// Microseconds to the first byte of the answer.
    pub first_us: f64,
    /// Microseconds to its end.
    pub whole_us: f64,
}

/// `GET /` of a hostname. Blocks.
///
/// # Errors
/// If the answer is not 200.
pub fn get(address: SocketAddr, host: &str) -> Result<Answer> {
    let start = Instant::now();
    let connection = TcpStream::connect(address)?;
    ask(connection, host, start)
}

/// The same of a server that does not listen yet: asks again and again, timed from `start`. Blocks.
///
/// # Errors
/// If the answer is not 200, or none comes within a minute.
pub fn get_when_open(address: SocketAddr, host: &str, start: Instant) -> Result<Answer> {
    loop {
        match TcpStream::connect(address) {
            Ok(connection) => return ask(connection, host, start),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused && start.elapsed() < TIMEOUT => {
                std::thread::sleep(Duration::from_micros(100));
            }
            Err(error) => return Err(error).context("no connection"),
        }
    }
}

fn ask(mut connection: TcpStream, host: &str, start: Instant) -> Result<Answer> {
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut answer = vec![0; 4096];
    let read = connection.read(&mut answer)?;
    let first = start.elapsed();
    if read == 0 {
        bail!("no answer");
    }
    answer.truncate(read);
    connection.read_to_end(&mut answer)?;
    let whole = start.elapsed();
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    let us = |duration: Duration| duration.as_secs_f64() * 1e6;
    Ok(Answer { first_us: us(first), whole_us: us(whole) })
}
