//! Recordings of the command line as a source: files, folders, pipes and standard input.

use super::outcome::CommandError;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use step_observer::app::Source;
use step_observer::observe::{ObserveError, RecordedLogs, RecordedStreams, Speed};

/// Merges recordings and watch streams into one source. A name is a file, a folder with files
/// `*.jsonl`, a pipe (such as `<(kubectl …)`), or `-`. Logs come from `logs`, else from the files
/// beside the recordings.
pub(super) fn source(
    names: &[PathBuf],
    logs: &[PathBuf],
    speed: Speed,
    hold_for: Duration,
) -> Result<Source, CommandError> {
    let mut streams = RecordedStreams::default();
    let mut beside = RecordedLogs::default();
    let mut has_stdin = false;
    for name in names {
        if name == Path::new("-") {
            if std::mem::replace(&mut has_stdin, true) {
                return Err(
                    "standard input (-) is named twice, but it can be read only once".into(),
                );
            }
            add_stdin(&mut streams)?;
            continue;
        }
        let metadata = std::fs::metadata(name).map_err(|source| unread(name, source))?;
        if metadata.is_dir() {
            for file in recordings_in(name)? {
                add_file(&mut streams, &mut beside, &file)?;
            }
        } else if metadata.is_file() {
            add_file(&mut streams, &mut beside, name)?;
        } else {
            let pipe = name.clone();
            streams.add_pipe(name.display().to_string(), move || {
                Ok(Box::new(File::open(pipe)?))
            });
        }
    }
    let mut given = RecordedLogs::default();
    for file in logs {
        let text = std::fs::read_to_string(file).map_err(|source| unread(file, source))?;
        given.add(RecordedLogs::parse(&file.display().to_string(), &text)?);
    }
    Ok(Source::Recording {
        live: streams.is_live(),
        player: streams.player(speed),
        logs: if logs.is_empty() { beside } else { given },
        hold_for,
    })
}

fn add_file(
    streams: &mut RecordedStreams,
    beside: &mut RecordedLogs,
    file: &Path,
) -> Result<(), CommandError> {
    let reader = File::open(file).map_err(|source| unread(file, source))?;
    beside.add(RecordedLogs::read_beside(file)?);
    streams.add_file(file.display().to_string(), reader);
    Ok(())
}

/// Adds standard input: a live stream, unless it is a file.
fn add_stdin(streams: &mut RecordedStreams) -> Result<(), CommandError> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err("standard input is a terminal: pipe a recording into it".into());
    }
    let name = "standard input".to_owned();
    let file = stdin.as_fd().try_clone_to_owned().map(File::from);
    let file = file.map_err(|source| unread(Path::new(&name), source))?;
    match file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        true => streams.add_file(name, file),
        false => streams.add_pipe(name, move || Ok(Box::new(file) as Box<dyn Read + Send>)),
    }
    Ok(())
}

fn recordings_in(folder: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|source| unread(folder, source))?;
    let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "jsonl")
    });
    files.sort();
    if files.is_empty() {
        let folder = folder.display();
        return Err(format!(
            "{folder} holds no recording (*.jsonl)\n  `step-observer record --out DIR` writes one"
        )
        .into());
    }
    Ok(files)
}

fn unread(path: &Path, source: io::Error) -> ObserveError {
    ObserveError::Read {
        name: path.display().to_string(),
        source,
    }
}
