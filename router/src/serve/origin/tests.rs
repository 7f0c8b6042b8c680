use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::listen::Network;

/// The request's headers, as lines, and what the component sees of them, who the client is, and whether it came by TLS.
struct Case {
    name: &'static str,
    peer: &'static str,
    sent: &'static [&'static str],
    seen: &'static [&'static str],
    client: &'static str,
    tls: bool,
}

fn config(forwarding: Forwarding) -> ListenerConfig {
    let trusted = ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse::<Network>().unwrap());
    ListenerConfig {
        trusted: trusted.into_iter().collect(),
        forwarding,
        trace_context: TraceContext::Off,
        request_id: false,
        ..ListenerConfig::new("test")
    }
}

fn headers(lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn check(forwarding: Forwarding, cases: &[Case]) {
    let config = config(forwarding);
    for case in cases {
        let source = Source::new(case.peer.parse().unwrap(), 8000, &config);
        let mut headers = headers(case.sent);
        let mut origin = Origin::of(&source);
        tell(&mut headers, &config, &source, &mut origin).unwrap();
        let mut seen: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        seen.sort();
        let mut expected: Vec<String> = case.seen.iter().map(|line| (*line).to_owned()).collect();
        expected.sort();
        assert_eq!(seen, expected, "{}", case.name);
        assert_eq!((origin.client, origin.tls), (case.client.parse().unwrap(), case.tls), "{}", case.name);
    }
}

#[test]
fn x_forwarded() {
    const PLAIN: &[&str] = &[
        "host: a.example",
        "x-forwarded-for: 192.0.2.1",
        "x-forwarded-host: a.example",
        "x-forwarded-port: 8000",
        "x-forwarded-proto: http",
    ];
    let trusted = |name, sent, seen, client, tls| Case { name, peer: "10.0.0.1:99", sent, seen, client, tls };
    check(
        Forwarding::XForwarded,
        &[
            Case {
                name: "a stranger says nothing",
                peer: "192.0.2.1:99",
                sent: &["host: a.example"],
                seen: PLAIN,
                client: "192.0.2.1:99",
                tls: false,
            },
            Case {
                name: "what a stranger says is replaced, whatever it is",
                peer: "192.0.2.1:99",
                sent: &[
                    "host: a.example",
                    "x-forwarded-for: 10.0.0.1",
                    "x-forwarded-for: 1.1.1.1",
                    "x-forwarded-host: evil",
                    "x-forwarded-proto: https",
                    "x-forwarded-port: 1",
                    "x-forwarded-prefix: /admin",
                    "x-real-ip: 10.0.0.2",
                    "forwarded: for=10.0.0.3",
                ],
                seen: PLAIN,
                client: "192.0.2.1:99",
                tls: false,
            },
            Case {
                name: "IPv4 on a socket for both families; no host",
                peer: "[::ffff:192.0.2.1]:99",
                sent: &["host: ", "x-forwarded-host: evil"],
                seen: &["host: ", "x-forwarded-for: 192.0.2.1", "x-forwarded-port: 8000", "x-forwarded-proto: http"],
                client: "192.0.2.1:99",
                tls: false,
            },
            trusted(
                "a trusted peer on its own behalf",
                &["host: a"],
                &[
                    "host: a",
                    "x-forwarded-for: 10.0.0.1",
                    "x-forwarded-host: a",
                    "x-forwarded-port: 8000",
                    "x-forwarded-proto: http",
                ],
                "10.0.0.1:99",
                false,
            ),
            trusted(
                "a gateway that ends TLS",
                &[
                    "host: inner",
                    "x-forwarded-for: 192.0.2.1",
                    "x-forwarded-host: a.example",
                    "x-forwarded-port: 8443",
                    "x-forwarded-proto: HTTPS",
                    "x-forwarded-prefix: /app",
                    "x-real-ip: 192.0.2.1",
                    "forwarded: for=10.9.9.9",
                ],
                &[
                    "host: inner",
                    "x-forwarded-for: 192.0.2.1, 10.0.0.1",
                    "x-forwarded-host: a.example",
                    "x-forwarded-port: 8443",
                    "x-forwarded-prefix: /app",
                    "x-forwarded-proto: https",
                    "x-real-ip: 192.0.2.1",
                ],
                "192.0.2.1:0",
                true,
            ),
            trusted(
                "the first hop that is not trusted is the client, whatever it says itself",
                &["host: a", "x-forwarded-for: 10.1.1.1, 1.1.1.1", "x-forwarded-for: 192.0.2.1 ,, 10.0.0.2"],
                &[
                    "host: a",
                    "x-forwarded-for: 10.1.1.1, 1.1.1.1, 192.0.2.1 ,, 10.0.0.2, 10.0.0.1",
                    "x-forwarded-host: a",
                    "x-forwarded-port: 8000",
                    "x-forwarded-proto: http",
                ],
                "192.0.2.1:0",
                false,
            ),
            trusted(
                "all hops are trusted: the farthest is the client",
                &["host: a", "x-forwarded-for: 10.0.0.3:7,[fd00::1]"],
                &[
                    "host: a",
                    "x-forwarded-for: 10.0.0.3:7,[fd00::1], 10.0.0.1",
                    "x-forwarded-host: a",
                    "x-forwarded-port: 8000",
                    "x-forwarded-proto: http",
                ],
                "10.0.0.3:7",
                false,
            ),
            trusted(
                "what is malformed ends the walk, and the rest of it stays as the connection has it",
                &[
                    "host: a",
                    "x-forwarded-for: 192.0.2.1, unknown, 10.0.0.2",
                    "x-forwarded-host: b c",
                    "x-forwarded-port: http",
                    "x-forwarded-proto: gopher",
                ],
                &[
                    "host: a",
                    "x-forwarded-for: 192.0.2.1, unknown, 10.0.0.2, 10.0.0.1",
                    "x-forwarded-host: a",
                    "x-forwarded-port: 8000",
                    "x-forwarded-proto: http",
                ],
                "10.0.0.2:0",
                false,
            ),
            trusted(
                "said twice is not said",
                &["host: a", "x-forwarded-host: b", "x-forwarded-host: c", "x-forwarded-proto: https, http"],
                &[
                    "host: a",
                    "x-forwarded-for: 10.0.0.1",
                    "x-forwarded-host: a",
                    "x-forwarded-port: 8000",
                    "x-forwarded-proto: http",
                ],
                "10.0.0.1:99",
                false,
            ),
            trusted(
                "the port of the scheme, unless the host names one",
                &["host: a", "x-forwarded-proto: https"],
                &[
                    "host: a",
                    "x-forwarded-for: 10.0.0.1",
                    "x-forwarded-host: a",
                    "x-forwarded-port: 443",
                    "x-forwarded-proto: https",
                ],
                "10.0.0.1:99",
                true,
            ),
            trusted(
                "the port that the host names",
                &["host: a", "x-forwarded-host: [2001:db8::1]:81", "x-forwarded-proto: http"],
                &[
                    "host: a",
                    "x-forwarded-for: 10.0.0.1",
                    "x-forwarded-host: [2001:db8::1]:81",
                    "x-forwarded-port: 81",
                    "x-forwarded-proto: http",
                ],
                "10.0.0.1:99",
                false,
            ),
            trusted(
                "an address in brackets names no port",
                &["host: [2001:db8::1]", "x-forwarded-proto: http"],
                &[
                    "host: [2001:db8::1]",
                    "x-forwarded-for: 10.0.0.1",
                    "x-forwarded-host: [2001:db8::1]",
                    "x-forwarded-port: 80",
                    "x-forwarded-proto: http",
                ],
                "10.0.0.1:99",
                false,
            ),
        ],
    );
}

#[test]
fn forwarded() {
    let trusted = |name, sent, seen, client, tls| Case { name, peer: "[fd00::9]:99", sent, seen, client, tls };
    check(
        Forwarding::Forwarded,
        &[
            Case {
                name: "what a stranger says is replaced",
                peer: "192.0.2.1:99",
                sent: &["host: a:80", "forwarded: for=10.0.0.3", "x-forwarded-for: 10.0.0.1"],
                seen: &[
                    "forwarded: for=192.0.2.1;host=\"a:80\";proto=http",
                    "host: a:80",
                    "x-forwarded-for: 192.0.2.1",
                    "x-forwarded-host: a:80",
                    "x-forwarded-port: 8000",
                    "x-forwarded-proto: http",
                ],
                client: "192.0.2.1:99",
                tls: false,
            },
            trusted(
                "a trusted peer's is appended to, and the only kind that is believed",
                &[
                    "host: inner",
                    "forwarded: For=\"[2001:db8::1]:4711\";Proto=https;host=\"a.example:8443\";by=_gw, for=10.0.0.2;proto=http",
                    "x-forwarded-client-cert: Hash=00",
                    "x-forwarded-for: 1.1.1.1",
                    "x-forwarded-prefix: /admin",
                    "x-real-ip: 1.1.1.1",
                ],
                &[
                    "forwarded: For=\"[2001:db8::1]:4711\";Proto=https;host=\"a.example:8443\";by=_gw, \
                     for=10.0.0.2;proto=http, for=\"[fd00::9]\";host=\"inner\";proto=http",
                    "host: inner",
                    "x-forwarded-client-cert: Hash=00",
                    "x-forwarded-for: 2001:db8::1, 10.0.0.2, fd00::9",
                    "x-forwarded-host: a.example:8443",
                    "x-forwarded-port: 8443",
                    "x-forwarded-proto: https",
                ],
                "[2001:db8::1]:4711",
                true,
            ),
            trusted(
                "a client's own word does not count, even if it leaves a quote open",
                &["host: a", "forwarded: for=\"10.0.0.7", "forwarded: for=10.0.0.8, for=192.0.2.1, for=10.0.0.2"],
                &[
                    "forwarded: for=10.0.0.8, for=192.0.2.1, for=10.0.0.2, for=\"[fd00::9]\";host=\"a\";proto=http",
                    "host: a",
                    "x-forwarded-for: 192.0.2.1, 10.0.0.2, fd00::9",
                    "x-forwarded-host: a",
                    "x-forwarded-port: 8000",
                    "x-forwarded-proto: http",
                ],
                "192.0.2.1:0",
                false,
            ),
            trusted(
                "on the same line it hides what follows: the walk does not begin",
                &["host: a", "forwarded: for=10.0.0.7;x=\", for=\"[2001:db8::1]\""],
                &[
                    "forwarded: for=\"[fd00::9]\";host=\"a\";proto=http",
                    "host: a",
                    "x-forwarded-for: fd00::9",
                    "x-forwarded-host: a",
                    "x-forwarded-port: 8000",
                    "x-forwarded-proto: http",
                ],
                "[fd00::9]:99",
                false,
            ),
            trusted(
                "a hop without an address ends the walk",
                &["host: a", "forwarded: for=192.0.2.1, for=_hidden;proto=https, ,for=10.0.0.2:_p ; host=b"],
                &[
                    "forwarded: for=192.0.2.1, for=_hidden;proto=https, ,for=10.0.0.2:_p ; host=b, \
                     for=\"[fd00::9]\";host=\"a\";proto=http",
                    "host: a",
                    "x-forwarded-for: 10.0.0.2, fd00::9",
                    "x-forwarded-host: b",
                    "x-forwarded-port: 8000",
                    "x-forwarded-proto: http",
                ],
                "10.0.0.2:0",
                false,
            ),
        ],
    );
}

#[test]
fn off_leaves_everything_as_it_came() {
    let sent: &[&str] = &["forwarded: for=x", "host: a", "x-forwarded-for: 1.1.1.1", "x-real-ip: 1.1.1.1"];
    for peer in ["192.0.2.1:99", "10.0.0.1:99"] {
        check(Forwarding::Off, &[Case { name: "off", peer, sent, seen: sent, client: peer, tls: false }]);
    }
}

#[test]
fn a_full_header_map_is_an_error() {
    let config = ListenerConfig::new("test");
    let source = Source::new(([192, 0, 2, 1], 1).into(), 80, &config);
    let mut headers = HeaderMap::new();
    let mut index = 0;
    while headers.try_insert(format!("x-{index}").parse::<HeaderName>().unwrap(), HeaderValue::from(0)).is_ok() {
        index += 1;
    }
    let error = tell(&mut headers, &config, &source, &mut Origin::of(&source)).unwrap_err();
    assert_eq!(error.cause, Cause::HeadersTooLarge);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever a client writes, a gateway in front that appends who it was is believed in that alone.
    #[test]
    fn whatever_a_client_writes_it_is_itself(own in vec("((for=)?10[.]0[.]0[.][0-9](, ?)?|[a-z0-9.:=;,\" \\\\\\[\\]_-]{0,8}){0,4}", 0..3)) {
        for (forwarding, name, hop) in [
            (Forwarding::XForwarded, "x-forwarded-for", "192.0.2.1"),
            (Forwarding::Forwarded, "forwarded", "for=192.0.2.1"),
        ] {
            let config = config(forwarding);
            let source = Source::new(([10, 0, 0, 1], 99).into(), 8000, &config);
            // On a line of its own, and on the client's last.
            for apart in [true, false] {
                let mut lines = own.clone();
                match lines.last_mut() {
                    Some(last) if !apart => *last = format!("{last}, {hop}"),
                    _ => lines.push(hop.to_owned()),
                }
                let mut headers = HeaderMap::new();
                for line in &lines {
                    headers.append(name, line.trim().parse().unwrap());
                }
                let mut origin = Origin::of(&source);
                tell(&mut headers, &config, &source, &mut origin).unwrap();
                let client = origin.client.to_string();
                // A quote that the client leaves open hides it behind the gateway, which is nobody else either.
                let hidden = !apart && forwarding == Forwarding::Forwarded && client == "10.0.0.1:99";
                prop_assert!(client == "192.0.2.1:0" || hidden, "{client}: {lines:?}");
            }
        }
    }
}
