//! Arguments in, exit code out. All that it does is said in `--help`.

mod args;
mod commands;
mod dead_letters;
mod demo;
mod explain;
mod log;
mod plugin;
mod record;
mod recordings;
mod run;
mod shell;
mod timeline;
mod version;

use args::{Args, Command, LogFormat};
use clap::Parser as _;
use std::io::Write as _;
use std::process::ExitCode;
use step_observer::config::{ConfigError, Mistakes};
use step_observer::plugin::{Compiler, CompilerProgram, compile_for_parent};
use step_observer::terminal;

/// What a command says at its end.
pub(crate) enum End {
    /// All went well.
    Good,
    /// It ran, but not everything was delivered.
    Undelivered(u64),
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let args = Args::parse();
    // Only an earlier call could have set another.
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
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("failed to start: {error}")),
    };
    let ended = runtime.block_on(commands::run(command, compiler));
    // A thread that waits for standard input must not keep the program.
    runtime.shutdown_background();
    match ended {
        Ok(End::Good) => ExitCode::SUCCESS,
        Ok(End::Undelivered(count)) => fail(&format!(
            "{count} events were not delivered; see the lines above for the reasons"
        )),
        Err(error) => fail(&reported(error.as_ref())),
    }
}

/// What an error says. Mistakes of a configuration are listed one a line, so that editors find them, and the line with the
/// count is the last.
fn reported(error: &(dyn std::error::Error + 'static)) -> String {
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
        "{} in the configuration; `step-observer config schema` prints what is allowed",
        mistakes.count()
    )
}

fn fail(problem: &str) -> ExitCode {
    // Where standard error is closed there is nobody to tell.
    writeln!(
        std::io::stderr(),
        "error: {}",
        terminal::escape_lines(problem)
    )
    .ok();
    ExitCode::FAILURE
}

/// This program as a compiler of plugins that logs as it does itself.
fn compiler(filter: &str, format: LogFormat) -> std::io::Result<Compiler> {
    let format = match format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    let arguments = ["compile-plugin", "--log", filter, "--log-format", format];
    let mut program = CompilerProgram::this(arguments.map(Into::into).into())?;
    // What it logs looks as all else does.
    if let Some(value) = std::env::var_os("NO_COLOR") {
        program = program.with_variable("NO_COLOR", value);
    }
    Ok(Compiler::Child(program))
}
