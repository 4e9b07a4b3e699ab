//! `step-observer`: the command line.

mod cli;

use libmimalloc_sys as mi;
use std::process::ExitCode;

/// Many small texts live for long between large ones that do not: glibc's allocator keeps half as
/// much again resident for 10,000 tracked runs (`cargo xtask bench`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h, which the bindings leave out.
const OPTION_PURGE_DELAY: mi::mi_option_t = 15;

fn main() -> ExitCode {
    set_purge_delay();
    cli::main()
}

/// Free memory goes back to the system after so many milliseconds. At once costs some of the rate at which events
/// are delivered: most of it is needed again (`cargo bench --bench delivery`).
const PURGE_DELAY_MS: std::ffi::c_long = 20;

#[expect(
    unsafe_code,
    reason = "the allocator's options are set through C functions without preconditions"
)]
fn set_purge_delay() {
    // SAFETY: it only stores a number, before any other thread exists.
    unsafe { mi::mi_option_set(OPTION_PURGE_DELAY, PURGE_DELAY_MS) }
}
