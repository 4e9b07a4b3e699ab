//! `top`: the runs, plugins and sinks of a running observer, on the whole terminal.
//!
//! `model` and `draw` are pure. `screen` owns the terminal, and this module joins them.

mod draw;
mod keys;
mod model;
mod screen;
#[cfg(test)]
mod tests;
mod text;

use super::args::tap::TopArgs;
use super::outcome::{CommandError, CommandOutcome};
use futures::StreamExt as _;
use model::{Action, Model};
use screen::{Screen, TopSignals};
use std::io::{self, IsTerminal as _};
use std::time::Duration;
use step_observer::observer_client::ObserverClient;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// Least time between two frames, so that a slow connection gets at most four per second.
const FRAME_TIME: Duration = Duration::from_millis(250);
/// How often the durations of running steps are drawn again.
const TICK: Duration = Duration::from_secs(1);

pub(super) async fn top(args: TopArgs) -> Result<CommandOutcome, CommandError> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(
            "`top` needs a terminal as its input and output; `step-observer tap --observer URL` prints lines instead".into(),
        );
    }
    let client = ObserverClient::new(args.observer, args.token_file)?;
    let mut stream = client.follow();
    // Asks before it takes the terminal, so that an error is an ordinary line.
    let first = match stream.next().await {
        Some(first) => first?,
        None => return Ok(CommandOutcome::Complete),
    };
    let mut signals = TopSignals::listen()?;
    let mut screen = Screen::enter()?;
    let color = std::env::var_os("NO_COLOR").is_none();
    let mut model = Model::new(client.observer(), color, screen.size()?);
    model.take(first);
    let mut keys = keys::read();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut last_tick, mut next_frame, mut is_stale) = (Instant::now(), Instant::now(), true);
    loop {
        let action = tokio::select! {
            action = signals.next() => action,
            event = keys.recv() => match event {
                Some(event) => model.event(&event),
                // The terminal is gone.
                None => Action::Quit,
            },
            item = stream.next() => match item {
                Some(item) => {
                    model.take(item?);
                    Action::Draw
                }
                None => Action::Quit,
            },
            _ = tick.tick() => {
                let now = Instant::now();
                model.advance(now.duration_since(std::mem::replace(&mut last_tick, now)));
                Action::Draw
            }
            () = sleep_until(next_frame), if is_stale => {
                model.resize(screen.size()?);
                screen.draw(&model)?;
                (is_stale, next_frame) = (false, Instant::now() + FRAME_TIME);
                continue;
            }
        };
        match action {
            Action::Quit => return Ok(CommandOutcome::Complete),
            Action::Nothing => {}
            Action::Draw => is_stale = true,
            Action::Suspend => screen.suspend()?,
            Action::Resume => {
                screen.resume()?;
                is_stale = true;
            }
        }
    }
}
