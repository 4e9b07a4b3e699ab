//! Checks a configuration without a cluster: loads its plugins, and opens what its sinks need.

use super::AppError;
use super::plugins::{engine, engine_with_memory, load_plugin};
use crate::config::{ConfigCheck, FieldPath};
use crate::plugin::{
    ChainError, Compiler, LoadError, PluginEngine, TrustConfig, omit_fields, original_path,
};
use crate::plugin::{PluginConfig, PluginFrom};
use crate::sink::SinkKind;
use serde_json::Value;
use std::sync::Arc;

/// The extent of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckScope {
    /// Checks only plugins, because the file may be for another machine.
    AnyMachine,
    /// Also checks files, folders and variables, because the observer runs on this machine.
    ThisMachine,
}

/// Loads the plugins of a configuration, but for those in registries. If the configuration is for this machine, also opens what
/// its sinks need. Adds the mistakes to `checked`. A field that already has a mistake gets no
/// second one.
///
/// # Errors
///
/// WebAssembly does not run on this machine.
pub async fn check(
    checked: &mut ConfigCheck,
    surroundings: CheckScope,
    compiler: Compiler,
) -> Result<(), AppError> {
    let Some(config) = checked.config().cloned() else {
        return Ok(());
    };
    let engine = engine_with_memory(engine()?, &config.plugin_memory, compiler);
    let trust = Arc::new(checked.trust());
    for (path, plugin) in checked.plugins() {
        // A check contacts nobody.
        if matches!(plugin.from, PluginFrom::Oci(_)) {
            continue;
        }
        for (field, problem) in mistakes(&engine, &path, plugin, &trust).await {
            checked.add_mistake(&field, problem);
        }
    }
    if surroundings == CheckScope::AnyMachine {
        return Ok(());
    }
    checked.check_files();
    let folders = FieldPath::default().key("dropIn").key("folders");
    for (index, folder) in config.drop_in.folders.iter().enumerate() {
        if let Err(error) = std::fs::read_dir(folder) {
            let problem = format!(
                "failed to read the plugins in {}: {error}",
                folder.display()
            );
            checked.add_mistake(&folders.index(index), problem);
        }
    }
    for (path, sink) in checked.sinks() {
        let dead_letters = sink.dead_letter_sink.as_ref().map(|sink| &sink.to);
        let wires = [("to", Some(&sink.to)), ("deadLetterSink", dead_letters)];
        for (field, to) in wires {
            let path = path.key(field);
            let opened = to.map_or(Ok(()), SinkKind::check_files);
            if let (Err(problem), false) = (opened, checked.has_mistake(&path)) {
                checked.add_mistake(&path, format!("sink `{}`: {problem}", sink.name));
            }
        }
    }
    Ok(())
}

/// Maximum number of loads of one plugin. They are repeated to find all mistakes in its
/// configuration.
const MAX_LOADS_PER_PLUGIN: usize = 16;

/// Finds the mistakes of a plugin, each with its field. Loads the plugin again without the fields
/// that have a mistake, to find more.
async fn mistakes(
    engine: &PluginEngine,
    path: &FieldPath,
    plugin: PluginConfig,
    trust: &Arc<TrustConfig>,
) -> Vec<(FieldPath, String)> {
    let (mut found, mut omitted) = (Vec::new(), Vec::new());
    for _ in 0..MAX_LOADS_PER_PLUGIN {
        let config = omit_fields(&plugin.config, &FieldPath::default(), &omitted);
        let tried = PluginConfig {
            config: config.clone(),
            ..plugin.clone()
        };
        let Err(ChainError { name, source }) = load_plugin(engine, &tried, trust).await else {
            break;
        };
        let mut wrong = Vec::new();
        for (field, problem) in mistakes_by_field(&source, &config) {
            let field = field.map(|field| original_path(field, &omitted));
            let at = match &field {
                Some(field) => path.key("config").join(field.clone()),
                None => blamed_field(path, &plugin.from, &source),
            };
            found.push((at, format!("plugin `{name}`: {problem}")));
            wrong.push(field);
        }
        // Ends the search at a mistake of the whole configuration: such a mistake has no field that
        // could be removed.
        let wrong: Option<Vec<_>> = wrong.into_iter().collect();
        match wrong {
            Some(wrong) if !wrong.is_empty() => omitted.extend(wrong),
            _ => break,
        }
    }
    found
}

/// Returns why a plugin refuses its configuration, each reason with its field if the plugin names
/// one.
fn mistakes_by_field(error: &LoadError, config: &Value) -> Vec<(Option<FieldPath>, String)> {
    let LoadError::Configure(refusals) = error else {
        return vec![(error.rule_in(config), error.to_string())];
    };
    let refused = refusals.all.iter();
    let refused = refused.map(|reason| match FieldPath::split_prefix(reason) {
        Some((field, reason)) => (
            Some(field),
            format!("it refuses its configuration: {reason}"),
        ),
        None => (None, format!("it refuses its configuration: {reason}")),
    });
    refused.collect()
}

/// Returns the field that causes the failure of a load.
fn blamed_field(path: &FieldPath, from: &PluginFrom, error: &LoadError) -> FieldPath {
    match (error, from) {
        (
            LoadError::Configure(_)
            | LoadError::ConfigureTrapped(_)
            | LoadError::Rules
            | LoadError::LargeRules
            | LoadError::SetName(_)
            | LoadError::MaskSets(_)
            | LoadError::MaskSet { .. }
            | LoadError::RuleSet { .. },
            _,
        ) => path.key("config"),
        (LoadError::ConfigSource { .. }, _) => path.key("configFrom"),
        (LoadError::Digest { .. }, _) => path.key("sha256"),
        (_, PluginFrom::Bundled(_)) => path.key("from").key("bundled"),
        (_, PluginFrom::Oci(_)) => path.key("from").key("oci"),
        (_, PluginFrom::File(_)) => path.key("from").key("file"),
    }
}
