//! Rules of routes.

use schemars::Schema;

use super::{Rule, add};

/// Of a match's `path`.
pub(crate) fn path_match(schema: &mut Schema) {
    add(
        schema,
        &[
            Rule(".value", "self.type == 'RegularExpression' || self.value.startsWith('/')", "begin the path with `/`"),
            Rule(
                ".value",
                "self.type == 'RegularExpression' || !(self.value.contains('//') || self.value.contains('/./') || self.value.contains('/../') || self.value.contains('#') || self.value.endsWith('/..') || self.value.endsWith('/.'))",
                "leave out `//`, `.`, `..` and `#`: paths are compared in their normal form",
            ),
            Rule(
                ".value",
                "self.type == 'RegularExpression' || !(self.value.contains('%2f') || self.value.contains('%2F'))",
                "write `/` instead of `%2F`",
            ),
        ],
    );
}

/// Of `http.routes[]`.
pub(crate) fn http_rule(schema: &mut Schema) {
    add(
        schema,
        &[
            Rule(
                ".hostnames",
                "!has(self.hostnames) || self.hostnames.all(h, h.matches('^([*][.])?[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?([.][a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*$'))",
                "write hostnames without scheme and port, exact (app.example.com) or with a wildcard in front (*.example.com)",
            ),
            Rule(
                ".filters",
                "!has(self.filters) || !(self.filters.exists(f, f.type == 'RequestRedirect') && self.filters.exists(f, f.type == 'URLRewrite'))",
                "a rule either redirects or rewrites: keep one of the two filters",
            ),
            Rule(
                ".filters",
                "!has(self.filters) || self.filters.all(a, a.type in ['RequestMirror', 'ExtensionRef'] || self.filters.exists_one(b, b.type == a.type))",
                "two filters have the same type: merge them",
            ),
            Rule(
                ".filters",
                "!has(self.filters) || !self.filters.exists(f, f.?urlRewrite.path.type.orValue('') == 'ReplacePrefixMatch' || f.?requestRedirect.path.type.orValue('') == 'ReplacePrefixMatch') || (has(self.matches) && size(self.matches) == 1 && (!has(self.matches[0].path) || self.matches[0].path.type == 'PathPrefix'))",
                "it is not clear which prefix is replaced: give the rule exactly one match, with a path of type PathPrefix",
            ),
        ],
    );
}

/// Of `timeouts`.
pub(crate) fn timeouts(schema: &mut Schema) {
    let rule = Rule(
        ".backendRequest",
        "!has(self.request) || !has(self.backendRequest) || duration(self.request) == duration('0s') || duration(self.backendRequest) <= duration(self.request)",
        "backendRequest is longer than request, which covers it: shorten it",
    );
    add(schema, &[rule]);
}

/// Of `sessionPersistence`.
pub(crate) fn session_persistence(schema: &mut Schema) {
    add(
        schema,
        &[
            Rule(
                ".absoluteTimeout",
                "!has(self.cookieConfig) || !has(self.cookieConfig.lifetimeType) || self.cookieConfig.lifetimeType != 'Permanent' || has(self.absoluteTimeout)",
                "a permanent cookie says when it ends: add absoluteTimeout, or write `lifetimeType: Session`",
            ),
            Rule(
                ".sessionName",
                "!has(self.sessionName) || self.sessionName.matches('^[-A-Za-z0-9_]+$')",
                "write the name of the cookie or header with letters, digits, `-` and `_` only",
            ),
        ],
    );
}

/// Of `filters[]`: a union, whose member must be there.
pub(crate) fn filter(schema: &mut Schema) {
    add(
        schema,
        &[
            Rule(
                "",
                "(self.type != 'RequestHeaderModifier' || has(self.requestHeaderModifier)) && (self.type != 'ResponseHeaderModifier' || has(self.responseHeaderModifier)) && (self.type != 'RequestRedirect' || has(self.requestRedirect)) && (self.type != 'URLRewrite' || has(self.urlRewrite)) && (self.type != 'CORS' || has(self.cors)) && (self.type != 'RequestMirror' || has(self.requestMirror)) && (self.type != 'ExtensionRef' || has(self.extensionRef))",
                "the field that belongs to the filter's type is missing: add it (`type: URLRewrite` wants `urlRewrite:`), it says what the filter does",
            ),
            Rule(
                ".extensionRef",
                "!has(self.extensionRef) || (self.extensionRef.group == 'penstock.dev' && self.extensionRef.kind == 'TrafficPolicy')",
                "nothing answers for such a filter: write `group: penstock.dev` and `kind: TrafficPolicy`",
            ),
            Rule(
                ".type",
                "!(self.type in ['ExternalAuth'])",
                "filters of this type are not supported yet: requests of the rule would be answered with 500, so remove it",
            ),
        ],
    );
}

/// Of `requestRedirect`.
pub(crate) fn redirect(schema: &mut Schema) {
    add(
        schema,
        &[
            Rule(
                ".scheme",
                "!has(self.scheme) || self.scheme in ['http', 'https']",
                "write `scheme: http` or `scheme: https`",
            ),
            Rule(
                ".statusCode",
                "!has(self.statusCode) || self.statusCode in [301, 302, 303, 307, 308]",
                "this is no redirect: write 301, 302, 303, 307 or 308",
            ),
        ],
    );
}

/// Of `cors`: a wildcard stands alone.
pub(crate) fn cors(schema: &mut Schema) {
    add(
        schema,
        &[
            Rule(
                ".allowOrigins",
                "!has(self.allowOrigins) || !('*' in self.allowOrigins) || size(self.allowOrigins) == 1",
                "`*` stands for every origin: remove the others, or remove `*`",
            ),
            Rule(
                ".allowMethods",
                "!has(self.allowMethods) || !('*' in self.allowMethods) || size(self.allowMethods) == 1",
                "`*` stands for every method: remove the others, or remove `*`",
            ),
            Rule(
                ".allowHeaders",
                "!has(self.allowHeaders) || !('*' in self.allowHeaders) || size(self.allowHeaders) == 1",
                "`*` stands for every header: remove the others, or remove `*`",
            ),
        ],
    );
}

/// Of `requestMirror`.
pub(crate) fn mirror(schema: &mut Schema) {
    add(
        schema,
        &[
            Rule(
                ".percent",
                "!has(self.percent) || !has(self.fraction)",
                "`percent` and `fraction` say the same in two ways: remove one of them",
            ),
            Rule(
                ".backendRef",
                "has(self.backendRef.group) && self.backendRef.group == 'runtime.wasmcloud.dev' && has(self.backendRef.kind) && self.backendRef.kind in ['WorkloadDeployment', 'Workload']",
                "copies go to workloads only: write `group: runtime.wasmcloud.dev` and `kind: WorkloadDeployment`",
            ),
        ],
    );
}

/// Of `fraction`.
pub(crate) fn fraction(schema: &mut Schema) {
    let rule = Rule(
        ".numerator",
        "!has(self.denominator) || self.numerator <= self.denominator",
        "more than all requests cannot be copied: make the numerator at most the denominator",
    );
    add(schema, &[rule]);
}

/// Of `path` of a redirect or rewrite: a union, whose member must be there.
pub(crate) fn path_modifier(schema: &mut Schema) {
    let rule = Rule(
        "",
        "self.type == 'ReplaceFullPath' ? has(self.replaceFullPath) : has(self.replacePrefixMatch)",
        "the field that belongs to the type is missing: add `replaceFullPath:` or `replacePrefixMatch:`",
    );
    add(schema, &[rule]);
}
