//! The program `step-observer`: it runs the command line.

mod cli;

use std::process::ExitCode;
use step_observer::allocator;

/// With glibc's allocator, 10,000 tracked runs would take one and a half times the memory (`cargo
/// xtask bench`): many small texts live long, between large ones that do not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    allocator::set_purge_delay();
    cli::main()
}
