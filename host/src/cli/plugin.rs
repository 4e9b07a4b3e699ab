//! `plugin`: writes, builds, tries and measures plugins. Each command takes every form of plugin that the host loads.

mod bench;
mod build;
mod config_map;
mod dev;
mod diff;
mod dry_run;
mod inspect;
mod json_file;
mod list;
mod new;
mod registry;
mod settings;
mod sources;
mod target;
mod test;

use super::args::plugin::PluginCommand;
use super::outcome::{CommandError, CommandOutcome};

pub(super) async fn dispatch(command: PluginCommand) -> Result<CommandOutcome, CommandError> {
    match command {
        PluginCommand::New(args) => new::new(&args),
        PluginCommand::List(args) => list::list(&args),
        PluginCommand::Build(args) => build::build(args).await,
        PluginCommand::Inspect(args) => inspect::inspect(args).await,
        PluginCommand::Push(args) => registry::push(args).await,
        PluginCommand::Pull(args) => registry::pull(args).await,
        PluginCommand::Test(args) => test::test(args).await,
        PluginCommand::Run(args) => dry_run::dry_run(args).await,
        PluginCommand::Dev(args) => dev::dev(args).await,
        PluginCommand::Bench(args) => bench::bench(args).await,
    }
}
