//! Arguments in, exit code out. All that it does is said in `--help`.

mod args;
mod commands;
mod dead_letters;
mod demo;
mod explain;
mod plugin;
mod run;
mod shell;
mod timeline;

use args::{Args, Command, LogArgs, LogFormat};
use clap::Parser as _;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use step_observer::plugin::{Compiler, CompilerProgram, compile_for_parent};
use tracing_subscriber::EnvFilter;

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
    let Args { command, log } = args;
    let filter = match start_log(&command, &log) {
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
    let compiler = match compiler(&filter, log.log_format) {
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
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(problem: &str) -> ExitCode {
    // Where standard error is closed there is nobody to tell.
    writeln!(std::io::stderr(), "error: {problem}").ok();
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

/// Gives what is logged as a filter.
fn start_log(command: &Command, args: &LogArgs) -> Result<String, String> {
    let default = if command.is_quiet() { "warn" } else { "info" };
    let chosen = args.log.as_deref().unwrap_or(default);
    // Below these levels they log objects, which may hold secrets; of NATS and Kafka we tell ourselves.
    let filter = format!(
        "{chosen},kube_client::client=error,kube_runtime::watcher=info,async_nats=off,rskafka=off"
    );
    let filter = EnvFilter::builder().parse(&filter).map_err(|error| {
        format!("--log `{filter}`: {error}; write for example info or step_observer=debug")
    })?;
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(color);
    match args.log_format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(chosen.to_owned())
}
