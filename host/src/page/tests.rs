use super::bodies::{self, Bodies, BodyLimits};
use super::run::Run;
use super::stream_log::{LogLimits, StreamLog};
use super::table::{LIMITS, Table, TableLimits};
use super::*;
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use step_observer_core::{Kind, Outcome, PodOrder, SkipCause, Start, StartSource, Transition};

const SMALL: TableLimits = TableLimits {
    runs: 3,
    steps_per_run: 2,
    steps: 5,
    bytes: 64 * 1024,
    gone: 4,
    removed_bytes: 64,
};

/// What happens to a table.
#[derive(Clone, Debug)]
enum Input {
    Record(Box<StepRecord>),
    Pod(Box<PodSteps>),
    Deleted(Arc<str>),
    Publish,
}

fn text() -> impl Strategy<Value = Arc<str>> {
    let short = prop::sample::select(vec!["", "a", "b", "\"\\\u{1}\n\u{202e}", "step-é"]);
    let long = any::<char>().prop_map(|one| one.to_string().repeat(400));
    prop_oneof![4 => short.prop_map(Arc::from), 1 => long.prop_map(Arc::from)]
}

fn optional() -> impl Strategy<Value = Option<Arc<str>>> {
    prop::option::of(text())
}

fn kind() -> impl Strategy<Value = Kind> {
    let outcome = (any::<Option<i32>>(), text());
    let outcome = outcome.prop_map(|(exit_code, reason)| Outcome { exit_code, reason });
    (0..4, outcome).prop_map(|(kind, outcome)| match kind {
        0 => Kind::Started,
        1 => Kind::Succeeded(outcome),
        2 => Kind::Failed(outcome),
        _ => Kind::Skipped(outcome, SkipCause::InitContainerFailed),
    })
}

fn time() -> impl Strategy<Value = Timestamp> {
    let range = Timestamp::MIN.as_second()..Timestamp::MAX.as_second();
    range.prop_map(|second| Timestamp::from_second(second).unwrap())
}

fn uid() -> impl Strategy<Value = Arc<str>> {
    prop_oneof![8 => (0..6_u8).prop_map(|uid| uid.to_string().into()), 1 => text()]
}

prop_compose! {
    fn record()(
        run_uid in uid(), pod_uid in optional(), pod_name in text(), container in text(),
        index in any::<u32>(), attempt in 0..3_u32, kind in kind(), at in time(),
        start in prop::option::of(time()), waits_from in prop::option::of(time()),
        namespace in text(), task_run in text(), pipeline in (optional(), optional(), optional()),
    ) -> StepRecord {
        let source = StartSource::Inferred;
        let transition = Transition {
            run_uid, pod_uid, pod_name, pod_order: PodOrder::default(), container, index, attempt,
            kind, at, start: start.map(|at| Start { at, source }), waits_from,
        };
        StepRecord {
            namespace, task_run,
            pipeline_run: pipeline.0, pipeline_run_uid: pipeline.1, pipeline_task: pipeline.2,
            ..StepRecord::of(transition)
        }
    }
}

prop_compose! {
    fn pod()(
        run_uid in uid(), pod_uid in text(), pod_name in text(), attempt in 0..3_u32,
        containers in prop::collection::vec(text(), 0..5), namespace in text(), pipeline_run in optional(),
    ) -> PodSteps {
        PodSteps {
            run_uid, namespace, task_run: "run".into(), pipeline_run, pipeline_run_uid: None,
            pipeline_task: None, attempt, pod_uid, pod_name, containers,
        }
    }
}

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let input = prop_oneof![
        6 => record().prop_map(|record| Input::Record(Box::new(record))),
        2 => pod().prop_map(|pod| Input::Pod(Box::new(pod))),
        1 => uid().prop_map(Input::Deleted),
        3 => Just(Input::Publish),
    ];
    prop::collection::vec(input, 0..80)
}

fn log(limits: TableLimits, kept: LogLimits) -> StreamLog {
    StreamLog::new(Table::new(limits), "00112233445566ff".into(), kept)
}

fn apply(table: &mut Table, input: &Input) {
    match input {
        Input::Record(record) => {
            let id = EventIdentity::new(record, &EventConfig::default()).id;
            table.apply(record, &id);
        }
        Input::Pod(pod) => table.add_pod(pod),
        Input::Deleted(uid) => table.mark_deleted(uid),
        Input::Publish => {}
    }
}

/// The table as a page keeps it: runs by UID.
#[derive(Debug, Default, PartialEq)]
struct Page {
    runs: BTreeMap<String, PageRun>,
}

#[derive(Debug, Default, PartialEq)]
struct PageRun {
    members: BTreeMap<String, Value>,
    /// By key.
    steps: BTreeMap<String, Value>,
}

impl Page {
    fn of(snapshot: &[u8]) -> Self {
        let mut page = Self::default();
        page.merge(&serde_json::from_slice(snapshot).unwrap());
        page
    }

    fn merge(&mut self, runs: &Value) {
        for run in runs.as_array().unwrap() {
            let mut members: BTreeMap<String, Value> = serde_json::from_value(run.clone()).unwrap();
            let steps = members.remove("steps").unwrap();
            let uid = run["uid"].as_str().unwrap().to_owned();
            let is_known = self.runs.contains_key(&uid);
            assert!(is_known || members.contains_key("namespace"), "{run}");
            let known = self.runs.entry(uid).or_default();
            known.members.extend(members);
            for step in steps.as_array().unwrap() {
                let key = step["key"].as_str().unwrap().to_owned();
                known.steps.insert(key, step.clone());
            }
        }
    }

    fn change(&mut self, message: &[u8]) {
        let text = std::str::from_utf8(message).unwrap();
        let (head, data) = text.split_once("data: ").unwrap();
        assert!(
            head.starts_with("event: change\nid: 00112233445566ff-"),
            "{head}"
        );
        let data = data.strip_suffix("\n\n").unwrap();
        assert!(!data.contains(['\n', '\r']), "{data}");
        let change: Value = serde_json::from_str(data).unwrap();
        for uid in change["gone"].as_array().unwrap() {
            self.runs.remove(uid.as_str().unwrap());
        }
        self.merge(&change["runs"]);
    }
}

proptest! {
    #[test]
    fn a_snapshot_and_all_later_changes_give_the_later_snapshot(
        before in inputs(), after in inputs()
    ) {
        let kept = LogLimits { messages: 1000, bytes: usize::MAX };
        let mut log = log(TableLimits { gone: 1000, ..SMALL }, kept);
        before.iter().for_each(|input| apply(&mut log.table, input));
        log.publish(Timestamp::UNIX_EPOCH, 0);
        let mut page = Page::of(&log.snapshot().unwrap());
        let mut number = log.last();
        for (interval, input) in (1..).zip(&after) {
            apply(&mut log.table, input);
            if matches!(input, Input::Publish) {
                log.publish(Timestamp::UNIX_EPOCH, interval);
                for message in log.after(number).unwrap() {
                    page.change(&message);
                }
                number = log.last();
                prop_assert_eq!(&page, &Page::of(&log.snapshot().unwrap()));
            }
        }
    }

    #[test]
    fn every_bound_holds_for_any_input(inputs in inputs()) {
        let kept = LogLimits { messages: 3, bytes: 32 * 1024 };
        let mut log = log(SMALL, kept);
        for (interval, input) in (0..).zip(&inputs) {
            apply(&mut log.table, input);
            let (runs, steps) = log.table.sizes();
            prop_assert!(runs <= SMALL.runs && steps <= SMALL.steps);
            let json = serde_json::to_value(log.table.snapshot()).unwrap();
            let json_bytes = json.to_string().len();
            prop_assert!(json_bytes <= SMALL.bytes);
            // The names of pods are in no JSON. Half of the texts may have left, and half of their
            // room may be free.
            let texts = json_bytes + (SMALL.steps + SMALL.gone) * 256;
            let texts = 2 * (2 * texts + SMALL.removed_bytes);
            let rows = 2 * (SMALL.runs + 1) * size_of::<Run>() + SMALL.steps * 512;
            prop_assert!(log.table.memory() <= texts + rows, "{}", log.table.memory());
            for run in json.as_array().unwrap() {
                prop_assert!(run["steps"].as_array().unwrap().len() <= SMALL.steps_per_run);
                for step in run["steps"].as_array().unwrap() {
                    prop_assert!(step["events"].as_array().unwrap().len() <= 4);
                    let reason = step["reason"].as_str().unwrap_or_default();
                    prop_assert!(reason.len() <= 256);
                }
            }
            if matches!(input, Input::Publish) {
                log.publish(Timestamp::UNIX_EPOCH, interval);
                let oldest = (0..=log.last()).find(|number| log.after(*number).is_ok()).unwrap();
                let messages: Vec<Bytes> = log.after(oldest).unwrap().collect();
                prop_assert!(messages.len() <= kept.messages);
                prop_assert!(messages.iter().map(Bytes::len).sum::<usize>() <= kept.bytes);
            }
        }
    }

    #[test]
    fn any_text_is_accepted_as_last_event_id(id in "\\PC*", suffix in "[-0-9a-f]{0,40}") {
        let mut log = log(LIMITS, stream_log::LIMITS);
        log.publish(Timestamp::UNIX_EPOCH, 0);
        prop_assert!(log.resume(&id).is_none());
        let resumed = log.resume(&format!("00112233445566ff-{suffix}"));
        prop_assert!(resumed.is_none_or(|number| number == 0));
    }

    #[test]
    fn bodies_are_kept_up_to_the_bound_and_the_newest_last_longest(
        kept in prop::collection::vec((0..4_u8, 0..60_usize), 0..60)
    ) {
        let limits = BodyLimits { bytes: 100, bodies: 8 };
        let mut bodies = Bodies::new(limits);
        let mut all: Vec<(String, usize)> = Vec::new();
        for (id, size) in kept {
            let id = id.to_string();
            bodies.keep(&id, std::slice::from_ref(&id), &vec![id.as_bytes()[0]; size]);
            all.push((id, size));
            let (kept_bytes, memory) = bodies.memory();
            prop_assert!(kept_bytes <= limits.bytes);
            prop_assert!(memory <= limits.bytes, "{memory}");
            let first = all.len().saturating_sub(limits.bodies);
            for event in 0..4_u8 {
                let event = event.to_string();
                let of_event = (first..all.len()).filter(|number| all[*number].0 == event);
                // A body is kept if it and all newer ones have room.
                let expected: Vec<Option<usize>> = of_event
                    .map(|number| {
                        let newer: usize = all[number..].iter().map(|(_, size)| size).sum();
                        (newer <= limits.bytes).then_some(all[number].1)
                    })
                    .collect();
                let found = bodies.of(&event).into_iter();
                let is_own = |body: &Bytes| body.iter().all(|byte| *byte == event.as_bytes()[0]);
                let found = found.inspect(|kept| assert!(kept.body.as_ref().is_none_or(is_own)));
                let found: Vec<Option<usize>> = found.map(|kept| kept.body.map(|body| body.len())).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}

#[test]
fn nothing_is_encoded_while_no_page_asks() {
    let mut log = log(LIMITS, stream_log::LIMITS);
    let pod = PodSteps {
        run_uid: "run".into(),
        namespace: "ci".into(),
        task_run: "build".into(),
        pipeline_run: None,
        pipeline_run_uid: None,
        pipeline_task: None,
        attempt: 0,
        pod_uid: "pod".into(),
        pod_name: "build-pod".into(),
        containers: vec!["step-a".into(), "step-b".into()],
    };
    log.table.add_pod(&pod);
    assert_eq!(log.last(), 0);
    // A page that has just come waits for the next message.
    assert!(log.snapshot().is_none());
    log.publish(Timestamp::UNIX_EPOCH, 7);
    let snapshot = log.snapshot().unwrap();
    let runs: Value = serde_json::from_slice(&snapshot).unwrap();
    assert_eq!(runs[0]["steps"][1]["key"], "pod/step-b");
    assert_eq!(runs[0]["steps"][1]["state"], "waiting");
    assert_eq!(runs[0]["steps"][1]["name"], "b");
    // At most one message in each interval.
    log.table.mark_deleted(&pod.run_uid);
    log.publish(Timestamp::UNIX_EPOCH, 7);
    assert_eq!(log.last(), 1);
    log.publish(Timestamp::UNIX_EPOCH, 8);
    assert_eq!((log.last(), log.resume("00112233445566ff-1")), (2, Some(1)));
    assert_eq!(log.resume("00112233445566ff-3"), None);
    assert_eq!(log.resume("ff112233445566ff-1"), None);
}

#[test]
fn a_run_takes_some_kilobytes_however_many_have_left() {
    let mut table = Table::new(LIMITS);
    let outcome = Outcome {
        exit_code: Some(0),
        reason: "Completed".into(),
    };
    let mut most = 0;
    for number in 0..5 * LIMITS.runs {
        let uid: Arc<str> = format!("{number:08x}-1401-47ee-a1c4-6e89fbe6dda0").into();
        let containers: Vec<Arc<str>> = vec![
            "step-build".into(),
            "step-test".into(),
            "step-deploy".into(),
        ];
        table.add_pod(&PodSteps {
            run_uid: uid.clone(),
            namespace: "ci".into(),
            task_run: format!("build-{number}").into(),
            pipeline_run: Some(format!("main-{number}").into()),
            pipeline_run_uid: Some(uid.clone()),
            pipeline_task: Some("build".into()),
            attempt: 0,
            pod_uid: uid.clone(),
            pod_name: format!("build-{number}-pod").into(),
            containers: containers.clone(),
        });
        for (index, container) in (0..).zip(&containers) {
            for kind in [Kind::Started, Kind::Succeeded(outcome.clone())] {
                let record = StepRecord {
                    namespace: "ci".into(),
                    task_run: format!("build-{number}").into(),
                    ..StepRecord::of(Transition {
                        run_uid: uid.clone(),
                        pod_uid: Some(uid.clone()),
                        pod_name: format!("build-{number}-pod").into(),
                        pod_order: PodOrder::default(),
                        container: container.clone(),
                        index,
                        attempt: 0,
                        kind,
                        at: Timestamp::UNIX_EPOCH,
                        start: None,
                        waits_from: None,
                    })
                };
                let id = EventIdentity::new(&record, &EventConfig::default()).id;
                table.apply(&record, &id);
            }
        }
        most = most.max(table.memory() / table.sizes().0.max(LIMITS.runs / 4));
    }
    assert_eq!(table.sizes(), (LIMITS.runs, 3 * LIMITS.runs));
    assert!(most <= 6 * 1024, "{most} bytes for each run");
}

#[test]
fn more_runs_than_are_remembered_need_a_snapshot() {
    let mut log = log(
        SMALL,
        LogLimits {
            messages: 100,
            bytes: 1 << 20,
        },
    );
    log.publish(Timestamp::UNIX_EPOCH, 0);
    for number in 0..20 {
        let mut pod = PodSteps {
            run_uid: number.to_string().into(),
            namespace: "ci".into(),
            task_run: "build".into(),
            pipeline_run: None,
            pipeline_run_uid: None,
            pipeline_task: None,
            attempt: 0,
            pod_uid: "pod".into(),
            pod_name: "build-pod".into(),
            containers: vec!["step-a".into()],
        };
        log.table.add_pod(&pod);
        pod.containers.push("step-b".into());
        log.table.add_pod(&pod);
    }
    log.publish(Timestamp::UNIX_EPOCH, 1);
    assert!(log.after(0).is_err());
    assert_eq!(log.after(log.last()).unwrap().count(), 0);
    assert_eq!(Page::of(&log.snapshot().unwrap()).runs.len(), 2);
}

#[test]
fn streams_are_bounded_in_all_and_for_each_address() {
    let page = LivePage::open(Timestamp::UNIX_EPOCH, false);
    let peer = |number: u8| IpAddr::from([10, 0, 0, number]);
    let open = |number: u8| page.stream(peer(number));
    let mut permits: Vec<StreamPermit> = (0..MAX_STREAMS_OF_PEER).filter_map(|_| open(1)).collect();
    assert_eq!(permits.len(), MAX_STREAMS_OF_PEER);
    assert!(open(1).is_none());
    permits.extend((0..MAX_STREAMS_OF_PEER).filter_map(|_| open(2)));
    assert_eq!(permits.len(), MAX_STREAMS);
    assert!(open(3).is_none());
    permits.remove(0);
    assert!(open(3).is_some());
    drop(permits);
    assert!(open(1).is_some());
    assert!(LivePage::default().stream(peer(1)).is_none());
}

#[test]
fn few_bodies_are_kept_while_nobody_looks() {
    let page = LivePage::open(Timestamp::UNIX_EPOCH, false);
    let kept_of = |ids: std::ops::Range<usize>| {
        for id in ids.clone() {
            page.keep_body(&id.to_string(), &[], &vec![b'x'; 256 << 10].into());
        }
        let is_kept = |id: &usize| {
            let bodies = page.bodies(&id.to_string());
            bodies.iter().any(|kept| kept.body.is_some())
        };
        ids.filter(is_kept).count()
    };
    assert_eq!(kept_of(0..40), 4);
    let stream = page.stream(IpAddr::from([127, 0, 0, 1]));
    assert_eq!(kept_of(100..140), 32);
    drop(stream);
    assert_eq!(kept_of(200..240), 32);
    let minutes = |minutes: u64| Some(Duration::from_secs(60 * minutes));
    assert_eq!(bodies::limits(0, minutes(14)), bodies::LIMITS);
    assert_eq!(bodies::limits(0, minutes(16)), bodies::UNWATCHED_LIMITS);
    assert_eq!(bodies::limits(1, minutes(16)), bodies::LIMITS);
}

proptest! {
    #[test]
    fn the_time_of_a_recording_is_that_of_its_last_transition(records in prop::collection::vec(record(), 1..9)) {
        let now = Timestamp::UNIX_EPOCH;
        let (live, recorded) = (LivePage::open(now, false), LivePage::open(now, true));
        prop_assert_eq!(recorded.time(now), now);
        for record in &records {
            live.show(record, &EventConfig::default());
            recorded.show(record, &EventConfig::default());
        }
        let last = records.iter().map(|record| record.seen_at).max();
        let last = last.filter(|last| *last > Timestamp::MIN);
        prop_assert_eq!(recorded.time(now), last.unwrap_or(now));
        prop_assert_eq!(live.time(now), now);
    }
}
