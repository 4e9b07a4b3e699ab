//! `step-observer plugin`: everything that the author of a plugin needs, on every form that the host
//! loads.

mod args;
mod bench;
mod build;
mod config_map;
mod diff;
mod dry_run;
mod inspect;
mod new;
mod test;

pub(crate) use args::PluginCommand;

use super::End;
use args::Target;
use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use step_observer::app::load_plugin;
use step_observer::config::{PluginConfig, PluginFrom};
use step_observer::plugin::dropin::PluginManifest;
use step_observer::plugin::{Chain, Plugin, PluginEngine, TrustConfig};
use step_observer::terminal;

type Problem = Box<dyn Error + Send + Sync>;

pub(crate) async fn run(command: PluginCommand) -> Result<End, Problem> {
    match command {
        PluginCommand::New(args) => new::new(&args),
        PluginCommand::Build(args) => build::build(args).await,
        PluginCommand::Inspect(args) => inspect::inspect(args).await,
        PluginCommand::Test(args) => test::test(args).await,
        PluginCommand::Run(args) => dry_run::dry_run(args).await,
        PluginCommand::Bench(args) => bench::bench(args).await,
    }
}

/// Writes a line for a person or a pipe.
fn say(text: &str) {
    // Whoever read it may have gone.
    writeln!(std::io::stdout(), "{text}").ok();
}

/// Says what happens now, beside the output.
fn note(text: &str) {
    writeln!(std::io::stderr(), "==> {}", terminal::escape_lines(text)).ok();
}

/// The plugin as the host would run it: with the `plugin.yaml` that is given, else the one beside the
/// module.
fn configured(target: Target) -> Result<PluginConfig, Problem> {
    let Target { plugin, settings } = target;
    let beside = match &plugin.from {
        PluginFrom::File(file) => Some(file.with_file_name("plugin.yaml")),
        PluginFrom::Bundled(_) => None,
    };
    let Some(path) = settings.or(beside.filter(|path| path.exists())) else {
        return Ok(plugin);
    };
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("failed to read {}: {error}", path.display()))?;
    let manifest = PluginManifest::parse(&path.display().to_string(), &text)?;
    Ok(with_settings(plugin, manifest))
}

/// The plugin as the host would run it with this `plugin.yaml`.
fn with_settings(plugin: PluginConfig, manifest: PluginManifest) -> PluginConfig {
    let PluginManifest {
        order: _,
        on_error,
        limits,
        select,
        config,
        wasi,
        sha256,
        plugin: _,
        part: _,
    } = manifest;
    PluginConfig {
        // What is given on the command line comes first.
        config: if plugin.config.is_null() {
            config
        } else {
            plugin.config
        },
        on_error,
        limits,
        select,
        wasi,
        sha256,
        ..PluginConfig::new(plugin.name, plugin.from)
    }
}

fn engine() -> Result<PluginEngine, Problem> {
    PluginEngine::new()
        .map_err(|error| format!("failed to start the plugin engine: {error:#}").into())
}

async fn load(engine: &PluginEngine, config: &PluginConfig) -> Result<Arc<Plugin>, Problem> {
    Ok(load_plugin(engine, config, &Arc::new(TrustConfig::default())).await?)
}

/// A chain of this plugin alone.
fn alone(engine: &PluginEngine, plugin: Arc<Plugin>) -> Arc<Chain> {
    Arc::new(Chain::new(engine, vec![plugin], 0))
}

fn bundled(name: &str) -> PluginConfig {
    PluginConfig::new(name.to_owned(), PluginFrom::Bundled(name.to_owned()))
}
