//! A listener with TLS: which certificate is shown to whom, who is let in, and all of it replaced while connections live.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/server.rs"]
mod server;

use std::{
    io::{Read as _, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use authority::Authority;
use penstock_router::{
    Backend, ListenerConfig, ListenerLimits,
    tls::{Certificate, ClientCertificates, Failure, Tls, TlsConfig, TlsHandle},
};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, StreamOwned,
    pki_types::{CertificateDer, ServerName},
};
use server::{Server, all_to, backend, gate, ok};
use tokio::{io::AsyncReadExt as _, task::spawn_blocking};

/// A client's connection. Blocking: rustls says then what a handshake was.
struct Client(StreamOwned<ClientConnection, std::net::TcpStream>);

impl Client {
    fn connect(server: std::net::SocketAddr, config: &Arc<ClientConfig>, host: &str) -> std::io::Result<Self> {
        let socket = std::net::TcpStream::connect(server)?;
        socket.set_read_timeout(Some(server::PATIENCE))?;
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self(stream))
    }

    fn get(&mut self, host: &str, headers: &str) -> std::io::Result<String> {
        write!(self.0, "GET / HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n")?;
        let mut text = String::new();
        let mut buffer = [0; 4096];
        loop {
            let read = self.0.read(&mut buffer)?;
            text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if read == 0 || length.is_some_and(|it| body.len() >= it.parse().unwrap()) {
                return Ok(text);
            }
        }
    }

    fn shown(&self) -> CertificateDer<'static> {
        self.0.conn.peer_certificates().unwrap()[0].clone().into_owned()
    }

    fn kind(&self) -> HandshakeKind {
        self.0.conn.handshake_kind().unwrap()
    }
}

/// Answers with what it knows of the client.
fn told() -> Arc<dyn Backend> {
    backend(|request, context| async move {
        let header = request.headers().get("x-forwarded-client-cert");
        ok(format!("tls={} {}", context.tls, header.map_or("nobody", |it| it.to_str().unwrap())))
    })
}

fn serve(config: &TlsConfig) -> (Server, TlsHandle) {
    let handle = TlsHandle::new(Tls::new(config, None).unwrap());
    let limits = ListenerLimits { handshake_timeout: Duration::from_millis(300), ..ListenerLimits::default() };
    let admission = gate(1000, 1000);
    let config = ListenerConfig { limits, tls: Some(handle.clone()), ..ListenerConfig::new("test") };
    (Server::with_all(all_to(&told(), &admission), admission, config), handle)
}

fn only(certificates: Vec<Certificate>) -> TlsConfig {
    TlsConfig { certificates, clients: ClientCertificates::Ignored }
}

fn failures(handle: &TlsHandle, cause: Failure) -> u64 {
    handle.failures().find(|it| it.0 == cause).unwrap().1
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(work).await.unwrap()
}

#[tokio::test]
async fn each_host_gets_its_certificate_and_no_request_of_another() {
    let authority = Authority::new("ours");
    let (first, one) = authority.issue(&["a.example", "b.example"]);
    let (second, two) = authority.issue(&["*.c.example"]);
    let (server, handle) = serve(&only(vec![one, two]));
    let (address, config) = (server.address, authority.client(None, &["http/1.1"]));
    blocking(move || {
        let mut client = Client::connect(address, &config, "a.example").unwrap();
        assert_eq!(client.shown(), first);
        assert!(client.get("a.example", "").unwrap().ends_with("tls=true nobody"));
        assert!(client.get("B.example:443", "").unwrap().starts_with("HTTP/1.1 200"), "the same certificate");
        let misdirected = client.get("x.c.example", "").unwrap();
        assert!(misdirected.starts_with("HTTP/1.1 421 ") && misdirected.contains("wrong-authority"), "{misdirected}");
        assert!(client.get("a.example", "").unwrap().starts_with("HTTP/1.1 200"), "the connection goes on");
        let mut client = Client::connect(address, &config, "x.c.example").unwrap();
        assert_eq!(client.shown(), second);
        assert!(client.get("y.c.example", "").unwrap().starts_with("HTTP/1.1 200"));
    })
    .await;
    assert_eq!(handle.handshakes(), 2);
}

#[tokio::test]
async fn http2_is_agreed_on_and_plain_http_is_told_so() {
    let authority = Authority::new("ours");
    let (server, handle) = serve(&only(vec![authority.issue(&["a.example"]).1]));
    let connector = tokio_rustls::TlsConnector::from(authority.client(None, &["h2", "http/1.1"]));
    let socket = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let stream = connector.connect("a.example".try_into().unwrap(), socket).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = http::Request::get("https://a.example/").body(()).unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
    drop(client);
    let _ = driver.await;

    let answer = server.exchange("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("use https://"), "{answer}");
    assert_eq!(server.exchange([0_u8, 1, 2, 3]).await, "");
    assert_eq!((handle.handshakes(), failures(&handle, Failure::Plaintext)), (1, 2));
}

#[tokio::test]
async fn clients_show_who_they_are_and_cannot_say_it_themselves() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (_, own) = ours.issue(&["a.example"]);
    let ((_, known), (_, stranger)) = (ours.issue(&["web.shop"]), theirs.issue(&["web.shop"]));
    let config = |clients| TlsConfig { certificates: vec![own.clone()], clients };
    let (server, handle) = serve(&config(ClientCertificates::Required(ours.0.pem())));
    let address = server.address;
    let clients = [Some(&known), Some(&stranger), None].map(|it| ours.client(it, &["http/1.1"]));
    let spoof = "X-Forwarded-Client-Cert: Subject=\"CN=root\"\r\n";
    let ask = move |config: &Arc<ClientConfig>| {
        Client::connect(address, config, "a.example").and_then(|mut client| client.get("a.example", spoof))
    };
    let [known_client, stranger_client, nobody] = clients;
    let (answers, nobody) = blocking(move || ([&known_client, &stranger_client, &nobody].map(ask), nobody)).await;
    let answer = answers[0].as_ref().unwrap();
    assert!(answer.contains("DNS=\"web.shop\"") && !answer.contains("CN=root"), "{answer}");
    assert!(answers[1].is_err() && answers[2].is_err(), "{answers:?}");
    assert_eq!(failures(&handle, Failure::ClientCertificate), 2);

    let optional = Tls::new(&config(ClientCertificates::Optional(ours.0.pem())), Some(&handle.current())).unwrap();
    handle.swap(optional);
    let answer = blocking(move || ask(&nobody)).await.unwrap();
    assert!(answer.ends_with("tls=true nobody"), "{answer}");
}

#[tokio::test]
async fn certificates_are_replaced_while_connections_live_and_tickets_outlive_that() {
    let authority = Authority::new("ours");
    let ((first, one), (second, two)) = (authority.issue(&["a.example"]), authority.issue(&["a.example"]));
    let (server, handle) = serve(&only(vec![one]));
    let (address, config) = (server.address, authority.client(None, &["http/1.1"]));
    let (mut open, config) = blocking(move || {
        let mut client = Client::connect(address, &config, "a.example").unwrap();
        // A ticket comes with the first answer.
        client.get("a.example", "").unwrap();
        (client, config)
    })
    .await;
    assert_eq!(open.shown(), first);
    handle.swap(Tls::new(&only(vec![two.clone()]), Some(&handle.current())).unwrap());
    let broken = Tls::new(&only(vec![Certificate { key: "x".into(), ..two }]), Some(&handle.current()));
    assert!(broken.is_err());
    let fresh = authority.client(None, &["http/1.1"]);
    blocking(move || {
        assert!(open.get("a.example", "").unwrap().starts_with("HTTP/1.1 200"), "what is open goes on");
        let mut resumed = Client::connect(address, &config, "a.example").unwrap();
        resumed.get("a.example", "").unwrap();
        assert_eq!(resumed.kind(), HandshakeKind::Resumed);
        let client = Client::connect(address, &fresh, "a.example").unwrap();
        assert_eq!((client.shown(), client.kind()), (second, HandshakeKind::Full));
    })
    .await;
}

#[tokio::test]
async fn a_ticket_does_not_outlive_the_authorities_it_was_proved_to() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let (_, own) = ours.issue(&["a.example"]);
    let (_, client) = ours.issue(&["web.shop"]);
    let config = |ca: &Authority| TlsConfig {
        certificates: vec![own.clone()],
        clients: ClientCertificates::Required(ca.0.pem()),
    };
    let (server, handle) = serve(&config(&ours));
    let (address, client) = (server.address, ours.client(Some(&client), &["http/1.1"]));
    let ask = |client: Arc<ClientConfig>| {
        blocking(move || Client::connect(address, &client, "a.example").and_then(|mut it| it.get("a.example", "")))
    };
    assert!(ask(client.clone()).await.is_ok());
    handle.swap(Tls::new(&config(&others), Some(&handle.current())).unwrap());
    assert!(ask(client.clone()).await.is_err(), "it would have resumed");
}

#[tokio::test]
async fn a_slow_handshake_ends_and_keeps_nobody_waiting() {
    let authority = Authority::new("ours");
    let (server, handle) = serve(&only(vec![authority.issue(&["a.example"]).1]));
    let (address, config) = (server.address, authority.client(None, &["http/1.1"]));
    let mut slow = Vec::new();
    for bytes in [&b""[..], &[22, 3, 1], &[22, 3, 1, 2, 0, 1]] {
        let mut socket = server.connect().await;
        socket.send(bytes).await;
        slow.push((Instant::now(), socket));
    }
    let took = blocking(move || {
        let start = Instant::now();
        Client::connect(address, &config, "a.example").unwrap().get("a.example", "").unwrap();
        start.elapsed()
    })
    .await;
    assert!(took < Duration::from_millis(250), "{took:?}");
    for (since, mut socket) in slow {
        let mut end = [0; 64];
        let read = tokio::time::timeout(server::PATIENCE, socket.0.read(&mut end)).await.unwrap();
        assert!(read.is_err() || read.unwrap() == 0);
        assert!(since.elapsed() >= Duration::from_millis(290), "{:?}", since.elapsed());
    }
    assert_eq!(failures(&handle, Failure::Timeout), 3);
}
