//! Failures of plugin calls, described for operators. They never quote the event.

use super::limits::Limits;
use super::running_functions::RunningFunctions;
use wasmtime::Trap;

/// Part of the message of the wasmtime error for a call that passes too many bytes to the host. The
/// error has no type of its own, so the message is compared. The test
/// `misbehaving::every_failure_is_named_and_the_event_goes_on_as_it_was` produces this error.
const HOSTCALL_FUEL: &str = "fuel allocated for hostcalls";

/// Why a plugin call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// It exceeded its time.
    #[error("it ran for more than {limit_ms} ms (limits.timeMs){functions}")]
    Time {
        /// The limit, in milliseconds.
        limit_ms: u64,
        /// What ran at that moment.
        functions: RunningFunctions,
    },
    /// It exceeded its memory.
    #[error("it wanted more than {0} bytes of memory (limits.memoryBytes)")]
    Memory(u64),
    /// The memory that all plugins share was in use.
    #[error(
        "it got no memory within {waited_ms} ms: all plugins share {total} bytes (pluginMemory.totalBytes); give it a \
         smaller limits.memoryBytes, or them more"
    )]
    SharedMemory {
        /// How long it waited, in milliseconds.
        waited_ms: u64,
        /// Memory of all plugins together, in bytes.
        total: u64,
    },
    /// It overflowed its stack.
    #[error("it overflowed its stack{0}: is a recursion endless?")]
    Stack(RunningFunctions),
    /// Its changes were too large.
    #[error("it handed over more than {0} bytes (limits.outputBytes)")]
    Output(u64),
    /// It trapped.
    #[error("it crashed: {cause}{functions}")]
    Trap {
        /// What wasmtime says.
        cause: String,
        /// What ran at that moment.
        functions: RunningFunctions,
    },
    /// It violated the component model: invalid strings, pointers or discriminants.
    #[error("it answered with something that is no value of the contract: {0}")]
    Abi(String),
    /// The plugin returned an error.
    #[error("it reports: {0}")]
    Reported(String),
    /// It could not be loaded, and there is no earlier version to use instead.
    #[error("it is not loaded: {0}")]
    NotLoaded(String),
}

/// A guest called a function that the empty WASI refuses. The call traps.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WasiRefused(pub(crate) &'static str);

impl CallFailure {
    /// All labels.
    pub(crate) const LABELS: [&str; 9] = [
        "time",
        "memory",
        "sharedMemory",
        "stack",
        "output",
        "trap",
        "abi",
        "reported",
        "notLoaded",
    ];

    /// Returns the label for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Time { .. } => "time",
            Self::Memory(_) => "memory",
            Self::SharedMemory { .. } => "sharedMemory",
            Self::Stack(_) => "stack",
            Self::Output(_) => "output",
            Self::Trap { .. } => "trap",
            Self::Abi(_) => "abi",
            Self::Reported(_) => "reported",
            Self::NotLoaded(_) => "notLoaded",
        }
    }

    /// Returns the failure of a call that exceeded its time outside of the plugin.
    pub(crate) fn out_of_time(limits: &Limits) -> Self {
        Self::Time {
            limit_ms: limits.time_ms.get(),
            functions: RunningFunctions::default(),
        }
    }

    pub(crate) fn classify(error: &wasmtime::Error, memory_refused: bool, limits: &Limits) -> Self {
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => Self::Time {
                limit_ms: limits.time_ms.get(),
                functions: RunningFunctions::of(error),
            },
            Some(Trap::StackOverflow) => Self::Stack(RunningFunctions::of(error)),
            // A plugin usually aborts when a request for memory is refused.
            _ if memory_refused => Self::Memory(limits.memory_bytes.get()),
            Some(trap) => Self::Trap {
                cause: trap.to_string(),
                functions: RunningFunctions::of(error),
            },
            None if error.is::<WasiRefused>() => Self::Trap {
                cause: error.root_cause().to_string(),
                functions: RunningFunctions::of(error),
            },
            None => {
                let text = error.root_cause().to_string();
                if text.contains(HOSTCALL_FUEL) {
                    Self::Output(limits.output_bytes.get())
                } else {
                    Self::Abi(text)
                }
            }
        }
    }
}
