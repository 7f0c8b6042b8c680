//! How large requests and responses may be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::size::ByteSize;

/// Sizes of bodies in bytes, such as `64Ki` or `10M`. What is left out has no limit but the host's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SizeLimits {
    /// A larger request is answered with 413; at once, if it says how large it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_body: Option<ByteSize>,
    /// A larger response becomes 502 if it says how large it is, and is cut off if it does not. It counts as the component
    /// sends it, before it is compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_body: Option<ByteSize>,
}
