//! The trait of a wire. A new wire is a module with its settings and an `impl Wire`, and a row of `wires!` in
//! `sink/mod.rs`; nothing else lists the wires.

use super::tekton::{DynamicUrl, TektonConfig};
use super::{Attempt, PauseGate, SinkError, defaults};
use crate::event::Encoded;
use std::fmt;
use std::time::Duration;

/// A setting that cannot be used: its path below the wire's settings, such as `tls.caFile`, and the reason.
pub(crate) type SettingProblem = (String, SinkError);

/// Starts to follow the sink that Tekton is configured with, and returns its URL of the moment.
pub type FollowTekton<'a> = dyn FnMut(&TektonConfig) -> DynamicUrl + Send + 'a;

/// Services of the program that wires may need when they are opened.
#[derive(Default)]
pub struct SinkContext<'a> {
    /// Follows the sink of Tekton. `None` without a cluster.
    pub follow_tekton: Option<&'a mut FollowTekton<'a>>,
}

impl fmt::Debug for SinkContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkContext").finish_non_exhaustive()
    }
}

/// A way to deliver events: a protocol, a file, a terminal.
pub(crate) trait Wire: fmt::Debug + Sized + Send + Sync {
    /// The settings of the wire. Their doc comments are the reference in the JSON Schema.
    type Config: Sync;

    /// Name of the wire in the configuration, in errors, and in the names of sinks that the command line adds.
    const NAME: &'static str;

    /// Crates whose own log lines are switched off, because the wire reports their errors itself.
    const SILENCED_CRATES: &'static [&'static str] = &[];

    /// The cargo feature that this program lacks for the wire. `None` if the wire can be used.
    const MISSING_FEATURE: Option<&'static str> = None;

    /// Returns all settings that contradict each other or can never be used. Reads no file and contacts no server.
    fn problems(_: &Self::Config) -> Vec<SettingProblem> {
        Vec::new()
    }

    /// Reads the secrets and certificates that the settings name, to find out whether they can be used. Contacts no server
    /// and creates no file.
    fn check_files(_: &Self::Config) -> Result<(), SinkError> {
        Ok(())
    }

    /// Returns scheme, host and port of the receiver, which are no secrets. `None` if the wire has no URL.
    fn origin(_: &Self::Config) -> Option<String> {
        None
    }

    /// Replaces settings that may be secrets by `***`, so that the configuration can be shown.
    fn mask(_: &mut Self::Config) {}

    /// Returns the size of the attributes that the wire adds to each event, in bytes.
    fn added_bytes(_: &Self::Config) -> usize {
        0
    }

    /// Opens the wire. A server that cannot be reached yet is no error: the first attempt connects.
    ///
    /// # Errors
    ///
    /// The settings, or a file that they name, cannot be used.
    fn open(
        config: &Self::Config,
        context: &mut SinkContext<'_>,
    ) -> impl Future<Output = Result<Self, SinkError>> + Send;

    /// Sends one event once. A wire whose future takes more than about a kilobyte boxes it, so that the attempts of other
    /// wires stay small.
    fn send(&self, event: &Encoded) -> impl Future<Output = Attempt> + Send;

    /// Returns how long an attempt may take.
    fn timeout(&self) -> Duration {
        defaults::TIMEOUT
    }

    /// Returns how many events may be in flight at a time.
    fn concurrency(&self) -> usize {
        defaults::CONCURRENCY
    }

    /// Makes the wire keep the pauses that its receiver asks for. Wires whose receivers cannot ask for one ignore it.
    fn with_pause_gate(self, _: PauseGate) -> Self {
        self
    }

    /// Waits until the receiver differs from the one of the last attempt. Most wires have one receiver for ever.
    fn receiver_changed(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}
