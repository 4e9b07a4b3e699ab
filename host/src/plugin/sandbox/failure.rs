//! How a plugin can fail, in an operator's words. Never with the event's content.

use super::limits::Limits;
use wasmtime::Trap;

/// Why a plugin did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// It ran too long.
    #[error("it ran for more than {0} ms (limits.timeMs)")]
    Time(u64),
    /// It wanted too much memory.
    #[error("it wanted more than {0} bytes of memory (limits.memoryBytes)")]
    Memory(u64),
    /// There was no memory left for it.
    #[error(
        "it got no memory within {waited_ms} ms: all plugins share {total} bytes (pluginMemory.totalBytes); give it a \
         smaller limits.memoryBytes, or them more"
    )]
    SharedMemory {
        /// How long it waited at most.
        waited_ms: u64,
        /// What all plugins have together.
        total: u64,
    },
    /// It called too deep.
    #[error("it overflowed its stack: is a recursion endless?")]
    Stack,
    /// It gave too much.
    #[error("it handed over more than {0} bytes (limits.outputBytes)")]
    Output(u64),
    /// It crashed.
    #[error("it crashed: {0}")]
    Trap(String),
    /// It broke the rules of the component model: bad strings, pointers or discriminants.
    #[error("it answered with something that is no value of the contract: {0}")]
    Abi(String),
    /// It said so itself.
    #[error("it reports: {0}")]
    Reported(String),
    /// It could not be loaded, and there is no earlier version of it to go on with.
    #[error("it is not loaded: {0}")]
    NotLoaded(String),
}

/// A guest asked for what not even an empty WASI gives: it ends there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WasiRefused(pub(crate) &'static str);

impl CallFailure {
    /// All words for metrics.
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

    /// The word for metrics.
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
            // A refused request for memory usually ends in an abort.
            _ if memory_refused => Self::Memory(limits.memory_bytes.get()),
            Some(trap) => Self::Trap(trap.to_string()),
            None if error.is::<WasiRefused>() => Self::Trap(error.root_cause().to_string()),
            None => {
                let text = error.root_cause().to_string();
                if text.contains("fuel allocated for hostcalls") {
                    Self::Output(limits.output_bytes.get())
                } else {
                    Self::Abi(text)
                }
            }
        }
    }
}
