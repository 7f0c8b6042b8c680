use super::*;

#[test]
fn a_prefix_matches_by_element() {
    for (prefix, path, wanted) in [
        ("/abc", "/abc", true),
        ("/abc", "/abc/", true),
        ("/abc", "/abc/def", true),
        ("/abc", "/abcd", false),
        ("/abc", "/ab", false),
        ("/abc", "/ABC", false),
        ("/abc/", "/abc", true),
        ("/abc/", "/abc/def", true),
        ("/a/b", "/a", false),
        ("/a/b", "/a/b//", true),
        ("/", "/", true),
        ("/", "/anything", true),
        ("/", "*", true),
        ("/%7Eme", "/~me/x", true),
    ] {
        assert_eq!(PathMatch::prefix(prefix).unwrap().matches(path), wanted, "{prefix} {path}");
    }
}

#[test]
fn an_exact_path_is_the_whole_path() {
    for (exact, path, wanted) in [
        ("/a", "/a", true),
        ("/a", "/a/", false),
        ("/a/", "/a/", true),
        ("/a/", "/a", false),
        ("/a", "/A", false),
        ("/", "/", true),
        ("/%e4", "/%E4", true),
    ] {
        assert_eq!(PathMatch::exact(exact).unwrap().matches(path), wanted, "{exact} {path}");
    }
}

#[test]
fn an_expression_matches_the_whole_path() {
    let regex = PathMatch::regex("/v[0-9]+/.*").unwrap();
    assert!(regex.matches("/v12/x"));
    assert!(!regex.matches("/api/v12/x"));
    assert!(!regex.matches("/v12"));
}

#[test]
fn what_no_request_could_match_is_refused() {
    let part = |path: &str, part| PathPatternRefused::Part { path: path.into(), part };
    let reason = |path: &str, reason| PathPatternRefused::Path { path: path.into(), reason };
    for (path, wanted) in [
        ("/a//b", part("/a//b", "//")),
        ("/a/./b", part("/a/./b", "/./")),
        ("/a/../b", part("/a/../b", "/../")),
        ("/a/..", part("/a/..", "/..")),
        ("/a/.", part("/a/.", "/.")),
        ("/a%2fb", part("/a%2fb", "%2f")),
        ("/a?b", part("/a?b", "?")),
        ("/a#b", part("/a#b", "#")),
        ("/a b", PathPatternRefused::Character { path: "/a b".into(), character: ' ' }),
        ("/ä", PathPatternRefused::Character { path: "/ä".into(), character: 'ä' }),
        ("", reason("", PathRefused::NotAbsolute)),
        ("*", reason("*", PathRefused::NotAbsolute)),
        ("a", reason("a", PathRefused::NotAbsolute)),
        ("/%zz", reason("/%zz", PathRefused::Escape)),
        ("/%00", reason("/%00", PathRefused::Nul)),
        ("/a\\b", reason("/a\\b", PathRefused::Backslash)),
    ] {
        assert_eq!(PathMatch::exact(path), Err(wanted.clone()), "{path}");
        assert_eq!(PathMatch::prefix(path), Err(wanted), "{path}");
    }
    assert_eq!(PathMatch::exact(&"/".repeat(1025)), Err(PathPatternRefused::TooLong(1025)));
    assert_eq!(PathMatch::prefix(&"/a".repeat(64)), Err(PathPatternRefused::TooDeep(64)));
}
