//! Signals that stop the program: SIGTERM and SIGINT.

use tokio::signal::unix::{SignalKind, signal};

/// Error text for a second signal.
pub(super) const SECOND_SIGNAL: &str = "stopped by a second signal: the remaining events were not delivered; with \
    --journal the next start delivers them";

/// Completes when the process has received this number of stop signals.
///
/// Signals count from the call on, not from the first poll, so that no signal in between is lost.
pub(super) fn stop_signals(count: usize) -> impl Future<Output = ()> + Send + 'static {
    let terminate = signal(SignalKind::terminate());
    let interrupt = signal(SignalKind::interrupt());
    async move {
        let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else {
            return std::future::pending().await;
        };
        for _ in 0..count {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
    }
}
