//! The trait of a wire. To add a wire, write a module with its settings and an `impl Wire`, and add
//! a row to `wires!` in `sink/mod.rs`. There is no other list of wires.

use super::tekton::{DynamicUrl, TektonConfig};
use super::{Attempt, PauseGate, SinkError, defaults};
use crate::event::Encoded;
use crate::http::TlsConfig;
use std::fmt;
use std::time::Duration;

/// Problem of a setting: its path below the wire's settings, such as `tls.caFile`, and the reason
/// why the setting cannot be used.
pub(crate) type SettingProblem = (String, SinkError);

/// Returns what is wrong with the settings of TLS.
pub(super) fn tls_problem(tls: Option<&TlsConfig>) -> Option<SettingProblem> {
    let problem = tls?.check().err()?;
    Some(("tls".to_owned(), problem.into()))
}

/// Function that starts to follow the sink in Tekton's configuration, and returns its URL, which is
/// updated at every change.
pub type FollowTekton<'a> = dyn FnMut(&TektonConfig) -> DynamicUrl + Send + 'a;

/// Services of the program that wires may need when they are opened.
#[derive(Default)]
pub struct SinkContext<'a> {
    /// Function that follows the sink in Tekton's configuration. `None` if there is no cluster.
    pub follow_tekton: Option<&'a mut FollowTekton<'a>>,
    /// Whether each TaskRun has a trace of its own (`event.traceContext: own`).
    pub own_traces: bool,
}

impl fmt::Debug for SinkContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkContext").finish_non_exhaustive()
    }
}

/// A way to deliver events: a protocol, a file, a terminal.
pub(crate) trait Wire: fmt::Debug + Sized + Send + Sync {
    /// Settings of the wire. Their doc comments become the descriptions in the JSON Schema, for
    /// users.
    type Config: Sync;

    /// Name of the wire in the configuration, in errors, and in the names of sinks that the command line adds.
    const NAME: &'static str;

    /// Crates whose own log lines are switched off, because the wire reports their errors itself.
    const SILENCED_CRATES: &'static [&'static str] = &[];

    /// The missing cargo feature: the wire needs it, but this program was built without it. `None`
    /// if the wire can be used.
    const MISSING_FEATURE: Option<&'static str> = None;

    /// Whether the wire takes the ends of TaskRuns and PipelineRuns, which no plugin sees.
    const TAKES_RUN_ENDS: bool = false;

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

    /// Returns whether the wire takes the ends of PipelineRuns, too.
    fn takes_pipeline_runs(_: &Self::Config) -> bool {
        false
    }

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

    /// Sends one event once. A wire whose future takes more than about a kilobyte boxes this
    /// future, so that the attempts of other wires stay small.
    fn send(&self, event: &Encoded) -> impl Future<Output = Attempt> + Send;

    /// Returns how long an attempt may take.
    fn timeout(&self) -> Duration {
        defaults::TIMEOUT
    }

    /// Returns how many events may be in flight at a time.
    fn concurrency(&self) -> usize {
        defaults::CONCURRENCY
    }

    /// Replaces the gate that holds the pauses of the receiver. Does nothing for a wire whose
    /// receiver cannot ask for a pause.
    fn with_pause_gate(self, _: PauseGate) -> Self {
        self
    }

    /// Waits until the sink has another receiver than at the last attempt. For most wires the
    /// receiver never changes, so this waits forever.
    fn receiver_changed(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}
