//! `redact`: the engine that masks secrets, as a filter.

mod explain;
mod filter;
mod input;
mod progress;
mod rules;
mod settings;
mod titles;

use super::args::redact::{ColorArg, RedactArgs};
use super::outcome::{CommandError, CommandOutcome};
use super::output::print_text;
use super::signals::stop_signals;
use explain::Findings;
use filter::Filter;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Time after a stop signal in which the rest of the text is written.
const GRACE: Duration = Duration::from_secs(1);

pub(super) async fn redact(args: RedactArgs) -> Result<CommandOutcome, CommandError> {
    let color = is_colored(args.color);
    let options = settings::options(&args)?;
    if args.rules {
        print_text(&rules::list(&options, args.json, color)?)?;
        return Ok(CommandOutcome::Complete);
    }
    let engine = Arc::new(settings::engine(&options, &args.value_files)?);
    let (stopped, stop) = std::io::pipe()?;
    // Listens for the signal before the first line is written, so that a user who sees this line
    // can stop the program.
    let stop_signal = stop_signals(1);
    let mut filter = tokio::task::spawn_blocking(move || {
        let filter = Filter {
            findings: (args.explain || args.json)
                .then(|| Findings::new(engine.clone(), &options, args.json, color)),
            engine,
            stopped,
            shows_progress: progress::is_wanted(),
        };
        run(filter, args)
    });
    tokio::select! {
        done = &mut filter => return done?,
        () = stop_signal => drop(stop),
    }
    // Reading ends here. Writing may take longer than the user wants to wait.
    match tokio::time::timeout(GRACE, filter).await {
        Ok(done) => done?,
        Err(_) => Ok(CommandOutcome::Complete),
    }
}

/// Masks all files, and reports what was found.
fn run(mut filter: Filter, args: RedactArgs) -> Result<CommandOutcome, CommandError> {
    let mut files = args.files;
    if files.is_empty() {
        files.push(PathBuf::from("-"));
    }
    let done = filter.run(&files)?;
    let is_summed_up = filter.findings.is_some() || (args.check && done.counts.total() > 0);
    if is_summed_up {
        explain::print_summary(&done.counts);
    }
    if !done.failures.is_empty() {
        return Err(done.failures.join("\n").into());
    }
    match args.check && done.counts.total() > 0 {
        true => Ok(CommandOutcome::SecretsFound),
        false => Ok(CommandOutcome::Complete),
    }
}

fn is_colored(color: ColorArg) -> bool {
    match color {
        ColorArg::Always => true,
        ColorArg::Never => false,
        ColorArg::Auto => std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    }
}
