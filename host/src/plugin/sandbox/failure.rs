//! Failures of plugin calls, described for operators. They never quote the event.

use super::limits::Limits;
use wasmtime::Trap;

/// Part of the message of the wasmtime error for a call that passes too many bytes to the host. The
/// error has no type of its own, so the message is compared. The test
/// `misbehaving::every_failure_is_named_and_the_event_goes_on_as_it_was` produces this error.
const HOSTCALL_FUEL: &str = "fuel allocated for hostcalls";

/// Why a plugin call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// It exceeded its time.
    #[error("it ran for more than {0} ms (limits.timeMs)")]
    Time(u64),
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
    #[error("it overflowed its stack: is a recursion endless?")]
    Stack,
    /// Its changes were too large.
    #[error("it handed over more than {0} bytes (limits.outputBytes)")]
    Output(u64),
    /// It trapped.
    #[error("it crashed: {0}")]
    Trap(String),
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
            Self::Time(_) => "time",
            Self::Memory(_) => "memory",
            Self::SharedMemory { .. } => "sharedMemory",
            Self::Stack => "stack",
            Self::Output(_) => "output",
            Self::Trap(_) => "trap",
            Self::Abi(_) => "abi",
            Self::Reported(_) => "reported",
            Self::NotLoaded(_) => "notLoaded",
        }
    }

    pub(crate) fn classify(error: &wasmtime::Error, memory_refused: bool, limits: &Limits) -> Self {
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => Self::Time(limits.time_ms.get()),
            Some(Trap::StackOverflow) => Self::Stack,
            // A plugin usually aborts when a request for memory is refused.
            _ if memory_refused => Self::Memory(limits.memory_bytes.get()),
            Some(trap) => Self::Trap(trap.to_string()),
            None if error.is::<WasiRefused>() => Self::Trap(error.root_cause().to_string()),
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
