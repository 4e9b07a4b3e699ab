//! The clock of deadlines: a thread that advances the epoch of the engines while plugins run, and
//! sleeps otherwise.

use super::limits::EPOCH_TICK;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::Thread;
use wasmtime::{Engine, EngineWeak};

/// The clock. Its thread ends with the last handle.
pub(super) struct DeadlineClock {
    shared: Arc<Shared>,
    thread: Thread,
}

/// A call that runs. The clock ticks until this is dropped.
pub(crate) struct RunningCall(Arc<DeadlineClock>);

struct Shared {
    calls: Calls,
    is_over: AtomicBool,
}

impl DeadlineClock {
    /// Starts the thread. It sleeps until the first call. This is a thread of the operating system,
    /// because timers of a busy async runtime are late.
    pub(super) fn start(engines: [&Engine; 2]) -> std::io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            calls: Calls::new(),
            is_over: AtomicBool::new(false),
        });
        let engines = engines.map(Engine::weak);
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("plugin-deadline".to_owned())
            .spawn(move || run(&of_thread, &engines))?;
        Ok(Arc::new(Self {
            shared,
            thread: thread.thread().clone(),
        }))
    }

    /// Keeps the clock ticking while a call runs. Must be called before the deadline of the call is
    /// set.
    pub(super) fn begin(self: &Arc<Self>) -> RunningCall {
        if self.shared.calls.begin() {
            self.thread.unpark();
        }
        RunningCall(self.clone())
    }
}

impl Drop for DeadlineClock {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        self.0.shared.calls.end();
    }
}

fn run(shared: &Shared, engines: &[EngineWeak]) {
    let is_over = || shared.is_over.load(Ordering::Acquire);
    while !is_over() {
        // Returns at once if a call has begun since the clock fell asleep.
        std::thread::park();
        shared.calls.wake();
        while !is_over() {
            // The first tick after a sleep takes its whole time, so no deadline comes early.
            std::thread::sleep(EPOCH_TICK);
            for engine in engines.iter().filter_map(EngineWeak::upgrade) {
                engine.increment_epoch();
            }
            if shared.calls.falls_asleep_after_tick() {
                break;
            }
        }
    }
}

/// The number of running calls, and whether the clock sleeps. Both are in one word. So a call that
/// begins before the clock falls asleep keeps it awake, and a call that begins later wakes it.
#[derive(Debug)]
struct Calls(AtomicU32);

/// The bit of a sleeping clock. The other bits count the running calls.
const ASLEEP: u32 = 1 << 31;

impl Calls {
    /// Returns the state of a clock that sleeps.
    fn new() -> Self {
        Self(AtomicU32::new(ASLEEP))
    }

    /// Counts a call. Returns whether the caller must wake the clock.
    fn begin(&self) -> bool {
        self.0.fetch_add(1, Ordering::AcqRel) & ASLEEP != 0
    }

    fn end(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    fn wake(&self) {
        self.0.fetch_and(!ASLEEP, Ordering::AcqRel);
    }

    /// Decides after a tick whether the clock now sleeps: it does if no call runs. So single calls
    /// cost one tick each, and a busy process wakes the thread at most once per tick.
    fn falls_asleep_after_tick(&self) -> bool {
        (self.0)
            .compare_exchange(0, ASLEEP, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

#[cfg(test)]
mod tests;
