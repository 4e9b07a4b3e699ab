//! The command line. `--help` describes the commands.
//!
//! The commands use `args` and the shared modules (`outcome`, `output`, `signals`, `configuration`,
//! …), never the reverse; no command uses another one.

mod args;
mod cluster;
mod commands;
mod config;
mod config_file;
mod configuration;
mod dead_letters;
mod default_sink;
mod demo;
mod demo_recording;
mod explain;
mod log;
mod outcome;
mod output;
mod plugin;
mod program_name;
mod record;
mod recordings;
mod redact;
mod replay;
mod run;
mod shell;
mod signals;
mod tap;
mod timeline;
mod top;
mod unused_memory;
mod version;

use args::{Args, Command, LogFormat};
use outcome::CommandOutcome;
use std::io::Write as _;
use std::process::ExitCode;
use step_observer::allocator;
use step_observer::config::{ConfigError, Mistakes};
use step_observer::plugin::{Compiler, CompilerProgram, compile_for_parent};
use step_observer::terminal;

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let args = program_name::parse();
    // Ignores the error: installation fails only if a provider is already installed.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let Args {
        command,
        log: logged,
    } = args;
    let filter = match log::start(&command, &logged) {
        Ok(filter) => filter,
        Err(problem) => return fail(&problem),
    };
    if let Command::CompilePlugin = command {
        let done = compile_for_parent(std::io::stdin().lock(), std::io::stdout().lock());
        return match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("failed to compile a plugin: {error}")),
        };
    }
    let compiler = match compiler(&filter, logged.log_format) {
        Ok(compiler) => compiler,
        Err(error) => return fail(&format!("failed to find this program: {error}")),
    };
    let mut builder = match command {
        // One thread for all tasks, besides those of plugins, the journal and the history. Each update
        // in a cluster is a chain of short tasks. More threads would wake for each task and find it done.
        Command::Run(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.on_thread_park(allocator::trim_sometimes);
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("failed to start: {error}")),
    };
    let ended = runtime.block_on(commands::dispatch(command, compiler));
    // Does not wait for a thread that still reads standard input.
    runtime.shutdown_background();
    match ended {
        Ok(CommandOutcome::Complete) => ExitCode::SUCCESS,
        Ok(CommandOutcome::SecretsFound) => ExitCode::from(outcome::SECRETS_FOUND),
        Ok(CommandOutcome::Undelivered(count)) => fail(&format!(
            "{count} events were not delivered; see the lines above for the reasons"
        )),
        Err(error) => fail(&error_text(error.as_ref())),
    }
}

/// Returns the text of an error. Mistakes of a configuration are printed on one line each, so that
/// editors find them; the returned text has only their count.
fn error_text(error: &(dyn std::error::Error + 'static)) -> String {
    let invalid = error.downcast_ref().and_then(|error| match error {
        ConfigError::Invalid(mistakes) => Some(mistakes),
        _ => None,
    });
    let Some(mistakes) = invalid.or_else(|| error.downcast_ref::<Mistakes>()) else {
        return error.to_string();
    };
    for mistake in mistakes.list() {
        let line = mistake.to_string();
        writeln!(std::io::stderr(), "{}", terminal::escape_line(&line)).ok();
    }
    format!(
        "{} in the configuration; `step-observer config schema` prints the allowed fields and values",
        mistakes.count()
    )
}

fn fail(problem: &str) -> ExitCode {
    // A closed standard error cannot be reported anywhere.
    writeln!(
        std::io::stderr(),
        "error: {}",
        terminal::escape_lines(problem)
    )
    .ok();
    ExitCode::FAILURE
}

/// Returns the compiler of plugins: this program, started with the same log settings.
fn compiler(filter: &str, format: LogFormat) -> std::io::Result<Compiler> {
    let format = match format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    let arguments = ["compile-plugin", "--log", filter, "--log-format", format];
    let mut program = CompilerProgram::current(arguments.map(Into::into).into())?;
    // Passes on `NO_COLOR`, so that the compiler's log has the same colors as the log of this
    // process.
    if let Some(value) = std::env::var_os("NO_COLOR") {
        program = program.with_variable("NO_COLOR", value);
    }
    Ok(Compiler::Process(program))
}
