use super::{Sample, hash};
use serde_json::{Value, json};
use step_observer_guest::testing::{Processed, process};

fn event(phase: &str, data: &Value) -> Value {
    json!({"type": format!("dev.tekton.event.plugin.step.{phase}.v1"), "data": data})
}

fn is_kept(config: &Value, event: &Value) -> bool {
    matches!(
        process::<Sample>(&config.to_string(), event),
        Ok(Processed::Kept(_))
    )
}

/// Computed with another implementation of the documented hash. Observers of different versions must select the same runs.
#[test]
fn the_hash_never_changes() {
    for (salt, run, expected) in HASHES {
        assert_eq!(hash(salt, run), expected, "{salt:?} {run:?}");
    }
}

#[test]
fn about_one_of_n_runs_is_kept() {
    for one_of in [1_usize, 2, 3, 10, 64] {
        let config = json!({"oneOf": one_of});
        let runs = (0..2000).map(|run| {
            event(
                "succeeded",
                &json!({"pipelineRunUID": format!("run-{run}")}),
            )
        });
        let kept = runs.filter(|run| is_kept(&config, run)).count();
        let (low, high) = (2000 / one_of * 7 / 10, 2000 / one_of * 13 / 10);
        assert!(
            (low..=high).contains(&kept),
            "one of {one_of}: {kept} of 2000"
        );
    }
}

#[test]
fn the_events_of_a_run_have_the_same_decision() {
    let config = json!({"oneOf": 2, "keepFailed": false});
    let mut decisions = [0, 0];
    for run in 0..100 {
        let events =
            ["started", "succeeded", "failed", "skipped"]
                .into_iter()
                .flat_map(|phase| {
                    (0..3).map(move |task| {
                event(phase, &json!({
                    "pipelineRunUID": format!("u{run}"), "attempt": task, "stepIndex": task,
                    "taskRun": {"uid": format!("{run}-{task}"), "name": format!("t{task}")},
                }))
            })
                });
        let kept: Vec<bool> = events.map(|event| is_kept(&config, &event)).collect();
        assert!(
            kept.iter().all(|one| *one == kept[0]),
            "run {run}: {kept:?}"
        );
        decisions[usize::from(kept[0])] += 1;
    }
    assert!(decisions.iter().all(|count| *count > 20), "{decisions:?}");
}

#[test]
fn failed_steps_are_kept_unless_the_setting_forbids_it() {
    let failed =
        (0..64).map(|run| event("failed", &json!({"taskRun": {"uid": format!("u{run}")}})));
    let failed: Vec<Value> = failed.collect();
    let count = |config: Value| {
        failed
            .iter()
            .filter(|event| is_kept(&config, event))
            .count()
    };
    assert_eq!(count(json!({"oneOf": 1000})), 64);
    assert!(count(json!({"oneOf": 1000, "keepFailed": false})) < 5);
}

#[test]
fn another_salt_selects_other_runs() {
    let kept = |salt: &str| -> Vec<bool> {
        let config = json!({"oneOf": 2, "salt": salt});
        let runs =
            (0..64).map(|run| event("started", &json!({"pipelineRunUID": format!("u{run}")})));
        runs.map(|run| is_kept(&config, &run)).collect()
    };
    assert_eq!(kept("a"), kept("a"));
    assert_ne!(kept("a"), kept("b"));
}

#[test]
fn a_wrong_configuration_is_refused_with_its_place() {
    for (config, expected) in [
        ("null", "it needs one"),
        ("{}", "missing field `oneOf`"),
        (r#"{"oneOf": 0}"#, "oneOf: it is 0"),
        (r#"{"oneOf": -1}"#, "invalid value"),
        (
            r#"{"oneOf": 2, "keepfailed": true}"#,
            "unknown field `keepfailed`",
        ),
    ] {
        let refused = process::<Sample>(config, &json!({})).unwrap_err();
        assert!(refused.contains(expected), "{config}: {refused}");
    }
}

#[test]
fn cases() {
    step_observer_guest::testing::check_cases::<Sample>("cases");
}

#[test]
fn the_schema_is_that_of_the_configuration() {
    step_observer_guest::testing::check_schema::<Sample>(include_str!("../config.schema.json"));
}

const HASHES: [(&str, &str, u64); 4] = [
    ("", "", 0xb903_4ad3_7056_f5fb),
    (
        "",
        "c72281d7-76f5-48e8-90a7-52e6165bf351",
        0xe242_2642_5393_df83,
    ),
    (
        "team",
        "c72281d7-76f5-48e8-90a7-52e6165bf351",
        0x6248_002d_7283_946d,
    ),
    ("", "ci/größe", 0xc1b2_792b_cd20_49ac),
];
