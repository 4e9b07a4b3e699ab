//! Checks a configuration as far as it can be without a cluster: loads its plugins, and opens what its sinks need.

use super::AppError;
use super::plugins::{engine, load_plugin};
use crate::config::{ConfigCheck, FieldPath};
use crate::plugin::{
    ChainError, Compiler, LoadError, PluginEngine, TrustConfig, omit_fields, original_path,
};
use crate::plugin::{PluginConfig, PluginFrom};
use crate::sink::SinkKind;
use serde_json::Value;
use std::sync::Arc;

/// What is looked at beside the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckScope {
    /// Plugins only: the file may be for another machine.
    AnyMachine,
    /// Also files, folders and variables: the observer runs here.
    ThisMachine,
}

/// Adds to a check of a configuration what is found when its plugins are loaded, and, if it is for this machine, what its
/// sinks need. What is wrong already is passed over.
///
/// # Errors
///
/// WebAssembly does not run here.
pub async fn check(
    checked: &mut ConfigCheck,
    surroundings: CheckScope,
    compiler: Compiler,
) -> Result<(), AppError> {
    let Some(config) = checked.config().cloned() else {
        return Ok(());
    };
    let engine = engine(&config.plugin_memory, compiler)?;
    let trust = Arc::new(checked.trust());
    for (path, plugin) in checked.plugins() {
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

/// How often a plugin is loaded to find what is wrong with its configuration.
const MAX_LOADS_PER_PLUGIN: usize = 16;

/// What is wrong with a plugin, each with the field that is to blame. What is wrong in its configuration is left out, and it
/// is loaded again.
async fn mistakes(
    engine: &PluginEngine,
    path: &FieldPath,
    plugin: PluginConfig,
    trust: &Arc<TrustConfig>,
) -> Vec<(FieldPath, String)> {
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for _ in 0..MAX_LOADS_PER_PLUGIN {
        let config = omit_fields(&plugin.config, &FieldPath::default(), &left_out);
        let tried = PluginConfig {
            config: config.clone(),
            ..plugin.clone()
        };
        let Err(ChainError { name, source }) = load_plugin(engine, &tried, trust).await else {
            break;
        };
        let mut wrong = Vec::new();
        for (field, problem) in mistakes_by_field(&source, &config) {
            let field = field.map(|field| original_path(field, &left_out));
            let at = match &field {
                Some(field) => path.key("config").join(field.clone()),
                None => blamed_field(path, &plugin.from, &source),
            };
            found.push((at, format!("plugin `{name}`: {problem}")));
            wrong.push(field);
        }
        // What is wrong with all of it cannot be left out.
        let wrong: Option<Vec<_>> = wrong.into_iter().collect();
        match wrong {
            Some(wrong) if !wrong.is_empty() => left_out.extend(wrong),
            _ => break,
        }
    }
    found
}

/// The fields of a plugin's configuration that it refuses, as far as they are known, and why.
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

/// The field that is to blame for a plugin that is not loaded.
fn blamed_field(path: &FieldPath, from: &PluginFrom, error: &LoadError) -> FieldPath {
    match (error, from) {
        (
            LoadError::Configure(_)
            | LoadError::ConfigureTrapped(_)
            | LoadError::Rules
            | LoadError::LargeRules
            | LoadError::RuleSet { .. },
            _,
        ) => path.key("config"),
        (LoadError::Digest { .. }, _) => path.key("sha256"),
        (_, PluginFrom::Bundled(_)) => path.key("from").key("bundled"),
        (_, PluginFrom::File(_)) => path.key("from").key("file"),
    }
}
