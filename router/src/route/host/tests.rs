use super::*;

fn pattern(text: &str) -> HostPattern {
    text.parse().unwrap()
}

#[test]
fn names_are_lowered_and_kept() {
    for (text, wanted) in [
        ("API.Example.COM", "api.example.com"),
        ("*.Example.com", "*.example.com"),
        ("localhost", "localhost"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("1-2.3com", "1-2.3com"),
    ] {
        assert_eq!(pattern(text).to_string(), wanted);
    }
}

#[test]
fn what_is_not_a_name_is_refused_with_its_reason() {
    let refused = |text: &str| text.parse::<HostPattern>().unwrap_err();
    let long_label = format!("{}.test", "a".repeat(64));
    let long_name = format!("{}test", "a.".repeat(125));
    let character = |name: &str, character| HostRefused::Character { name: name.into(), character };
    for (text, wanted) in [
        ("", HostRefused::Empty),
        ("*", HostRefused::BareWildcard),
        ("a.*.test", HostRefused::Wildcard("a.*.test".into())),
        ("*a.test", HostRefused::Wildcard("*a.test".into())),
        ("*.*.test", HostRefused::Wildcard("*.*.test".into())),
        ("10.0.0.1", HostRefused::Address("10.0.0.1".into())),
        ("::1", HostRefused::Address("::1".into())),
        ("[::1]", HostRefused::Address("[::1]".into())),
        ("a.test:80", HostRefused::Port("a.test:80".into())),
        ("a.test.", HostRefused::EmptyLabel("a.test.".into())),
        (".a.test", HostRefused::EmptyLabel(".a.test".into())),
        ("a..test", HostRefused::EmptyLabel("a..test".into())),
        ("*.", HostRefused::EmptyLabel("*.".into())),
        ("a_b.test", character("a_b.test", '_')),
        ("-a.test", character("-a.test", '-')),
        ("a-.test", character("a-.test", '-')),
        ("bücher.test", character("bücher.test", 'ü')),
        ("a b", character("a b", ' ')),
        (&long_label, HostRefused::TooLong(long_label.clone())),
        (&long_name, HostRefused::TooLong(long_name.clone())),
    ] {
        assert_eq!(refused(text), wanted, "{text}");
    }
}

#[test]
fn every_refusal_says_what_to_do() {
    assert_eq!(
        "a.test:80".parse::<HostPattern>().unwrap_err().to_string(),
        "`a.test:80` holds a port; a hostname matches on every port, so write it without"
    );
}

#[test]
fn a_request_host_is_read_without_case_port_and_trailing_dot() {
    for (host, text, wanted) in [
        ("a.test", "a.test", true),
        ("a.test", "A.TEST:8080", true),
        ("a.test", "a.test.", true),
        ("a.test", "a.test.:80", true),
        ("a.test", "a.test:", true),
        ("a.test", "b.a.test", false),
        ("a.test", "", false),
        ("a1", "a1", true),
        ("*.test", "a.test", true),
        ("*.test", "b.A.test:1", true),
        ("*.test", "test", false),
        ("*.test", ".test", false),
        ("*.test", "..test", false),
        ("test", ".", false),
        ("*.test", "atest", false),
        ("*.test", "a.test.other", false),
    ] {
        assert_eq!(pattern(host).matches(text), wanted, "{host} {text}");
    }
    assert!(!pattern("*.test").matches(&format!("{}.test", "a".repeat(300))), "longer than any name");
}

#[test]
fn a_route_serves_what_it_has_in_common_with_its_listener() {
    for (one, other, wanted) in [
        ("a.test", "a.test", Some("a.test")),
        ("a.test", "b.test", None),
        ("*.test", "a.test", Some("a.test")),
        ("*.test", "test", None),
        ("*.test", "*.test", Some("*.test")),
        ("*.a.test", "*.test", Some("*.a.test")),
        ("*.a.test", "*.b.test", None),
        ("*.a.test", "a.test", None),
        ("*.a.test", "c.b.a.test", Some("c.b.a.test")),
        ("*.test", "*.atest", None),
    ] {
        let wanted = wanted.map(pattern);
        assert_eq!(pattern(one).intersection(&pattern(other)), wanted, "{one} {other}");
        assert_eq!(pattern(other).intersection(&pattern(one)), wanted, "{other} {one}");
    }
}
