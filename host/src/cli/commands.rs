//! Starts the command that was given.

use super::args::Command;
use super::outcome::{CommandError, CommandOutcome};
use super::{
    config, dead_letters, demo, explain, plugin, record, redact, replay, run, shell, tap, top,
};
use step_observer::plugin::Compiler;

pub(super) async fn dispatch(
    command: Command,
    compiler: Compiler,
) -> Result<CommandOutcome, CommandError> {
    match command {
        Command::Demo(args) => demo::demo(args, compiler).await,
        Command::Run(args) => run::run(args, compiler).await,
        Command::Tap(args) => tap::tap(args).await,
        Command::Top(args) => top::top(args).await,
        Command::Replay(args) => replay::replay(args, compiler).await,
        Command::Record(args) => record::record(args, compiler).await,
        Command::Redact(args) => redact::redact(args).await,
        Command::Plugin(command) => plugin::dispatch(command).await,
        Command::Explain(args) => explain::explain(&args),
        Command::DeadLetters(command) => dead_letters::dead_letters(command).await,
        Command::Config(command) => config::config(command).await,
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
        // This command needs no runtime: `main` has already handled it.
        Command::CompilePlugin => Ok(CommandOutcome::Complete),
    }
}
