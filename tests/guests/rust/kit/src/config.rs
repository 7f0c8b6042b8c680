//! The component's `wasi:config/store`.

wit_bindgen::generate!({ path: "wit", world: "imports" });

use wasi::config::store;

/// All keys and values, or what the host said instead.
pub fn config() -> Result<Vec<(String, String)>, String> {
    store::get_all().map_err(|error| match error {
        store::Error::Upstream(text) => format!("upstream: {text}"),
        store::Error::Io(text) => format!("io: {text}"),
    })
}
