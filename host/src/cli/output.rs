//! Lines on standard output and standard error.

use std::io::Write as _;
use step_observer::terminal;

/// Prints a line on standard output. A closed standard output is no error.
pub(super) fn print_line(text: &str) {
    writeln!(std::io::stdout(), "{text}").ok();
}

/// Prints a progress message on standard error, so that standard output holds only the output.
pub(super) fn print_progress(text: &str) {
    writeln!(std::io::stderr(), "==> {}", terminal::escape_lines(text)).ok();
}
