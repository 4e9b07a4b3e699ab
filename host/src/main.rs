//! `step-observer`: the command line.

mod cli;

use libmimalloc_sys as mi;
use std::process::ExitCode;

/// Many small texts live for long between large ones that do not: glibc's allocator keeps half as
/// much again resident for 10,000 tracked runs (`cargo xtask bench`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h, which the bindings leave out.
const PURGE_DELAY: mi::mi_option_t = 15;

fn main() -> ExitCode {
    give_memory_back();
    cli::main()
}

/// Compiling a plugin takes tens of MiB for a moment: they go back to the system at once.
#[expect(
    unsafe_code,
    reason = "the allocator's options are set through C functions without preconditions"
)]
fn give_memory_back() {
    // SAFETY: it only stores a number, before any other thread exists.
    unsafe { mi::mi_option_set(PURGE_DELAY, 20) }
}
