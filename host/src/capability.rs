//! What the host offers to components, one module per package.

pub(crate) mod http;

use wasmtime::component::Linker;
use wasmtime_wasi_config::WasiConfig;

use crate::instance::State;

/// Adds everything that Penstock offers to a component's linker. What a component does not import costs it nothing.
pub(crate) fn add_all(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi::p3::add_to_linker(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    wasmtime_wasi_http::p3::add_to_linker(linker)?;
    wasmtime_wasi_config::add_to_linker(linker, |state: &mut State| WasiConfig::from(&*state.config))?;
    Ok(())
}
