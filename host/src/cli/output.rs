//! Lines on standard output and standard error.

use super::outcome::CommandError;
use std::io::{ErrorKind, Write as _};
use step_observer::terminal;

/// Prints a line on standard output. A closed standard output is no error.
pub(super) fn print_line(text: &str) {
    writeln!(std::io::stdout(), "{text}").ok();
}

/// Prints a progress message on standard error, so that standard output holds only the output.
pub(super) fn print_progress(text: &str) {
    writeln!(std::io::stderr(), "==> {}", terminal::escape_lines(text)).ok();
}

/// Prints a text on standard output. A closed standard output is no error: the reader, such as
/// `head`, has what it wanted.
pub(super) fn print_text(text: &(impl AsRef<[u8]> + ?Sized)) -> Result<(), CommandError> {
    let mut stdout = std::io::stdout();
    let written = stdout.write_all(text.as_ref());
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("failed to write to standard output: {error}").into())
        }
        _ => Ok(()),
    }
}
