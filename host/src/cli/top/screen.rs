//! The terminal while `top` owns it: raw mode, the alternate screen, no cursor. However the command ends, the terminal is as
//! before: on return by `Drop`, on a panic by a hook.

use super::draw;
use super::model::{Action, Model};
use crossterm::cursor::{Hide, Show};
use crossterm::execute;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode, size,
};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use rustix::process::{Signal, getpid, kill_process};
use std::io::{self, Stdout, stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::task::block_in_place;

/// Whether the terminal is changed, for the panic hook.
static IS_ENTERED: AtomicBool = AtomicBool::new(false);

/// The terminal.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes over the terminal.
    pub(super) fn enter() -> io::Result<Self> {
        restore_on_panic();
        // Made first: if it fails, nothing is to be restored.
        let terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        let screen = Self { terminal };
        take_over()?;
        Ok(screen)
    }

    /// Returns columns and rows.
    #[expect(
        clippy::unused_self,
        reason = "the size is asked for only while the terminal is taken over"
    )]
    pub(super) fn size(&self) -> io::Result<(u16, u16)> {
        size()
    }

    /// Draws what differs from the last frame. Blocks while the terminal takes nothing.
    pub(super) fn draw(&mut self, model: &Model) -> io::Result<()> {
        block_in_place(|| {
            self.terminal
                .draw(|frame| draw::draw(frame, model))
                .map(drop)
        })
    }

    /// Gives the terminal back, and stops the process as Ctrl-Z does, until it is continued.
    #[expect(
        clippy::unused_self,
        reason = "only the owner of the terminal gives it back"
    )]
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back()?;
        kill_process(getpid(), Signal::TSTP)?;
        Ok(())
    }

    /// Takes over the terminal again, after the process was continued.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        take_over()?;
        // A new one draws everything. `Terminal::clear` would ask the terminal for its cursor, and read the answer from the keyboard.
        self.terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        execute!(stdout(), Clear(ClearType::All))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal may be gone; nothing is to be restored then.
        give_back().ok();
    }
}

fn take_over() -> io::Result<()> {
    IS_ENTERED.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, Hide)
}

fn give_back() -> io::Result<()> {
    if !IS_ENTERED.swap(false, Ordering::SeqCst) {
        return Ok(());
    }
    // The modes come first: when the ordinary screen is seen, the terminal is as it was.
    let cooked = disable_raw_mode();
    execute!(stdout(), Show, LeaveAlternateScreen).and(cooked)
}

/// Restores the terminal before a panic of any thread is reported, so that its message is readable.
fn restore_on_panic() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back().ok();
            before(panic);
        }));
    });
}

/// Signals that `top` acts on. Ctrl-C and Ctrl-Z are keys, because the terminal is in raw mode.
pub(super) struct TopSignals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
    resume: unix::Signal,
}

impl TopSignals {
    pub(super) fn listen() -> io::Result<Self> {
        // tokio has no name for it. Linux has the same number on all machines that the program is built for.
        let resume = SignalKind::from_raw(Signal::CONT.as_raw());
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            resume: signal(resume)?,
        })
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> Action {
        tokio::select! {
            _ = self.terminate.recv() => Action::Quit,
            _ = self.interrupt.recv() => Action::Quit,
            _ = self.hangup.recv() => Action::Quit,
            _ = self.resume.recv() => Action::Resume,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_any_thread_gives_the_terminal_back_first() {
        restore_on_panic();
        IS_ENTERED.store(true, Ordering::SeqCst);
        let panicked = std::thread::spawn(|| panic!("in a thread")).join();
        assert!(panicked.is_err() && !IS_ENTERED.load(Ordering::SeqCst));
    }
}
