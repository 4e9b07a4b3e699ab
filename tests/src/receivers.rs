//! Real receivers, which `cargo xtask receivers` installs.

use crate::peer::Missing;
use std::path::PathBuf;

/// Environment variable. With the value `required`, tests fail if their receivers or languages are
/// missing.
pub const LANGUAGES_REQUIRED: &str = "STEP_OBSERVER_LANGUAGES";

/// Returns the path of an installed file or folder.
pub fn installed(below: &str) -> Result<PathBuf, Missing> {
    let folder = match std::env::var_os("STEP_OBSERVER_GUESTS") {
        Some(guests) => PathBuf::from(guests).join("../receivers"),
        None => crate::path("../target/receivers"),
    };
    let file = folder.join(below);
    match file.exists() {
        true => Ok(file),
        false => {
            let peer = format!("{} does not exist", file.display());
            Err(Missing::new(peer, "run `cargo xtask receivers`").required_by(LANGUAGES_REQUIRED))
        }
    }
}

/// Returns the path of an installed program.
pub fn program(name: &str) -> Result<PathBuf, Missing> {
    installed(&format!("venv/bin/{name}"))
}
