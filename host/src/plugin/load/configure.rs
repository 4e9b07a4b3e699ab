//! Configures a plugin once, and makes a component that contains the configured memory. Every event
//! starts from that component.

use super::candidate::{Answer, Candidate};
use super::declared_sets::{DeclaredSets, MAX_SHOWN_NAME_BYTES, SetSummary};
use super::error::LoadError;
use super::module;
use super::refusals::Refusals;
use super::snapshot;
use super::spec::PluginSpec;
use super::trust::FileDigest;
use crate::plugin::policy::Wasi;
use crate::plugin::sandbox::{
    CallFailure, GuestMasker, GuestPlugin, Host, Limits, LoadKey, OutputMask, PluginEngine,
    PluginPre, RuleSets,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use tracing::warn;
use wasmtime::Store;
use wasmtime::component::Component;

/// A configured plugin.
pub(crate) struct ConfiguredPlugin {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) rule_sets: Arc<RuleSets>,
    /// Descriptions of its rule sets and mask sets.
    pub(crate) declared: Vec<SetSummary>,
    pub(crate) instance_pre: PluginPre<Host>,
    /// JSON text with which each instance must be configured. `None` if the memory after
    /// `configure` was kept.
    pub(crate) configure_per_call: Option<String>,
}

/// The module's settings, in the form in which they are sent to the compiler process: over a pipe,
/// so that they appear neither in its arguments nor in its environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CompileRequest {
    name: String,
    /// JSON text.
    config: String,
    limits: Limits,
    wasi: Wasi,
    snapshot: bool,
}

impl CompileRequest {
    /// Returns the key under which the result of this request is shared. The name is no part of it: it
    /// only names the plugin in log lines.
    pub(crate) fn key(&self, module: &FileDigest) -> Result<LoadKey, LoadError> {
        let Self {
            name: _,
            config,
            limits,
            wasi,
            snapshot,
        } = self;
        let parts = (module, config, limits, wasi, snapshot);
        let parts = serde_json::to_vec(&parts).map_err(std::io::Error::from)?;
        Ok(Sha256::digest(parts).into())
    }

    pub(crate) fn new(spec: &PluginSpec) -> Self {
        Self {
            name: spec.name.clone(),
            config: spec.settings.config.to_string(),
            limits: spec.settings.limits.clone(),
            wasi: spec.settings.wasi,
            snapshot: spec.snapshot,
        }
    }
}

/// The answer of `configure`, and whether the configured memory was kept. It is sent together with
/// the machine code.
#[derive(Serialize, Deserialize)]
pub(crate) struct CompileOutput {
    name: String,
    version: String,
    sets: DeclaredSets,
    snapshotted: bool,
}

/// Configures a plugin, and compiles its module with the configured memory. This step takes most of
/// the time and memory of a load. The resulting machine code works in every engine of this program.
pub(crate) fn compile_and_configure(
    engine: &PluginEngine,
    request: &CompileRequest,
    module: &[u8],
) -> Result<(CompileOutput, Vec<u8>), LoadError> {
    let component = module::component(module, request.wasi)?;
    let CompileRequest {
        name,
        config,
        limits,
        ..
    } = request;
    let candidate = Candidate::new(engine, name, &component, config, limits)?;
    let snapshot = request.snapshot.then(|| snapshot::configure(&candidate));
    let snapshotted = matches!(snapshot, Some(Ok(_)));
    let ((setup, mask_sets), compiled) = match snapshot {
        Some(Ok(kept)) => kept,
        None => configure_plain(&candidate)?,
        Some(Err(failure)) => {
            let plain = configure_plain(&candidate)?;
            warn!(
                plugin = name,
                failure,
                "the configured memory cannot be kept, the plugin is configured again for every event"
            );
            plain
        }
    };
    let mask_sets = mask_sets.map_err(|reason| LoadError::MaskSets(candidate.mask(&reason)))?;
    let output = CompileOutput {
        sets: DeclaredSets::check(setup.rule_sets, mask_sets)?,
        name: setup.name,
        version: setup.version,
        snapshotted,
    };
    let code = compiled
        .serialize()
        .map_err(|error| compile_error(&error))?;
    Ok((output, code))
}

/// Configures a plugin in an instance that works like those for events, and returns its answer with
/// the compiled component.
fn configure_plain(candidate: &Candidate<'_>) -> Result<(Answer, Component), LoadError> {
    let engine = candidate.engine;
    let compiled = engine.compile(candidate.component);
    let compiled = compiled.map_err(|error| compile_error(&error))?;
    let plain = pre_instantiate(engine, &compiled)?;
    let selects_masks = candidate.world.masking().is_some();
    let configure = |config: &str| {
        let mut store = candidate.store(&engine.run);
        let answer = call_configure(&plain, &mut store, config, selects_masks);
        answer.map_err(|error| candidate.failure(&error, &store))
    };
    match configure(candidate.config) {
        Ok(Ok(answer)) => Ok((answer, compiled)),
        Ok(Err(reason)) => {
            let again = |config: &str| configure(config).ok()?.err();
            let masked = |reason: &str| candidate.mask(reason);
            let refusals = Refusals::find(candidate.config, reason, again, masked);
            Err(LoadError::Configure(refusals))
        }
        Err(CallFailure::Time {
            limit_ms,
            functions,
        }) => Err(LoadError::ConfigureTrapped(format!(
            "it ran for more than {limit_ms} ms (limits.configureMs){functions}"
        ))),
        Err(failure) => Err(LoadError::ConfigureTrapped(
            candidate.mask(&failure.to_string()),
        )),
    }
}

/// Makes a callable plugin from the output of the compiler.
pub(crate) fn instantiable(
    engine: &PluginEngine,
    request: &CompileRequest,
    output: CompileOutput,
    code: &[u8],
) -> Result<ConfiguredPlugin, LoadError> {
    let CompileOutput {
        name,
        version,
        sets,
        snapshotted,
    } = output;
    let declared = sets.summaries();
    let rule_sets = sets.compile()?;
    let component = engine
        .restore(code)
        .map_err(|error| compile_error(&error))?;
    let line = |text: &str| OutputMask::default().mask_line(text, MAX_SHOWN_NAME_BYTES);
    Ok(ConfiguredPlugin {
        name: line(&name),
        version: line(&version),
        rule_sets: Arc::new(rule_sets),
        declared,
        instance_pre: pre_instantiate(engine, &component)?,
        configure_per_call: (!snapshotted).then(|| request.config.clone()),
    })
}

/// Configures the plugin in a new instance. If `selects_masks` is true, also asks this instance for
/// its mask sets.
fn call_configure(
    plain: &PluginPre<Host>,
    store: &mut Store<Host>,
    config: &str,
    selects_masks: bool,
) -> wasmtime::Result<Result<Answer, String>> {
    let instance = plain.instance_pre().instantiate(&mut *store)?;
    let guest = GuestPlugin::new(&mut *store, &instance)?;
    let transform = guest.step_observer_plugin_transform();
    let setup = match transform.call_configure(&mut *store, config)? {
        Ok(setup) => setup,
        Err(reason) => return Ok(Err(reason)),
    };
    let mask_sets = match selects_masks {
        true => GuestMasker::new(&mut *store, &instance)?
            .step_observer_plugin_masking()
            .call_mask_sets(&mut *store)?,
        false => Ok(Vec::new()),
    };
    Ok(Ok((setup, mask_sets)))
}

fn pre_instantiate(
    engine: &PluginEngine,
    component: &Component,
) -> Result<PluginPre<Host>, LoadError> {
    engine
        .linker(component)
        .and_then(|linker| linker.instantiate_pre(component))
        .and_then(PluginPre::new)
        .map_err(|error| LoadError::Contract(format!("{error:#}")))
}

fn compile_error(error: &wasmtime::Error) -> LoadError {
    LoadError::Compile(format!("{error:#}"))
}
