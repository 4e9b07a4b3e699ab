//! Peers that a test needs and a machine may lack: other programs, kernel features, builds in other languages.

use std::io::Write as _;

/// A peer that is missing.
#[derive(Debug)]
pub struct Missing {
    peer: String,
    remedy: &'static str,
    is_required: bool,
}

impl Missing {
    /// `remedy` says how to get the peer.
    #[must_use]
    pub fn new(peer: impl Into<String>, remedy: &'static str) -> Self {
        Self {
            peer: peer.into(),
            remedy,
            is_required: false,
        }
    }

    /// Makes [`Self::skip`] fail the test if the variable has the value `required`, as in CI.
    #[must_use]
    pub fn required_by(mut self, variable: &str) -> Self {
        self.is_required = std::env::var_os(variable).is_some_and(|value| value == "required");
        self
    }

    /// Prints `SKIPPED: <test>: <peer>: <remedy>`, even if the test harness captures output.
    ///
    /// # Panics
    ///
    /// If the peer is required.
    pub fn skip(&self) {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        let Self { peer, remedy, .. } = self;
        assert!(!self.is_required, "{peer}, which is required: {remedy}");
        writeln!(std::io::stderr(), "SKIPPED: {test}: {peer}: {remedy}").ok();
    }
}

/// Returns the value of a `Result<_, Missing>`. On an error the test ends here: skipped, or failed
/// if the peer is required.
#[macro_export]
macro_rules! available {
    ($peer:expr) => {
        match $peer {
            Ok(peer) => peer,
            Err(missing) => return missing.skip(),
        }
    };
}

/// Checks that this machine allows user and mount namespaces. Returns the arguments of `unshare`.
pub fn mount_namespace() -> Result<[&'static str; 3], Missing> {
    let arguments = ["--user", "--map-root-user", "--mount"];
    let allowed = std::process::Command::new("unshare")
        .args(arguments)
        .arg("true")
        .status();
    match allowed.is_ok_and(|status| status.success()) {
        true => Ok(arguments),
        false => Err(Missing::new(
            "this machine allows no user namespaces",
            "make `unshare --user --map-root-user --mount true` work",
        )),
    }
}

/// Checks that a program of the machine can be started.
pub fn machine_program(
    name: &'static str,
    arguments: &[&str],
    remedy: &'static str,
) -> Result<(), Missing> {
    let output = std::process::Command::new(name).args(arguments).output();
    match output.is_ok_and(|output| output.status.success()) {
        true => Ok(()),
        false => Err(Missing::new(format!("there is no {name}"), remedy)),
    }
}
