//! Filters that rewrite host and path.

use super::{
    ask::{Ask, get},
    case::{Case, Route, V1, V2},
    headers::{MODIFIED, modified},
};

pub(crate) fn cases() -> Vec<Case> {
    vec![host(), Case::new("HTTPRouteRewritePath").http(&path_rules()).asks(paths())]
}

fn host() -> Case {
    let rewrite = |host: &str| format!("{{type: URLRewrite, urlRewrite: {{hostname: {host}}}}}");
    let rules = format!(
        "- matches: [{{path: {{value: /one}}}}]\n  filters: [{}]\n  backendRefs: [{{$v1}}]\n\
         - filters: [{}]\n  backendRefs: [{{$v2}}]\n\
         - matches: [{{path: {{value: /rewrite-host-and-modify-headers}}}}]\n  filters: [{}, {MODIFIED}]\n  \
         backendRefs: [{{$v2}}]\n",
        rewrite("one.example.org"),
        rewrite("example.org"),
        rewrite("test.example.org"),
    );
    let to = |path| get(path).host("rewrite.example");
    Case::new("HTTPRouteRewriteHost").route(Route::http(&rules).hosts(&["rewrite.example"])).asks([
        to("/one").from(V1).sees_host("one.example.org"),
        to("/two").from(V2).sees_host("example.org"),
        modified(to("/rewrite-host-and-modify-headers")).from(V2).sees_host("test.example.org"),
    ])
}

pub(crate) fn path_rules() -> String {
    let prefix = |to| format!("path: {{type: ReplacePrefixMatch, replacePrefixMatch: {to}}}");
    let full = |to| format!("path: {{type: ReplaceFullPath, replaceFullPath: {to}}}");
    let rule = |(path, rewrite, more): (&str, String, bool)| {
        let more = if more { format!(", {MODIFIED}") } else { String::new() };
        let filters = format!("[{{type: URLRewrite, urlRewrite: {{{rewrite}}}}}{more}]");
        format!("- matches: [{{path: {{value: {path}}}}}]\n  filters: {filters}\n  backendRefs: [{{$v1}}]\n")
    };
    [
        ("/prefix/one", prefix("/one"), false),
        ("/strip-prefix", prefix("/"), false),
        ("/full/one", full("/one"), false),
        ("/full/rewrite-path-and-modify-headers", full("/test"), true),
        ("/prefix/rewrite-path-and-modify-headers", prefix("/prefix"), true),
    ]
    .into_iter()
    .map(rule)
    .collect()
}

/// What comes of [`path_rules`].
pub(crate) fn paths() -> Vec<Ask> {
    let to = |path, seen| get(path).from(V1).sees_path(seen);
    let set = |ask: Ask| modified(ask.with(&[("x-header-set", "set-val")]));
    vec![
        to("/prefix/one/two", "/one/two"),
        to("/strip-prefix/three", "/three"),
        to("/strip-prefix", "/"),
        to("/full/one/two", "/one"),
        set(to("/full/rewrite-path-and-modify-headers/test", "/test")),
        set(to("/prefix/rewrite-path-and-modify-headers/one", "/prefix/one")),
    ]
}
