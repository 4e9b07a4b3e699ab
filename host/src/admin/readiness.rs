//! Decides whether the observer is ready: whether it sees, filters and keeps every event.

use super::status::{StandbyStatus, StatusSnapshot, WatchStatus};
use crate::plugin::dropin::{PluginState, PluginStatus};

/// Longest silence of a watch that works. The API server sends a bookmark about every minute, and a watch
/// is renewed after 290 s at most (`cluster.watchTimeoutSeconds`).
const MAX_WATCH_SILENCE_SECONDS: u64 = 300;
/// Longest time for which the renewal of a watch may fail. After it, the observer is not ready.
const MAX_WATCH_FAILURE_SECONDS: u64 = 30;
/// Longest hold by a plugin that counts as a short failure. After a longer one, the observer is not
/// ready.
const MAX_HOLD_SECONDS: u64 = 120;

/// Returns the reasons why the observer is not ready; none if it is ready.
pub(super) fn unready_reasons(
    snapshot: &StatusSnapshot,
    has_chain: bool,
    plugins: &[PluginStatus],
) -> Vec<String> {
    if let Some(standby) = snapshot
        .standby
        .as_ref()
        .filter(|standby| standby.is_waiting())
    {
        return waiting_problem(snapshot, standby);
    }
    let mut reasons = Vec::new();
    if !has_chain {
        reasons.push("the plugins are not known yet".to_owned());
    }
    for plugin in plugins {
        if plugin.state == PluginState::StandIn {
            let name = &plugin.name;
            reasons.push(format!("plugin `{name}` could not be loaded; see /plugins"));
        }
    }
    if !snapshot.listed {
        reasons.push("the first lists are not complete".to_owned());
    }
    reasons.extend(snapshot.watches.iter().filter_map(watch_problem));
    let waiting = &snapshot.waiting;
    if let Some(plugin) = &waiting.held_by
        && waiting.held_seconds > MAX_HOLD_SECONDS
    {
        let (held, seconds) = (waiting.held, waiting.held_seconds);
        reasons.push(format!(
            "plugins hold {held} events (onError: block), the oldest for {seconds} s by plugin `{plugin}`; see the log"
        ));
    }
    if snapshot.journal.disk_full {
        reasons.push("the disk of the journal is full".to_owned());
    }
    if snapshot.journal.full {
        reasons.push("the journal is full and accepts no event; see /sinks".to_owned());
    }
    for sink in snapshot.journal.sinks.iter().filter(|sink| sink.held > 0) {
        reasons.push(format!(
            "there are too many dead letters: {} events of sink `{}` cannot become dead letters",
            sink.held, sink.name
        ));
    }
    reasons
}

/// Returns the problems of an observer that waits as a standby. It is ready although it watches nothing,
/// so that a rollout continues, unless it could not take over.
fn waiting_problem(snapshot: &StatusSnapshot, standby: &StandbyStatus) -> Vec<String> {
    let mut reasons = Vec::new();
    let failing = standby.failing_seconds.unwrap_or_default();
    if failing > MAX_WATCH_FAILURE_SECONDS {
        let (lease, problem) = (
            &standby.lease,
            standby.problem.as_deref().unwrap_or_default(),
        );
        reasons.push(format!(
            "the Lease {lease} could not be read or written for {failing} s: {problem}"
        ));
    }
    if snapshot.journal.disk_full {
        reasons.push("the disk of the journal is full".to_owned());
    }
    reasons
}

/// Returns the problem of a watch, if it has one. A watch never waits for events to be delivered: a run
/// whose events wait is deferred. So a silent watch is a broken one.
fn watch_problem(watch: &WatchStatus) -> Option<String> {
    let resource = &watch.resource;
    match watch.failing_seconds {
        Some(seconds) if seconds > MAX_WATCH_FAILURE_SECONDS => Some(format!(
            "the {resource} watch has been failing for {seconds} s; see the log"
        )),
        Some(_) | None if watch.age_seconds > MAX_WATCH_SILENCE_SECONDS => {
            let seconds = watch.age_seconds;
            Some(format!(
                "the {resource} watch has been silent for {seconds} s"
            ))
        }
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{SinkStatus, StandbyRole, WaitingStatus};

    fn ready() -> StatusSnapshot {
        StatusSnapshot {
            listed: true,
            watches: vec![
                watch(60, None),
                watch(MAX_WATCH_SILENCE_SECONDS, Some(MAX_WATCH_FAILURE_SECONDS)),
            ],
            ..StatusSnapshot::default()
        }
    }

    fn watch(age_seconds: u64, failing_seconds: Option<u64>) -> WatchStatus {
        WatchStatus {
            resource: "pods".to_owned(),
            age_seconds,
            failing_seconds,
            ..WatchStatus::default()
        }
    }

    #[test]
    fn it_is_ready_when_nothing_is_missing() {
        assert!(unready_reasons(&ready(), true, &[]).is_empty());
    }

    #[test]
    fn a_standby_is_ready_unless_it_could_not_take_over() {
        let standby = |state, failing_seconds| StatusSnapshot {
            standby: Some(StandbyStatus {
                state,
                failing_seconds,
                lease: "us/one".to_owned(),
                problem: Some("forbidden".to_owned()),
                ..StandbyStatus::default()
            }),
            ..StatusSnapshot::default()
        };
        let reasons = |state, failing| unready_reasons(&standby(state, failing), false, &[]);
        let waiting = StandbyRole::Waiting;
        assert!(reasons(waiting, None).is_empty());
        assert!(reasons(waiting, Some(MAX_WATCH_FAILURE_SECONDS)).is_empty());
        assert_eq!(
            reasons(waiting, Some(MAX_WATCH_FAILURE_SECONDS + 1)),
            ["the Lease us/one could not be read or written for 31 s: forbidden"]
        );
        assert!(!reasons(StandbyRole::Active, None).is_empty());
    }

    #[test]
    fn everything_that_is_missing_is_reported() {
        let mut unlisted = ready();
        unlisted.listed = false;
        let mut silent = ready();
        silent
            .watches
            .push(watch(MAX_WATCH_SILENCE_SECONDS + 1, None));
        let mut failing = ready();
        failing
            .watches
            .push(watch(1, Some(MAX_WATCH_FAILURE_SECONDS + 1)));
        let mut holding = ready();
        holding.waiting = WaitingStatus {
            held: 1,
            held_seconds: MAX_HOLD_SECONDS + 1,
            held_by: Some("enrich".to_owned()),
            ..WaitingStatus::default()
        };
        let mut disk_full = ready();
        disk_full.journal.disk_full = true;
        let mut full = ready();
        full.journal.full = true;
        let mut held = ready();
        held.journal.sinks.push(SinkStatus {
            name: "broker".to_owned(),
            held: 2,
            ..SinkStatus::default()
        });
        for (snapshot, expected) in [
            (unlisted, "the first lists are not complete"),
            (silent, "the pods watch has been silent for 301 s"),
            (
                failing,
                "the pods watch has been failing for 31 s; see the log",
            ),
            (
                holding,
                "plugins hold 1 events (onError: block), the oldest for 121 s by plugin `enrich`; see the log",
            ),
            (disk_full, "the disk of the journal is full"),
            (full, "the journal is full and accepts no event; see /sinks"),
            (
                held,
                "there are too many dead letters: 2 events of sink `broker` cannot become dead letters",
            ),
        ] {
            assert_eq!(unready_reasons(&snapshot, true, &[]), [expected]);
        }
        assert!(unready_reasons(&ready(), false, &[])[0].contains("plugins"));
    }
}
