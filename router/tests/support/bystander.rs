//! A client that asks for one thing after another on a connection of its own, and notes how long each takes.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Between two requests.
const PAUSE: Duration = Duration::from_millis(2);
/// The one answer that takes longer than this is a failure by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection of HTTP/1 for one request after the other. Blocking: the time is the router's, not an event loop's.
pub struct Asks {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Asks {
    pub fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, buffer: vec![0; 16 << 10] }
    }

    /// The body of the answer, which must be 200.
    pub fn get(&mut self, path: &str) -> String {
        write!(self.socket, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").expect("the connection was closed");
        let mut used = 0;
        loop {
            let read = self.socket.read(&mut self.buffer[used..]).expect("no answer in time");
            assert!(read > 0, "closed without an answer to {path}");
            used += read;
            let text = std::str::from_utf8(&self.buffer[..used]).unwrap();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {text}");
                return body.to_owned();
            }
        }
    }
}

/// One that asks for `/ok` until it is told to stop.
pub struct Bystander {
    stop: Arc<AtomicBool>,
    asking: JoinHandle<Vec<Duration>>,
}

/// How long its answers took, in order.
#[derive(Debug)]
pub struct Took(Vec<Duration>);

impl Bystander {
    pub fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let asking = std::thread::spawn(move || {
            let mut asks = Asks::connect(address);
            let mut took = Vec::new();
            while !stopped.load(Relaxed) {
                let asked = Instant::now();
                assert_eq!(asks.get("/ok"), "ok");
                took.push(asked.elapsed());
                std::thread::sleep(PAUSE);
            }
            took
        });
        Self { stop, asking }
    }

    pub fn stop(self) -> Took {
        self.stop.store(true, Relaxed);
        let mut took = self.asking.join().expect("the bystander was not answered");
        took.sort();
        Took(took)
    }

    /// One for so long.
    pub fn alone(address: SocketAddr, time: Duration) -> Took {
        let bystander = Self::start(address);
        std::thread::sleep(time);
        bystander.stop()
    }
}

impl Took {
    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }

    pub fn p99(&self) -> Duration {
        self.0[self.0.len() * 99 / 100]
    }

    pub fn longest(&self) -> Duration {
        *self.0.last().unwrap()
    }
}
