//! `plugin dev`: builds a plugin after every change of its source, and shows what it does.

use super::build::compile;
use super::dry_run::dry_run;
use super::sources::Sources;
use super::test::run_cases;
use crate::cli::args::plugin::{DevArgs, PluginTarget, RunArgs};
use crate::cli::outcome::{CommandError, CommandOutcome};
use crate::cli::output::print_progress;
use crate::cli::signals::stop_signals;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use step_observer::plugin::{PluginConfig, PluginFrom};

/// Pause between two looks at the source.
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub(super) async fn dev(args: DevArgs) -> Result<CommandOutcome, CommandError> {
    for recording in &args.recordings {
        let can_be_repeated = recording.is_dir() || recording.is_file();
        if !can_be_repeated {
            return Err(format!(
                "{}: it is played again after every change, so it must be a file or a folder",
                recording.display()
            )
            .into());
        }
    }
    let stop = stop_signals(1);
    tokio::pin!(stop);
    let mut shown: Option<Sources> = None;
    let mut before: Option<Sources> = None;
    loop {
        let now = Sources::of(&args.source)?;
        // A source that changes at this moment is not complete: an editor or a checkout writes it.
        let is_quiet = before.as_ref() == Some(&now);
        if is_quiet && shown.as_ref() != Some(&now) {
            if let Err(problem) = round(&args).await {
                print_progress(&problem.to_string());
            }
            print_progress(&format!(
                "waiting for a change in {}; Ctrl-C ends",
                args.source.display()
            ));
            shown = Some(now.clone());
        }
        before = Some(now);
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = &mut stop => return Ok(CommandOutcome::Complete),
        }
    }
}

/// Builds the plugin, runs its cases, and plays the recordings through it.
async fn round(args: &DevArgs) -> Result<(), CommandError> {
    let (module, folder) = match args.source.is_dir() {
        true => (build(&args.source, args.offline)?, &*args.source),
        false => {
            let folder = args.source.parent().unwrap_or(Path::new("."));
            (args.source.clone(), folder)
        }
    };
    let settings = Some(folder.join("plugin.yaml")).filter(|file| file.exists());
    let name = module.file_stem().unwrap_or_default().to_string_lossy();
    let plugin = PluginConfig::new(name.into_owned(), PluginFrom::File(module));
    let target = || PluginTarget {
        plugin: plugin.clone(),
        settings: settings.clone(),
    };
    let cases = folder.join("cases");
    if cases.is_dir()
        && let Err(problem) = run_cases(target(), &cases, false).await
    {
        // The changes of the recording show why.
        print_progress(&problem.to_string());
    }
    dry_run(RunArgs {
        target: target(),
        recordings: args.recordings.clone(),
        logs: args.logs.clone(),
    })
    .await?;
    Ok(())
}

/// Builds the plugin of a folder with cargo, or with its own `build.sh OUTPUT.wasm`.
fn build(folder: &Path, offline: bool) -> Result<PathBuf, CommandError> {
    let script = folder.join("build.sh");
    if folder.join("Cargo.toml").exists() || !script.exists() {
        return compile(folder, offline);
    }
    let absolute = std::fs::canonicalize(folder)?;
    let name = absolute.file_name().unwrap_or_default();
    let module = absolute.join(name).with_extension("wasm");
    print_progress(&format!("{} {}", script.display(), module.display()));
    let status = Command::new("bash")
        .arg("build.sh")
        .arg(&module)
        .current_dir(folder)
        .status()
        .map_err(|error| format!("failed to start bash, which runs build.sh: {error}"))?;
    match status.success() {
        true => Ok(module),
        false => Err("build.sh failed: see its output above".into()),
    }
}
