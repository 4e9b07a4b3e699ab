//! Passes files through the engine to standard output.

use super::explain::Findings;
use super::input::{Input, Next};
use super::progress::Progress;
use std::io::{self, ErrorKind, PipeReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use step_observer::redact::{Engine, Masker, RedactionCounts};

/// Bytes that are read at once.
const READ_BYTES: usize = 128 * 1024;

/// The filter.
pub(super) struct Filter {
    pub(super) engine: Arc<Engine>,
    /// Reaches its end of file when the user stops the program.
    pub(super) stopped: PipeReader,
    /// Prints the findings instead of the text.
    pub(super) findings: Option<Findings>,
    pub(super) shows_progress: bool,
}

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// The secrets by rule.
    pub(super) counts: RedactionCounts,
    /// Files that could not be read, with the reason.
    pub(super) failures: Vec<String>,
}

/// Why a file is not masked to its end.
enum Cut {
    /// Standard output is closed.
    Closed,
    /// The user has stopped the program.
    Stopped,
    Read(io::Error),
    Write(io::Error),
}

impl Filter {
    /// Masks files in order. Goes on with the next file if one cannot be read.
    ///
    /// # Errors
    ///
    /// Standard output cannot be written.
    pub(super) fn run(&mut self, files: &[PathBuf]) -> io::Result<Done> {
        let mut done = Done::default();
        for path in files {
            let mut masker = Masker::new(self.engine.clone());
            if self.findings.is_some() {
                masker = masker.remembering();
            }
            let cut = match Input::open(path) {
                Ok(input) => self.mask(path, input, masker, &mut done.counts).err(),
                Err(error) => Some(Cut::Read(error)),
            };
            match cut {
                None => {}
                Some(Cut::Closed | Cut::Stopped) => break,
                Some(Cut::Read(error)) => {
                    let name = path.display();
                    done.failures
                        .push(format!("failed to read {name}: {error}"));
                }
                Some(Cut::Write(error)) => {
                    let problem = format!("failed to write to standard output: {error}");
                    return Err(io::Error::new(error.kind(), problem));
                }
            }
        }
        Ok(done)
    }

    fn mask(
        &mut self,
        path: &Path,
        mut input: Input,
        mut masker: Masker,
        counts: &mut RedactionCounts,
    ) -> Result<(), Cut> {
        let mut progress = Progress::new(path, input.size.filter(|_| self.shows_progress));
        if let Some(findings) = &mut self.findings {
            findings.begin(path);
        }
        let mut buffer = vec![0; READ_BYTES];
        let mut output = Vec::new();
        let end = loop {
            match input.next(&self.stopped).map_err(Cut::Read)? {
                Next::Read => {}
                Next::Stop => break Some(Cut::Stopped),
                Next::Wait => {
                    // Somebody may be waiting for these lines.
                    masker.flush_lines(&mut output);
                    if let Err(cut) = self.write(&mut masker, &mut output) {
                        counts.merge(masker.counts());
                        return Err(cut);
                    }
                    input.wait(&self.stopped).map_err(Cut::Read)?;
                    continue;
                }
            }
            match input.read(&mut buffer) {
                Ok(None) => {}
                Ok(Some(0)) => break None,
                Ok(Some(length)) => {
                    masker.push(buffer.get(..length).unwrap_or_default(), &mut output);
                    if let Err(cut) = self.write(&mut masker, &mut output) {
                        counts.merge(masker.counts());
                        return Err(cut);
                    }
                    progress.advance(length);
                }
                // The text that was read before the error is masked, too.
                Err(error) => break Some(Cut::Read(error)),
            }
        };
        let (found, replaced) = masker.finish_remembering(&mut output);
        counts.merge(&found);
        match &mut self.findings {
            None => write_all(&output)?,
            Some(findings) => {
                findings.take(&output, replaced);
                write_all(findings.finish().as_bytes())?;
            }
        }
        end.map_or(Ok(()), Err)
    }

    /// Writes what is masked by now.
    fn write(&mut self, masker: &mut Masker, output: &mut Vec<u8>) -> Result<(), Cut> {
        if output.is_empty() {
            return Ok(());
        }
        match &mut self.findings {
            None => write_all(output)?,
            Some(findings) => {
                findings.take(output, masker.take_replaced());
                write_all(findings.ready().as_bytes())?;
            }
        }
        output.clear();
        Ok(())
    }
}

fn write_all(bytes: &[u8]) -> Result<(), Cut> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Cut::Closed,
        _ => Cut::Write(error),
    })
}
