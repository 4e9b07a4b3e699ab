//! Law 7: no observation causes a panic. In any stream of observations each step starts at most
//! once, ends at most once, and emits nothing after its end.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use step_observer_core::{
    Attempt, ContainerState, Done, Gate, Inference, InitFailure, Internals, Kind, Ledger,
    Observation, PodPhase, PodSnapshot, ReportedEnd, ReportedStep, StepSnapshot, TaskRunSnapshot,
    Terminated,
};

const STEPS: [&str; 3] = ["step-a", "step-b", "step-unnamed-2"];

fn time() -> impl Strategy<Value = Option<Timestamp>> {
    proptest::option::of(
        (0_i64..100).prop_map(|second| Timestamp::from_second(1_700_000_000 + second).unwrap()),
    )
}

fn word() -> impl Strategy<Value = Arc<str>> {
    let words = [
        "Completed",
        "Error",
        "Skipped",
        "OOMKilled",
        "TaskRunCancelled",
        "ImagePullBackOff",
        "Continued",
        "",
    ];
    proptest::sample::select(words.to_vec()).prop_map(Arc::from)
}

fn message() -> impl Strategy<Value = Option<Internals>> {
    let message = (
        time(),
        proptest::option::of(word()),
        proptest::option::of(-2..3_i32),
        any::<bool>(),
    );
    proptest::option::of(
        message.prop_map(|(started_at, reason, exit_code, cut)| Internals {
            started_at,
            reason,
            exit_code,
            truncated: cut,
        }),
    )
}

fn state() -> impl Strategy<Value = ContainerState> {
    let ended = (
        proptest::sample::select(vec![0, 1, 2, 137, 255]),
        proptest::option::of(word()),
        time(),
        time(),
        message(),
    );
    prop_oneof![
        Just(ContainerState::Unknown),
        proptest::option::of(word()).prop_map(|reason| ContainerState::Waiting { reason }),
        time().prop_map(|since| ContainerState::Running { since }),
        ended.prop_map(|(exit_code, reason, started_at, finished_at, message)| {
            ContainerState::Terminated(Terminated {
                exit_code,
                reason,
                started_at,
                finished_at,
                message,
            })
        }),
    ]
}

fn step(container: &'static str) -> impl Strategy<Value = StepSnapshot> {
    let gate = proptest::sample::select(vec![Gate::Open, Gate::Ready, Gate::Predecessor]);
    let inference = proptest::sample::select(vec![
        Inference::Immediate,
        Inference::Delayed,
        Inference::Never,
    ]);
    (gate, inference, state()).prop_map(|(gate, inference, state)| StepSnapshot {
        container: container.into(),
        gate,
        inference,
        state,
    })
}

fn pod() -> impl Strategy<Value = PodSnapshot> {
    let phase = proptest::sample::select(vec![
        PodPhase::Pending,
        PodPhase::Running,
        PodPhase::Succeeded,
        PodPhase::Failed,
    ]);
    let init = proptest::sample::select(vec![
        None,
        None,
        Some(InitFailure::Error),
        Some(InitFailure::OutOfMemory),
    ]);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let steps = (step(STEPS[0]), step(STEPS[1]), step(STEPS[2]), 0..4_usize);
    (
        0..3_u8,
        0..2_u8,
        time(),
        phase,
        proptest::option::of(word()),
        flags,
        init,
        steps,
    )
        .prop_map(
            |(
                uid,
                name,
                created,
                phase,
                reason,
                (ready, cancel_requested, deleting, without_reasons),
                init_failure,
                (a, b, c, count),
            )| PodSnapshot {
                uid: format!("pod-{uid}").into(),
                name: format!("name-{name}").into(),
                run_uid: "run".into(),
                created,
                phase,
                reason,
                ready,
                cancel_requested,
                deleting,
                deletion_requested: created,
                containers_started: created,
                first_container_started: created,
                ready_at: created,
                disrupted_at: created.filter(|_| cancel_requested),
                init_failed_at: created,
                has_sidecars: ready,
                init_failure,
                without_reasons,
                steps: vec![a, b, c].into_iter().take(count).collect(),
            },
        )
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let done = proptest::option::of((word(), time()).prop_map(|(reason, at)| Done {
        reason,
        at,
        image_error_step: None,
    }));
    let ended = proptest::option::of((0..3_i32, word(), any::<bool>(), time(), time()).prop_map(
        |(exit_code, reason, by_entrypoint, started_at, finished_at)| ReportedEnd {
            exit_code,
            reason,
            by_entrypoint,
            truncated: !by_entrypoint && exit_code == 1,
            started_at,
            finished_at,
        },
    ));
    let steps =
        proptest::collection::vec((0..3_usize, any::<bool>(), ended), 0..3).prop_map(|steps| {
            let step = |(index, running, ended): (usize, bool, _)| ReportedStep {
                container: STEPS[index].into(),
                running,
                ended,
            };
            // The status reports each container once.
            let mut seen = BTreeSet::new();
            steps
                .into_iter()
                .map(step)
                .filter(|step| seen.insert(step.container.clone()))
                .collect()
        });
    (0..3_u8, done, steps, any::<bool>()).prop_map(|(name, done, steps, without_reasons)| Attempt {
        pod_name: format!("name-{name}").into(),
        done,
        steps,
        without_reasons,
    })
}

fn observation() -> impl Strategy<Value = Observation> {
    prop_oneof![
        6 => pod().prop_map(Observation::Pod),
        2 => (0..3_u8).prop_map(|uid| Observation::PodGone { uid: format!("pod-{uid}").into(), run_uid: "run".into() }),
        4 => (proptest::collection::vec(attempt(), 0..2), attempt())
            .prop_map(|(archived, current)| Observation::TaskRun(TaskRunSnapshot { uid: "run".into(), archived, current })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn each_step_starts_and_ends_at_most_once_in_any_stream(
        observations in proptest::collection::vec((observation(), 0..8_i64), 1..30)
    ) {
        let mut ledger = Ledger::from_stream_start();
        let mut now = Timestamp::from_second(1_700_000_000).unwrap();
        let mut told = Vec::new();
        for (observation, seconds) in observations {
            now += SignedDuration::from_secs(seconds);
            told.extend(ledger.apply(observation, now));
            while ledger.next_wake().is_some_and(|due| due <= now) {
                told.extend(ledger.tick(now).1);
            }
        }
        while let Some(due) = ledger.next_wake() {
            told.extend(ledger.tick(due).1);
        }
        let mut started = BTreeSet::new();
        let mut ended = BTreeSet::new();
        for transition in told {
            let step = (transition.pod_uid.clone(), transition.pod_name.clone(), transition.container.clone());
            prop_assert!(!ended.contains(&step), "{transition:?} after its end");
            let first = if transition.kind == Kind::Started { started.insert(step) } else { ended.insert(step) };
            prop_assert!(first, "{transition:?} twice");
        }
    }
}
