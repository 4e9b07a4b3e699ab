//! Reads the keyboard on a thread of its own, because reading blocks.

use crossterm::event::{self, Event};
use tokio::sync::mpsc;

/// Events that wait. More keys than this wait in the terminal.
const CAPACITY: usize = 32;

/// Starts to read. The channel closes when the terminal is gone.
pub(super) fn read() -> mpsc::Receiver<Event> {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    let read = move || {
        // The thread ends with the process: nothing interrupts a read.
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                break;
            }
        }
    };
    // Without the thread the channel is closed, and `top` ends.
    std::thread::Builder::new()
        .name("keys".to_owned())
        .spawn(read)
        .ok();
    receiver
}
