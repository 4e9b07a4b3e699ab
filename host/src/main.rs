//! The program `step-observer`: it runs the command line.

mod cli;

use std::process::ExitCode;
use step_observer::allocator;

fn main() -> ExitCode {
    allocator::configure();
    cli::main()
}
