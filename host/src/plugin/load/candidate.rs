//! A plugin that is being configured.

use super::error::LoadError;
use super::world::World;
use crate::plugin::sandbox::{
    CallFailure, Host, Limits, OutputMask, PluginEngine, masking, transform as wit,
};
use std::sync::Arc;
use wasmtime::{Engine, Store};

/// Longest reason for which a plugin cannot be configured, in bytes.
const MAX_REASON_BYTES: usize = 1024;

/// A plugin that is being configured.
pub(super) struct Candidate<'a> {
    pub(super) engine: &'a PluginEngine,
    name: Arc<str>,
    pub(super) component: &'a [u8],
    pub(super) world: World,
    /// JSON text.
    pub(super) config: &'a str,
    /// Masks the configuration, which may contain secrets.
    config_mask: Arc<OutputMask>,
    /// The limits of `configure`.
    pub(super) limits: Limits,
}

/// The answers of `configure` and `mask-sets`.
pub(super) type Answer = (wit::Setup, Result<Vec<masking::MaskSet>, String>);

impl<'a> Candidate<'a> {
    /// Returns a plugin with its configuration and the limits of its calls.
    pub(super) fn new(
        engine: &'a PluginEngine,
        name: &str,
        component: &'a [u8],
        config: &'a str,
        limits: &Limits,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            engine,
            name: name.into(),
            component,
            world: World::parse(component)?,
            config,
            config_mask: Arc::new(OutputMask::for_config(config)),
            limits: Limits {
                time_ms: limits.configure_ms,
                memory_bytes: limits.memory_bytes,
                ..Limits::default()
            },
        })
    }

    /// Makes the store of one instance.
    pub(super) fn store(&self, engine: &Engine) -> Store<Host> {
        let (name, mask) = (self.name.clone(), self.config_mask.clone());
        (self.engine).store(engine, &self.limits, name, mask, None, None)
    }

    /// Classifies the error of a call in this store.
    pub(super) fn failure(&self, error: &wasmtime::Error, store: &Store<Host>) -> CallFailure {
        CallFailure::classify(error, store.data().limits.refused, &self.limits)
    }

    /// Masks a reason, which may quote the configuration, and shortens it.
    pub(super) fn mask(&self, reason: &str) -> String {
        self.config_mask.mask_line(reason, MAX_REASON_BYTES)
    }
}
