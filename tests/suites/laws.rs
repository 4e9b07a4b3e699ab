//! The laws of `step-observer-core`, on every recording and fixture: with streams merged, thinned,
//! repeated or interrupted in any way.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::subsequence;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use step_observer::event::StepEventData;
use step_observer::observe::{TimedChange, Tracker};
use step_observer::step::StepRecord;
use step_observer_core::{Kind, Ledger};
use step_observer_tests::recording::{
    cases, changes, event_id, feed, fixtures, is_pod, listed, recordings, settle, track,
    watch_events,
};
use step_observer_tests::simulated::{Fate, History, any_plan};

fn streams() -> Vec<(String, Vec<Value>)> {
    let names = recordings().into_iter().chain(fixtures()).chain(cases());
    names
        .map(|name| (name.clone(), watch_events(&name)))
        .collect()
}

fn any_stream() -> impl Strategy<Value = (String, Vec<Value>)> {
    let simulated = any_plan().prop_map(|plan| (format!("{plan:?}"), History::of(&plan).stream()));
    prop_oneof![proptest::sample::select(streams()), simulated]
}

/// Returns a stream's name, the last state of each TaskRun with all states of its Pods, and their
/// deletions. All TaskRuns have ended at a known time.
fn any_ended_run() -> impl Strategy<Value = (String, Vec<Value>, Vec<Value>)> {
    let typed = |event: &Value, kind: &str| {
        let mut event = event.clone();
        event["type"] = kind.into();
        event
    };
    let last_states = move |(name, events): (String, Vec<Value>)| {
        let mut last: BTreeMap<String, Value> = BTreeMap::new();
        for event in &events {
            last.insert(
                event["object"]["metadata"]["uid"].to_string(),
                event.clone(),
            );
        }
        let gone: Vec<Value> = last.values().map(|event| typed(event, "DELETED")).collect();
        let runs = last.into_values().filter(|event| !is_pod(event));
        let runs: Vec<Value> = runs.map(|event| typed(&event, "ADDED")).collect();
        let has_ended = |run: &Value| run["object"]["status"]["completionTime"].is_string();
        let pods = events.iter().filter(|event| is_pod(event));
        let pods = pods.map(|event| typed(event, "ADDED"));
        let all_ended = !runs.is_empty() && runs.iter().all(has_ended);
        all_ended.then(|| {
            (
                name,
                runs.iter().cloned().chain(pods).collect::<Vec<_>>(),
                gone,
            )
        })
    };
    any_stream()
        .prop_filter_map("a TaskRun has not ended", last_states)
        .prop_flat_map(|(name, listing, gone)| {
            let orders = (Just(listing).prop_shuffle(), Just(gone).prop_shuffle());
            orders.prop_map(move |(listing, gone)| (name.clone(), listing, gone))
        })
}

/// Returns the ids of the end events, with the reason of each.
fn ends(records: &[StepRecord]) -> BTreeMap<String, String> {
    records
        .iter()
        .filter_map(|record| {
            Some((
                event_id(record),
                record.transition.kind.outcome()?.reason.to_string(),
            ))
        })
        .collect()
}

fn ids(records: &[StepRecord]) -> BTreeSet<String> {
    records.iter().map(event_id).collect()
}

/// Sets all times to the same moment. Otherwise an arbitrary delay between the streams would look
/// like a stalled stream.
fn at_once(changes: Vec<TimedChange>) -> Vec<TimedChange> {
    let at = changes
        .iter()
        .map(|seen| seen.at)
        .min()
        .unwrap_or(Timestamp::UNIX_EPOCH);
    changes
        .into_iter()
        .map(|seen| TimedChange { at, ..seen })
        .collect()
}

/// Law 5 and decision 1: checks the order, at most one `started`, and exactly one end.
fn in_order(name: &str, records: &[StepRecord]) {
    let mut seen = BTreeSet::new();
    let mut last: BTreeMap<String, (u32, bool)> = BTreeMap::new();
    for record in records {
        let transition = &record.transition;
        assert!(
            seen.insert(event_id(record)),
            "{name}: {} is told twice",
            event_id(record)
        );
        let pod = format!("{:?} {}", transition.pod_uid, transition.pod_name);
        let place = (transition.index, transition.kind != Kind::Started);
        if let Some(before) = last.insert(pod, place) {
            assert!(
                before < place,
                "{name}: {} is out of order",
                event_id(record)
            );
        }
    }
    let steps: BTreeSet<_> = records
        .iter()
        .map(|r| (r.transition.pod_uid.clone(), r.transition.container.clone()))
        .collect();
    let ends = records
        .iter()
        .filter(|record| record.transition.kind != Kind::Started)
        .count();
    assert_eq!(ends, steps.len(), "{name}: every step ends once");
}

#[test]
fn all_streams_are_in_order_and_end_every_step_once() {
    for (name, events) in streams() {
        in_order(&name, &track(changes(&events)));
    }
}

/// Decision 5 and row 10b: checks that an end is not before its start, and that no time is the
/// epoch or before the pod.
fn times_agree(name: &str, records: &[StepRecord], events: &[Value]) {
    let times = events.iter().filter_map(|event| {
        let created = &event["object"]["metadata"]["creationTimestamp"];
        created.as_str()?.parse::<Timestamp>().ok()
    });
    let earliest = times.min().unwrap() - SignedDuration::from_mins(5);
    let mut started: BTreeMap<_, Timestamp> = BTreeMap::new();
    for record in records {
        let transition = &record.transition;
        let context = format!("{name}: {}", event_id(record));
        let step = (
            transition.pod_uid.clone(),
            transition.pod_name.clone(),
            transition.index,
        );
        assert!(earliest <= transition.at, "{context}: {}", transition.at);
        if let Some(start) = transition.start {
            assert!(earliest <= start.at, "{context}: {}", start.at);
            assert!(start.at <= transition.at, "{context}: {transition:?}");
        }
        match transition.kind {
            Kind::Started => drop(started.insert(step, transition.at)),
            _ => assert!(
                started.get(&step) <= Some(&transition.at),
                "{context}: {transition:?}"
            ),
        }
        let data = serde_json::to_value(StepEventData::new(record, None)).unwrap();
        let ended = &data["stepState"]["terminated"];
        if let (Some(start), Some(end)) =
            (ended["startedAt"].as_str(), ended["finishedAt"].as_str())
        {
            assert!(
                start.parse::<Timestamp>().unwrap() <= end.parse().unwrap(),
                "{context}: {ended}"
            );
        }
    }
}

/// Decision 6: checks that `sequence` is unique, rises within a pod, and sorts by attempt, pod,
/// step and phase.
fn sequences_sort(name: &str, records: &[StepRecord]) {
    let mut all: Vec<(String, &StepRecord)> = records
        .iter()
        .map(|record| (record.transition.sequence(), record))
        .collect();
    let mut last: BTreeMap<_, &str> = BTreeMap::new();
    for (sequence, record) in &all {
        let pod = (
            record.transition.run_uid.clone(),
            record.transition.pod_uid.clone(),
        );
        if let Some(before) = last.insert(pod, sequence) {
            assert!(before < sequence.as_str(), "{name}: {before} {sequence}");
        }
    }
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    let place = |record: &StepRecord| {
        let transition = &record.transition;
        let pod = (
            transition.pod_uid.is_none(),
            transition.pod_order,
            transition.pod_uid.clone(),
        );
        (
            transition.attempt,
            pod,
            transition.index,
            transition.kind != Kind::Started,
        )
    };
    let mut runs: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (sequence, record) in &all {
        runs.entry(&record.transition.run_uid)
            .or_default()
            .push((sequence, place(record)));
    }
    for run in runs.values() {
        assert!(
            run.is_sorted_by(|one, other| one.0 < other.0),
            "{name}: twice"
        );
        assert!(run.is_sorted_by_key(|(_, place)| place), "{name}");
    }
}

/// Rows 9 to 10b: checks that a step failed if a container failed by itself.
fn a_failure_is_a_failed_step(name: &str, records: &[StepRecord], events: &[Value]) {
    let failed_run = events.iter().any(|event| {
        let conditions = event["object"]["status"]["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Succeeded" && condition["status"] == "False")
    });
    let by_itself = events.iter().filter(|event| is_pod(event)).any(|event| {
        let object = &event["object"];
        let untouched = object["metadata"]["deletionTimestamp"].is_null()
            && object["status"]["reason"].is_null();
        let statuses = object["status"]["containerStatuses"]
            .as_array()
            .into_iter()
            .flatten();
        untouched
            && statuses
                .map(|status| &status["state"]["terminated"])
                .any(|ended| {
                    ended["exitCode"].as_i64().is_some_and(|code| code != 0)
                        || ended["reason"] == "OOMKilled"
                })
    });
    let failed = records
        .iter()
        .any(|record| matches!(record.transition.kind, Kind::Failed(_)));
    assert!(failed || !(failed_run && by_itself), "{name}");
}

#[test]
fn times_sequences_and_failures_of_all_streams_are_right() {
    for (name, events) in streams() {
        let records = track(changes(&events));
        times_agree(&name, &records, &events);
        sequences_sort(&name, &records);
        a_failure_is_a_failed_step(&name, &records, &events);
        // The same from the TaskRun alone.
        let of_run: Vec<Value> = events
            .iter()
            .filter(|event| !is_pod(event))
            .cloned()
            .collect();
        let records = track(changes(&of_run));
        times_agree(&name, &records, &events);
        sequences_sort(&name, &records);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// The events of a simulated run match its steps, whatever the steps do.
    #[test]
    fn a_simulated_run_is_reported_as_it_was(plan in any_plan()) {
        let history = History::of(&plan);
        let events = history.stream();
        let records = track(changes(&events));
        let found: Vec<(String, String)> = records
            .iter()
            .map(|record| (record.transition.step().to_owned(), record.transition.kind.as_str().to_owned()))
            .collect();
        prop_assert_eq!(found, history.expected());
    }

    /// Row 20: the TaskRun alone gives the same events, except for facts that it does not show:
    /// whether READY came before a first step was killed, and the end of steps that still run when
    /// another step was OOM-killed.
    #[test]
    fn a_simulated_run_is_reported_as_it_was_from_its_task_run_alone(plan in any_plan()) {
        let early = |fate: &Fate| matches!(fate, Fate::KilledEarly { .. });
        let by_memory = |fate: &Fate| matches!(fate, Fate::KilledEarly { by_memory: true, .. } | Fate::Killed { by_memory: true });
        let fates: Vec<Fate> = plan.steps.iter().map(|(fate, _)| *fate).collect();
        prop_assume!(!fates.iter().any(by_memory) && !early(&fates[0]));
        let history = History::of(&plan);
        let mut events = history.stream();
        events.retain(|event| !is_pod(event));
        let records = track(changes(&events));
        times_agree("TaskRun alone", &records, &events);
        sequences_sort("TaskRun alone", &records);
        let found: Vec<(String, String)> = records
            .iter()
            .map(|record| (record.transition.step().to_owned(), record.transition.kind.as_str().to_owned()))
            .collect();
        prop_assert_eq!(found, history.expected());
    }

    /// States may be omitted, except for the last state of each object.
    #[test]
    fn times_sequences_and_failures_of_any_stream_are_right((name, all) in any_stream(), left_out in proptest::collection::vec(any::<bool>(), 40)) {
        let uid = |event: &Value| event["object"]["metadata"]["uid"].clone();
        let left_out = left_out.into_iter().chain(std::iter::repeat(false));
        let kept = all.iter().enumerate().zip(left_out).filter(|((index, event), left_out)| {
            let is_last = !all[index + 1..].iter().any(|later| uid(later) == uid(event));
            !left_out || is_last || event["type"] != "MODIFIED"
        });
        let events: Vec<Value> = kept.map(|((_, event), _)| event.clone()).collect();
        let records = track(changes(&events));
        times_agree(&name, &records, &events);
        sequences_sort(&name, &records);
        a_failure_is_a_failed_step(&name, &records, &events);
    }

    /// The Pod and the TaskRun stream, merged in any order that keeps the order within each.
    #[test]
    fn any_merge_gives_the_same_ends((name, events) in any_stream(), picks in proptest::collection::vec(any::<bool>(), 100)) {
        let expected = ends(&track(at_once(changes(&events))));
        let (mut pods, mut runs): (Vec<_>, Vec<_>) = events.into_iter().rev().partition(is_pod);
        let mut merged = Vec::new();
        let mut picks = picks.into_iter().cycle();
        while !(pods.is_empty() && runs.is_empty()) {
            let pod_first = picks.next() == Some(true);
            let (first, second) = if pod_first { (&mut pods, &mut runs) } else { (&mut runs, &mut pods) };
            merged.extend(first.pop().or_else(|| second.pop()));
        }
        let records = track(at_once(changes(&merged)));
        in_order(&name, &records);
        prop_assert_eq!(ends(&records), expected, "{}", name);
    }

    /// Laws 1 and 2: repeated and older observations emit nothing.
    #[test]
    fn repeated_and_stale_objects_emit_nothing((name, events) in any_stream(), again in any::<prop::sample::Index>(), back in 0_usize..6) {
        let position = again.index(events.len());
        let expected = ids(&track(changes(&events)));
        let mut repeated = events.clone();
        // The stale object may follow its deletion. It emits nothing, because everything about it
        // was emitted before.
        let stale = events[position.saturating_sub(back)].clone();
        if stale["type"] != "DELETED" {
            repeated.insert(position + 1, stale);
        }
        let records = track(changes(&repeated));
        in_order(&name, &records);
        prop_assert_eq!(ids(&records), expected, "{}", name);
    }

    /// Law 3: watch streams skip states. The last state of each object is kept.
    #[test]
    fn skipped_states_change_no_end(
        (name, events, kept) in any_stream().prop_flat_map(|(name, events)| {
            let indices: Vec<usize> = (0..events.len()).collect();
            let size = indices.len();
            (Just(name), Just(events), subsequence(indices, 0..=size))
        })
    ) {
        let uid = |event: &Value| event["object"]["metadata"]["uid"].clone();
        let is_last = |index: usize| !events[index + 1..].iter().any(|later| uid(later) == uid(&events[index]));
        let expected = ends(&track(at_once(changes(&events))));
        let thinned: Vec<Value> = (0..events.len())
            .filter(|index| kept.contains(index) || is_last(*index) || events[*index]["type"] == "DELETED")
            .map(|index| events[index].clone())
            .collect();
        let records = track(at_once(changes(&thinned)));
        in_order(&name, &records);
        let found = ends(&records);
        let ids = |ends: &BTreeMap<String, String>| ends.keys().cloned().collect::<Vec<_>>();
        prop_assert_eq!(ids(&found), ids(&expected), "{}", name);
    }

    /// Law 4: the observer is killed after any event and starts again without memory, from the
    /// cluster's state at that time. The ids are the same, except if a pod is gone by then: its
    /// transitions are derived from the TaskRun, with other ids (decision 7).
    #[test]
    fn any_restart_gives_the_same_ids((name, events) in any_stream(), cut in any::<prop::sample::Index>()) {
        let cut = cut.index(events.len());
        let whole = track(changes(&events));
        let all = changes(&events);
        let at = all[cut].at;
        let mut first = Tracker::new(Ledger::from_stream_start());
        let told = feed(&mut first, all.into_iter().take(cut + 1).collect());

        let mut present: BTreeMap<String, Value> = BTreeMap::new();
        for event in &events[..=cut] {
            let uid = event["object"]["metadata"]["uid"].as_str().unwrap().to_owned();
            match event["type"].as_str() {
                Some("DELETED") => drop(present.remove(&uid)),
                _ => drop(present.insert(uid, event.clone())),
            }
        }
        let mut listing: Vec<Value> = present.into_values().collect();
        listing.iter_mut().for_each(|event| event["at"] = at.to_string().into());
        let mut second = Tracker::new(Ledger::new(Timestamp::MIN));
        let mut retold = if listing.is_empty() { vec![] } else { feed(&mut second, changes(&listing)) };
        retold.extend(feed(&mut second, vec![listed(at)]));
        retold.extend(settle(&mut second, at));
        retold.extend(feed(&mut second, changes(&events).into_iter().skip(cut + 1).collect()));
        retold.extend(settle(&mut second, Timestamp::MAX));
        in_order(&name, &retold);

        let with_pod: Vec<StepRecord> = retold.iter().filter(|record| record.transition.pod_uid.is_some()).cloned().collect();
        prop_assert!(ids(&with_pod).is_subset(&ids(&whole)), "{}: {:?}", name, ids(&with_pod).difference(&ids(&whole)));
        let both: BTreeSet<String> = ids(&told).union(&ids(&with_pod)).cloned().collect();
        let missing: Vec<_> = whole.iter().filter(|record| !both.contains(&event_id(record))).collect();
        // A deleted pod leaves no evidence if another pod has its name by now.
        let replaced = |record: &StepRecord| {
            let uid = record.transition.pod_uid.as_deref();
            let is_there = !events[..=cut].iter().any(|event| event["object"]["metadata"]["uid"].as_str() == uid && event["type"] == "DELETED");
            let pod = |event: &&Value| is_pod(event) && event["object"]["metadata"]["name"] == *record.transition.pod_name;
            !is_there && events.iter().filter(pod).any(|event| event["object"]["metadata"]["uid"].as_str() != uid)
        };
        for record in missing.into_iter().filter(|record| !replaced(record)) {
            let podless = retold.iter().any(|other| {
                other.transition.pod_uid.is_none()
                    && other.transition.pod_name == record.transition.pod_name
                    && other.transition.container == record.transition.container
                    && other.transition.kind.as_str() == record.transition.kind.as_str()
            });
            prop_assert!(podless, "{}: {} is lost", name, event_id(record));
        }
    }

    /// Row 19: a run that ended long before the horizon emits nothing, in whatever order its objects
    /// are listed and deleted. Then nothing of it is left.
    #[test]
    fn a_run_that_ended_long_ago_emits_nothing((name, listing, gone) in any_ended_run(), cut in any::<prop::sample::Index>()) {
        let mut all = at_once(changes(&[listing, gone].concat()));
        let at = all[0].at;
        all.insert(cut.index(all.len() + 1), listed(at));
        let mut tracker = Tracker::new(Ledger::new(Timestamp::MAX));
        let mut records = feed(&mut tracker, all);
        records.extend(settle(&mut tracker, Timestamp::MAX));
        prop_assert!(records.is_empty(), "{}: {:?}", name, ids(&records));
        prop_assert_eq!(tracker.run_count(), 0, "{}", name);
    }

    /// Law 6: interleaved streams of different runs emit what each emits alone.
    #[test]
    fn runs_do_not_see_each_other((_, events) in any_stream(), (_, others) in any_stream(), picks in proptest::collection::vec(any::<bool>(), 50)) {
        let uids = |events: &[Value]| -> BTreeSet<String> {
            events.iter().map(|event| event["object"]["metadata"]["uid"].to_string()).collect()
        };
        prop_assume!(uids(&events).is_disjoint(&uids(&others)));
        let mut expected = ids(&track(at_once(changes(&events))));
        expected.extend(ids(&track(at_once(changes(&others)))));
        let (mut left, mut right): (Vec<_>, Vec<_>) = (events.into_iter().rev().collect(), others.into_iter().rev().collect());
        let mut merged = Vec::new();
        let mut picks = picks.into_iter().cycle();
        while !(left.is_empty() && right.is_empty()) {
            let (first, second) = if picks.next() == Some(true) { (&mut left, &mut right) } else { (&mut right, &mut left) };
            merged.extend(first.pop().or_else(|| second.pop()));
        }
        prop_assert_eq!(ids(&track(at_once(changes(&merged)))), expected);
    }
}
