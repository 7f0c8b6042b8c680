//! The one module that turns stored bytes into running machine code, and so the only one with `unsafe` in it.
//!
//! `Component::deserialize` and `deserialize_file` check that their input was made by this version of the engine with
//! compatible settings, but not that it is harmless: forged machine code runs as it is. They are sound here since both
//! ways into this module take only what the engine of this very program has compiled, here or on another host:
//!
//! * [`Code`] has no other constructors than [`Code::compile`] and [`Code::signed`], and its bytes cannot be changed afterwards.
//! * [`SignedCode`] exists only for bytes whose signature `common` has checked with the key that only hosts of this cluster have, and
//!   for the name that this engine would have given them. A host with that key signs what its own engine has compiled and nothing
//!   else; whoever else has it has the secrets of the hosts.
//! * [`Sealed`] exists only for a file that `seal` has checked: it lies in a folder that only our own user may write, it
//!   is itself ours and closed to others, and it is either the very file that we wrote and hashed (device, inode,
//!   modification and change time) or has just been hashed again. Whoever could forge that is root or our own user, and
//!   needs no forged component to run code as us.
//!
//! A mapped file must also stay as it is for as long as it is mapped. Penstock never opens a stored file for writing:
//! files are made under another name and renamed into place, and eviction unlinks them, which leaves mappings whole.
//! Between the check and the mapping the name may come to stand for another file, but only by such a rename of our own
//! user's, that is, for another file made in the same way for the same key.

#![allow(unsafe_code, reason = "loading precompiled components is unsafe by nature; the argument is above")]

use wasmtime::{Engine, component::Component};

use super::{common::SignedCode, seal::Sealed};

/// Machine code fresh from a compiler, ours or another host's.
pub(super) struct Code(Vec<u8>);

// === impl Code ===

impl Code {
    /// Compiles a component. Takes from milliseconds to tens of seconds, on all cores.
    ///
    /// # Errors
    ///
    /// What the engine finds wrong with the component.
    pub(super) fn compile(engine: &Engine, component: &[u8]) -> wasmtime::Result<Self> {
        engine.precompile_component(component).map(Self)
    }

    /// What another host has compiled.
    pub(super) fn signed(code: SignedCode) -> Self {
        Self(code.into_bytes())
    }

    /// What to store.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Loads from memory, for when there is no file.
    ///
    /// # Errors
    ///
    /// When the engine's allocator cannot hold such a component.
    pub(super) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the bytes come from `precompile_component`, here or on a host of this cluster, see the module's documentation.
        unsafe { Component::deserialize(engine, &self.0) }
    }
}

/// Maps a stored component into memory. Nothing is read but what is used.
///
/// # Errors
///
/// When the file is of another engine version or other settings, cannot be mapped, or does not fit the engine's allocator.
pub(super) fn map(engine: &Engine, file: &Sealed) -> wasmtime::Result<Component> {
    // SAFETY: `Sealed` stands for a file that this program has written and checked, see the module's documentation.
    unsafe { Component::deserialize_file(engine, file.path()) }
}
