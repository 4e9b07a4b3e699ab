//! Progress of a long file, for a user who waits at a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};
use step_observer::terminal;

/// Time before the progress is shown, and between two updates of it.
const FIRST: Duration = Duration::from_secs(1);
const NEXT: Duration = Duration::from_millis(200);

const MIB: u64 = 1024 * 1024;

/// Returns whether to show the progress: standard error is a terminal, but standard output is not.
pub(super) fn is_wanted() -> bool {
    io::stderr().is_terminal() && !io::stdout().is_terminal()
}

/// Shows how much of a file is done.
#[derive(Debug)]
pub(super) struct Progress {
    file: String,
    /// Size of the file in bytes; `None` if the progress is not shown.
    size: Option<u64>,
    done: u64,
    next: Instant,
    is_shown: bool,
}

impl Progress {
    pub(super) fn new(path: &Path, size: Option<u64>) -> Self {
        Self {
            file: path.display().to_string(),
            size,
            done: 0,
            next: Instant::now() + FIRST,
            is_shown: false,
        }
    }

    /// Counts bytes that were read.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.done += bytes as u64;
        let Some(size) = self.size else {
            return;
        };
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + NEXT;
        self.is_shown = true;
        let file = terminal::escape_line(&self.file);
        let (done, all) = (self.done / MIB, size.max(self.done) / MIB);
        write!(io::stderr(), "\r==> {file}: {done} of {all} MiB").ok();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            // Clears the line.
            write!(io::stderr(), "\r\x1b[K").ok();
        }
    }
}
