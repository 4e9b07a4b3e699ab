//! The program `step-observer`: it runs the command line.

mod cli;

use libmimalloc_sys as mi;
use std::process::ExitCode;

/// With glibc's allocator, 10,000 tracked runs would take one and a half times the memory (`cargo
/// xtask bench`): many small texts live long, between large ones that do not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h, which the bindings lack.
const OPTION_PURGE_DELAY: mi::mi_option_t = 15;

fn main() -> ExitCode {
    set_purge_delay();
    cli::main()
}

/// Milliseconds until free memory goes back to the system. Without a delay, fewer events per second
/// are delivered, because most of the memory is needed again (`cargo bench --bench delivery`).
const PURGE_DELAY_MS: std::ffi::c_long = 20;

#[expect(
    unsafe_code,
    reason = "the allocator's options are set through C functions without preconditions"
)]
fn set_purge_delay() {
    // SAFETY: the function only stores a number, and no other thread exists yet.
    unsafe { mi::mi_option_set(OPTION_PURGE_DELAY, PURGE_DELAY_MS) }
}
