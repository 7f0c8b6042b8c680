use super::*;

#[test]
fn a_normal_path_is_borrowed() {
    for path in [
        "/",
        "/a",
        "/a/",
        "/a//b",
        "//",
        "/a.b/..c/.d",
        "/.well-known/x",
        "/...",
        "/a%20b",
        "/%E4%BD%A0",
        "/a;b=c,d",
        "/@a:b!$&'()*+,;=-._~",
        "/a%2Bb",
        "/%25",
        "/a%2Fb",
        "/a.b%5Cc",
        "/a.%2Fb",
        "*",
    ] {
        assert!(matches!(normalise(path), Ok(Cow::Borrowed(same)) if same == path), "{path}: {:?}", normalise(path));
    }
    assert!(matches!(normalise(""), Ok(Cow::Borrowed("/"))));
}

#[test]
fn equivalent_paths_get_one_spelling() {
    for (path, wanted) in [
        // RFC 3986 section 6.2.2.1: case of escapes.
        ("/a%c2%b1b", "/a%C2%B1b"),
        // Section 6.2.2.2: unreserved characters are not encoded, others are.
        ("/%7Euser", "/~user"),
        ("/%41%62%2D%5F%2E%30", "/Ab-_.0"),
        ("/a b", "/a%20b"),
        ("/ä", "/%C3%A4"),
        ("/{x}|\"<>^`", "/%7Bx%7D%7C%22%3C%3E%5E%60"),
        // Encoded reserved characters are not the characters themselves.
        ("/%24%26%3b", "/%24%26%3B"),
        ("/a%2fb", "/a%2Fb"),
        ("/a%5cb", "/a%5Cb"),
        ("/%252e%252e", "/%252e%252e"),
        // Section 5.2.4, with its examples.
        ("/a/b/c/./../../g", "/a/g"),
        ("/mid/content=5/../6", "/mid/6"),
        ("/.", "/"),
        ("/./", "/"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/a/../", "/"),
        ("/a/b/..", "/a/"),
        ("/a/./b", "/a/b"),
        ("/a//../b", "/a/b"),
        ("/a/b/../..", "/"),
        // Dots are dots, however they are written.
        ("/a/%2e/b", "/a/b"),
        ("/a/%2E%2e/b", "/b"),
        ("/a/.%2e", "/"),
        ("/a/%2e%2e%2e", "/a/..."),
    ] {
        assert_eq!(normalise(path).as_deref(), Ok(wanted), "{path}");
    }
}

#[test]
fn a_doubtful_path_is_refused() {
    for (path, wanted) in [
        ("a", PathRefused::NotAbsolute),
        ("**", PathRefused::NotAbsolute),
        ("http://a/", PathRefused::NotAbsolute),
        ("/%", PathRefused::Escape),
        ("/%2", PathRefused::Escape),
        ("/%zz", PathRefused::Escape),
        ("/%+1", PathRefused::Escape),
        ("/a%00b", PathRefused::Nul),
        ("/a\0b", PathRefused::Control),
        ("/a\rb", PathRefused::Control),
        ("/a\nb", PathRefused::Control),
        ("/a\x7fb", PathRefused::Control),
        ("/a\\b", PathRefused::Backslash),
        ("/a?b", PathRefused::NotPathAlone),
        ("/a#b", PathRefused::NotPathAlone),
        ("/..", PathRefused::AboveRoot),
        ("/../a", PathRefused::AboveRoot),
        ("/a/../../b", PathRefused::AboveRoot),
        ("/%2e%2e/b", PathRefused::AboveRoot),
        ("/a/..%2fb", PathRefused::Ambiguous),
        ("/a%2F..", PathRefused::Ambiguous),
        ("/a%2f%2e%2e%2fb", PathRefused::Ambiguous),
        ("/a/.%2Fb", PathRefused::Ambiguous),
        ("/a%5c..%5cb", PathRefused::Ambiguous),
        ("/a/%2e%2e%5Cb", PathRefused::Ambiguous),
    ] {
        assert_eq!(normalise(path), Err(wanted), "{path}");
    }
}

#[test]
fn the_normal_form_is_normal() {
    for path in ["/a/%2e%2e%2e/ä", "/a/..//b", "/%7e/./x y", "/a//../b", "/a/%2F/%5c"] {
        let once = normalise(path).unwrap();
        assert!(matches!(normalise(&once), Ok(Cow::Borrowed(_))), "{once}");
    }
}
