//! `config`: checks, shows and describes configuration files.

use super::args::{ConfigCommand, SchemaOf};
use super::outcome::{CommandError, CommandOutcome};
use super::output::print_text;
use step_observer::app::{self, CheckScope};
use step_observer::config::{Config, ConfigCheck};
use step_observer::event;
use step_observer::plugin::Compiler;
use step_observer::plugin::dropin::PluginManifest;

pub(super) async fn config(command: ConfigCommand) -> Result<CommandOutcome, CommandError> {
    let text = match command {
        ConfigCommand::Check { file } => {
            let mut check = ConfigCheck::read(&file)?;
            app::check(&mut check, CheckScope::AnyMachine, Compiler::Thread).await?;
            let config = check.into_config()?;
            let (plugins, sinks) = (config.plugins.len(), config.sinks.len());
            format!(
                "{}: ok, {plugins} plugins and {sinks} sinks\n",
                file.display()
            )
        }
        ConfigCommand::Schema { of } => {
            let schema = match of {
                SchemaOf::Config => Config::json_schema(),
                SchemaOf::Plugin => PluginManifest::json_schema(),
                SchemaOf::Event => event::json_schema(),
                SchemaOf::Gap => event::gap_json_schema(),
            };
            format!("{schema:#}\n")
        }
        ConfigCommand::Show { file } => {
            let config = match file {
                Some(file) => Config::read(&file)?,
                None => Config::default(),
            };
            config.masked().to_yaml()?
        }
    };
    print_text(&text)?;
    Ok(CommandOutcome::Complete)
}
