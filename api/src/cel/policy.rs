//! Rules of `TrafficPolicy`.

use schemars::Schema;

use super::{Rule, add};

/// Of `rateLimit`.
pub(crate) fn rate_limit(schema: &mut Schema) {
    let rule = Rule(
        ".per",
        "!has(self.per) || (duration(self.per) >= duration('1s') && duration(self.per) <= duration('24h'))",
        "write a time from 1s to 24h, such as 1s, 1m or 1h",
    );
    add(schema, &[rule]);
}

/// Of `rateLimit.by`.
pub(crate) fn rate_limit_key(schema: &mut Schema) {
    add(
        schema,
        &[
            Rule(
                ".header",
                "(has(self.type) && self.type == 'Header') == has(self.header)",
                "`header` and `type: Header` belong together: write both, or neither",
            ),
            Rule(
                ".header",
                "!has(self.header) || self.header.matches('^[A-Za-z0-9!#$%&\\'*+.^_`|~-]+$')",
                "write the name of a header with letters, digits and `-`",
            ),
        ],
    );
}

/// Of `outlierDetection`.
pub(crate) fn outlier_detection(schema: &mut Schema) {
    add(
        schema,
        &[
            Rule(
                ".interval",
                "!has(self.interval) || (duration(self.interval) >= duration('1s') && duration(self.interval) <= duration('1h'))",
                "write a time from 1s to 1h",
            ),
            Rule(
                ".baseEjectionTime",
                "!has(self.baseEjectionTime) || (duration(self.baseEjectionTime) >= duration('1s') && duration(self.baseEjectionTime) <= duration('1h'))",
                "write a time from 1s to 1h",
            ),
        ],
    );
}

/// Of `compression`.
pub(crate) fn compression(schema: &mut Schema) {
    let rule = Rule(
        ".contentTypes",
        "!has(self.contentTypes) || self.contentTypes.all(t, t.matches('^[A-Za-z0-9!#$&^_.+-]+/([*]|[A-Za-z0-9!#$&^_.+-]+)$'))",
        "write a type of content without parameters, such as text/html, or all of a kind as text/*",
    );
    add(schema, &[rule]);
}
