//! `tap` of running observers: their streams of runs, and on request the events as their sinks get them.

use super::filter::Filter;
use super::line::StepLine;
use super::output::Output;
use crate::cli::args::tap::TapArgs;
use crate::cli::outcome::{CommandError, CommandOutcome};
use crate::cli::signals::stop_signals;
use futures::StreamExt as _;
use futures::stream::SelectAll;
use jiff::{SignedDuration, Timestamp};
use std::time::{Duration, Instant};
use step_observer::lanes::{self, LaneLimits};
use step_observer::observer_client::{
    BodyState, ObserverClient, ObserverError, RunTable, StepTransition, StreamItem, TableLimits,
};
use tokio::sync::mpsc;

/// Transitions whose events are asked for: at a time, and together with those that wait. At the bound the streams
/// are not read; an observer then drops the connection, and sends a snapshot later.
const EVENT_LIMITS: LaneLimits = LaneLimits {
    concurrency: 8,
    capacity: 256,
};
/// Time between two requests for an event whose body has not been made, as the live page waits.
const EVENT_INTERVAL: Duration = Duration::from_secs(2);
/// Longest wait for the body of an event.
const EVENT_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) async fn tap(args: TapArgs) -> Result<CommandOutcome, CommandError> {
    let stopped = stop_signals(1);
    let output = Output::new();
    let mut sources = SelectAll::new();
    let mut observers = Vec::new();
    for (index, url) in args.observers.iter().enumerate() {
        let client = ObserverClient::new(url.clone(), args.token_file.clone())?;
        sources.push(client.follow().map(move |item| (index, item)).boxed());
        observers.push(Followed::new(client, args.since.map(|since| since.0)));
    }
    let tap = Tap {
        filter: Filter::new(&args),
        json: args.json,
        sink: args.sink.clone(),
        output: &output,
    };
    output.print_header(args.json);
    let (sender, receiver) = mpsc::channel(1);
    let showing = lanes::run(receiver, EVENT_LIMITS, |item| tap.show_event(item));
    let following = async {
        while let Some((index, item)) = sources.next().await {
            let Some(observer) = observers.get_mut(index) else {
                continue;
            };
            for transition in observer.take(item?) {
                if !tap.filter.matches(&StepLine::from(&transition)) {
                    continue;
                }
                match tap.needs_event() {
                    false => output.print_step(&StepLine::from(&transition), None),
                    true => {
                        let item = (observer.client.clone(), transition);
                        // Cannot fail: the receiver lives as long as this future.
                        sender.send((item.1.run.uid.clone(), item)).await.ok();
                    }
                }
            }
        }
        Ok::<(), ObserverError>(())
    };
    tokio::select! {
        ended = following => ended?,
        () = showing => {}
        () = stopped => {}
        () = output.ended() => {}
    }
    output.result()?;
    Ok(CommandOutcome::Complete)
}

/// An observer, and what is known of its runs.
struct Followed {
    client: ObserverClient,
    /// Kept across restarts of the observer, so that nothing is shown twice.
    table: RunTable,
    since: Option<SignedDuration>,
    /// The first snapshot has come: all further transitions are new.
    has_base: bool,
    is_lost: bool,
}

impl Followed {
    fn new(client: ObserverClient, since: Option<SignedDuration>) -> Self {
        Self {
            client,
            table: RunTable::new(TableLimits::OF_MEMORY),
            since,
            has_base: false,
            is_lost: false,
        }
    }

    /// Applies an item, and returns the transitions to show.
    fn take(&mut self, item: StreamItem) -> Vec<StepTransition> {
        if let StreamItem::Reconnecting { problem, .. } = &item {
            if !std::mem::replace(&mut self.is_lost, true) {
                let observer = self.client.observer();
                Output::print_note(&format!("reconnecting to {observer}: {problem}"));
            }
            return Vec::new();
        }
        if std::mem::take(&mut self.is_lost) {
            Output::print_note(&format!("connected to {} again", self.client.observer()));
        }
        match item {
            StreamItem::Snapshot(snapshot) => {
                let earliest = self.since.zip(snapshot.now);
                let earliest =
                    earliest.map(|(since, now)| now.checked_sub(since).unwrap_or(Timestamp::MIN));
                let mut transitions = self.table.merge(snapshot.runs);
                if !std::mem::replace(&mut self.has_base, true) {
                    let is_wanted = |transition: &StepTransition| {
                        earliest.is_some_and(|earliest| transition.at() >= Some(earliest))
                    };
                    transitions.retain(is_wanted);
                }
                transitions
            }
            StreamItem::Change(change) => self.table.merge(change.runs),
            StreamItem::Status(_) | StreamItem::Reconnecting { .. } => Vec::new(),
        }
    }
}

/// What is shown, and how.
struct Tap<'a> {
    filter: Filter,
    json: bool,
    sink: Option<String>,
    output: &'a Output,
}

impl Tap<'_> {
    fn needs_event(&self) -> bool {
        self.json || self.sink.is_some()
    }

    /// Shows a transition with the event as a sink gets it.
    async fn show_event(&self, (client, transition): (ObserverClient, StepTransition)) {
        let Some(id) = &transition.event else {
            // Ids of more than 1,024 bytes are not listed.
            Output::print_note("an event is left out: the observer does not show its id");
            return;
        };
        match self.event(&client, id).await {
            Ok(Some(json)) if self.json => self.output.print_json(&json),
            Ok(Some(_)) => self.output.print_step(&StepLine::from(&transition), None),
            Ok(None) => {}
            Err(problem) => Output::print_note(&format!("event {id} is left out: {problem}")),
        }
    }

    /// Waits until the observer has made the event for the sink. `None` if the sink gets none.
    async fn event(&self, client: &ObserverClient, id: &str) -> Result<Option<String>, String> {
        let began = Instant::now();
        loop {
            let problem = match client.event(id).await {
                Ok(None) => return Err("it is no longer kept".to_owned()),
                Ok(Some(event)) => match event.body_for(self.sink.as_deref()) {
                    BodyState::Made(body) if self.json => return body.structured().map(Some),
                    BodyState::Made(_) => return Ok(Some(String::new())),
                    // That it is gone says that the sink got it.
                    BodyState::Gone if !self.json => return Ok(Some(String::new())),
                    BodyState::Gone => return Err("it is no longer kept".to_owned()),
                    BodyState::NotForSink => return Ok(None),
                    BodyState::Pending => "no sink has got it".to_owned(),
                },
                Err(error) if error.is_temporary() => error.to_string(),
                Err(error) => return Err(error.to_string()),
            };
            if began.elapsed() >= EVENT_TIMEOUT {
                return Err(format!("{problem} within {} s", EVENT_TIMEOUT.as_secs()));
            }
            tokio::time::sleep(EVENT_INTERVAL).await;
        }
    }
}
