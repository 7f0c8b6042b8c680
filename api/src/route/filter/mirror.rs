//! Copies of requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::BackendObjectReference;

/// Sends copies of requests to another backend, whose answers nobody sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::mirror)]
#[serde(rename_all = "camelCase")]
pub struct HttpRequestMirror {
    /// Who gets the copies: for Penstock a `WorkloadDeployment`.
    pub backend_ref: BackendObjectReference,
    /// How many of a hundred requests are copied. Left out, as `fraction`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub percent: Option<u32>,
    /// Which part of the requests is copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<Fraction>,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::cel::fraction)]
pub struct Fraction {
    /// So many ...
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub numerator: u32,
    /// ... of so many; 100 unless it says otherwise.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub denominator: u32,
}

fn hundred() -> u32 {
    100
}

// === impl HttpRequestMirror ===

impl HttpRequestMirror {
    /// The part of the requests that is copied, at most all of them.
    #[must_use]
    pub fn part(&self) -> Fraction {
        let whole = Fraction { numerator: 1, denominator: 1 };
        match (self.fraction, self.percent) {
            (Some(it), _) if it.numerator >= it.denominator => whole,
            (Some(it), _) => it,
            (None, Some(percent)) => Fraction { numerator: percent.min(100), denominator: 100 },
            (None, None) => whole,
        }
    }
}
