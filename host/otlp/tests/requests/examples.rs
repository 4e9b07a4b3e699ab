//! Single events, and exactly what they become.

use crate::kit::{
    PIPELINE_RUN, TASK_RUN, TRACEPARENT, attribute, body, end, ends, event, hex, records, requests,
    spans, translator,
};
use serde_json::{Value, json};
use step_observer_otlp::{Encoding, LogMode, NotExported, Outcome, RunKind, SpanId};

#[test]
fn a_step_is_this_request() {
    let translator = translator(|options| {
        let url = "https://tekton.example/{namespace}/{pipelineRun}/{taskRun}?step={step}#{uid}";
        options.task_run_url = Some(url.parse().unwrap());
        options.pipeline_run_url = Some("https://tekton.example/{pipelineRun}".parse().unwrap());
        options.cluster_name = Some("west".to_owned());
        let commit = (
            "vcs.ref.head.revision".to_owned(),
            "ci.example/commit".to_owned(),
        );
        options.vcs = [commit].into();
    });
    let requests = requests(&translator, &[event()]);
    let traces: Value = serde_json::from_str(include_str!("../data/step.traces.json")).unwrap();
    assert_eq!(body(&requests.traces[0]), traces);
    let logs: Value = serde_json::from_str(include_str!("../data/step.logs.json")).unwrap();
    assert_eq!(body(&requests.logs[0]), logs);
}

#[test]
fn pipeline_run_task_run_and_step_are_one_tree() {
    let [task_run, pipeline_run] = ends();
    let translator = translator(|options| options.pipeline_runs = true);
    let requests = requests(&translator, &[event(), task_run, pipeline_run]);
    let [step, task_run, pipeline_run] = spans(&requests).try_into().unwrap();
    for span in [&step, &task_run, &pipeline_run] {
        assert_eq!(span["traceId"], PIPELINE_RUN.replace('-', ""));
        assert_eq!(span["flags"], 0x101);
        assert_eq!(span["status"], json!({"code": 2}));
    }
    assert_eq!(step["parentSpanId"], task_run["spanId"]);
    assert_eq!(task_run["parentSpanId"], pipeline_run["spanId"]);
    assert_eq!(pipeline_run.get("parentSpanId"), None);
    assert_eq!(
        (&task_run["name"], &task_run["kind"]),
        (&json!("publish"), &json!(1))
    );
    assert_eq!(
        attribute(&task_run, "cicd.pipeline.task.run.result"),
        Some(&json!("failure"))
    );
    assert_eq!(
        attribute(&task_run, "error.type"),
        Some(&json!("StepFailed"))
    );
    assert_eq!(
        (&pipeline_run["name"], &pipeline_run["kind"]),
        (&json!("RUN release"), &json!(2))
    );
    assert_eq!(
        attribute(&pipeline_run, "cicd.pipeline.result"),
        Some(&json!("failure"))
    );
    assert_eq!(pipeline_run["startTimeUnixNano"], "1795354273000000000");
    // One run, one resource.
    assert_eq!(
        body(&requests.traces[0])["resourceSpans"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

/// With Tekton's span `b7ad…`: (spans of PipelineRuns are sent) → (above the TaskRun, flags, above the PipelineRun).
#[test]
fn spans_are_under_tektons_span() {
    for (pipeline_runs, above, flags) in [
        (true, hex(SpanId::of_pipeline_run(PIPELINE_RUN)), 0x101),
        (false, "b7ad6b7169203331".to_owned(), 0x301),
    ] {
        let mut events = ends();
        for event in &mut events {
            event["traceparent"] = TRACEPARENT.into();
        }
        let translator = translator(|options| options.pipeline_runs = pipeline_runs);
        let requests = requests(&translator, &events);
        let spans = spans(&requests);
        assert_eq!(
            (&spans[0]["parentSpanId"], &spans[0]["flags"]),
            (&json!(above), &json!(flags))
        );
        for span in &spans {
            assert_eq!(span["traceId"], "0af7651916cd43dd8448eb211c80319c");
        }
        if pipeline_runs {
            assert_eq!(spans[1]["parentSpanId"], "b7ad6b7169203331");
            assert_eq!(spans[1]["flags"], 0x301);
        } else {
            assert_eq!(spans.len(), 1);
            assert_eq!(
                requests.outcomes[1],
                Outcome::NotExported(NotExported::PipelineRunsOff)
            );
        }
    }
}

#[test]
fn a_task_run_without_pipeline_run_is_its_own_trace() {
    let mut event = event();
    let data = event["data"].as_object_mut().unwrap();
    for name in ["pipelineRun", "pipelineRunUID", "pipelineTask", "labels"] {
        data.remove(name);
    }
    let mut task_run = end(RunKind::TaskRun);
    (task_run.pipeline_run, task_run.pipeline_run_uid) = (None, None);
    (task_run.pipeline, task_run.pipeline_task) = (None, None);
    let requests = requests(
        &translator(|_| ()),
        &[event, serde_json::to_value(task_run).unwrap()],
    );
    let [step, task_run] = spans(&requests).try_into().unwrap();
    assert_eq!(step["traceId"], TASK_RUN.replace('-', ""));
    assert_eq!(step["parentSpanId"], task_run["spanId"]);
    assert_eq!(task_run["traceId"], step["traceId"]);
    assert_eq!(task_run.get("parentSpanId"), None);
    assert_eq!(task_run["name"], "push-image");
    let resource = &body(&requests.traces[0])["resourceSpans"][0]["resource"];
    assert_eq!(
        attribute(resource, "cicd.pipeline.run.id"),
        Some(&json!(TASK_RUN))
    );
    assert_eq!(
        attribute(resource, "cicd.pipeline.name"),
        Some(&json!("release-7-publish"))
    );
}

#[test]
fn events_that_are_not_exported_say_why() {
    let with = |name: &str, value: Value| {
        let mut event = event();
        event[name] = value;
        event
    };
    let unsampled = TRACEPARENT.replace("-01", "-00");
    let mut no_time = with("time", json!("yesterday"));
    no_time["data"]["startedAt"] = json!(7);
    for (event, reason) in [
        (
            with("type", json!("dev.tekton.event.plugin.step.started.v1")),
            NotExported::NotEnded,
        ),
        (
            with("type", json!("dev.tekton.event.taskrun.failed.v2")),
            NotExported::OtherType,
        ),
        (with("type", Value::Null), NotExported::OtherType),
        (
            with("traceparent", json!(unsampled)),
            NotExported::NotSampled,
        ),
        (no_time, NotExported::NoTime),
    ] {
        let requests = requests(&translator(|_| ()), std::slice::from_ref(&event));
        assert_eq!(requests.outcomes, [Outcome::NotExported(reason)], "{event}");
        assert!(requests.traces.is_empty() && requests.logs.is_empty());
    }
    let unreadable = translator(|_| ())
        .requests(&["secret"], Encoding::Json)
        .unwrap();
    assert!(matches!(&unreadable.outcomes[..], [Outcome::Unreadable(_)]));
}

#[test]
fn an_end_before_its_start_is_clamped() {
    let mut event = event();
    event["data"]["startedAt"] = "2026-11-22T13:31:24.5Z".into();
    let spans = spans(&requests(&translator(|_| ()), &[event]));
    assert_eq!(spans[0]["startTimeUnixNano"], "1795354284000000000");
    assert_eq!(spans[0]["endTimeUnixNano"], "1795354284000000000");
}

#[test]
fn the_log_is_sent_as_chosen() {
    let bodies = |log: LogMode| {
        let requests = requests(&translator(|options| options.log = log), &[event()]);
        let records = records(&requests);
        let bodies = records
            .iter()
            .map(|record| record["body"]["stringValue"].clone());
        bodies.collect::<Vec<Value>>()
    };
    assert_eq!(bodies(LogMode::None), Vec::<Value>::new());
    assert_eq!(bodies(LogMode::Whole), ["pushing\r\ndenied"]);
    assert_eq!(
        bodies(LogMode::Lines { max_records: 9 }),
        ["pushing", "denied"]
    );
    assert_eq!(
        bodies(LogMode::Lines { max_records: 1 }),
        ["pushing\r\ndenied"]
    );
}

#[test]
fn without_the_uid_of_its_pod_a_step_has_the_span_id_of_its_event() {
    let mut event = event();
    event["data"].as_object_mut().unwrap().remove("podUID");
    let id = hex(SpanId::of_step_event(
        event["id"].as_str().unwrap(),
        1,
        "push",
    ));
    assert_eq!(
        spans(&requests(&translator(|_| ()), &[event]))[0]["spanId"],
        id
    );
}

#[test]
fn times_of_the_container_count_where_the_event_has_none() {
    let mut event = event();
    event["time"] = json!("yesterday");
    let data = event["data"].as_object_mut().unwrap();
    data.remove("startedAt");
    data["stepState"]["terminated"] =
        json!({"startedAt": "2026-11-22T13:31:20Z", "finishedAt": "2026-11-22T13:31:22Z"});
    let spans = spans(&requests(&translator(|_| ()), &[event]));
    assert_eq!(spans[0]["startTimeUnixNano"], "1795354280000000000");
    assert_eq!(spans[0]["endTimeUnixNano"], "1795354282000000000");
}

#[test]
fn events_of_one_run_share_a_resource_with_the_attributes_of_all() {
    let mut with_commit = event();
    with_commit["data"]["labels"]["ci.example/commit"] = "4d5e6f".into();
    let mut without = event();
    without["data"].as_object_mut().unwrap().remove("labels");
    let translator = translator(|options| {
        let commit = (
            "vcs.ref.head.revision".to_owned(),
            "ci.example/commit".to_owned(),
        );
        options.vcs = [commit].into();
    });
    let requests = requests(&translator, &[without, with_commit]);
    for body in [body(&requests.traces[0]), body(&requests.logs[0])] {
        let groups = body.as_object().unwrap().values().next().unwrap();
        assert_eq!(groups.as_array().unwrap().len(), 1);
        let resource = &groups[0]["resource"];
        let commit = attribute(resource, "vcs.ref.head.revision");
        assert_eq!(commit, Some(&json!("4d5e6f")));
        let attributes = resource["attributes"].as_array().unwrap();
        let mut keys: Vec<&str> = attributes
            .iter()
            .map(|attribute| attribute["key"].as_str().unwrap())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), attributes.len());
    }
}

#[test]
fn long_attributes_are_cut_between_characters_and_long_urls_are_left_out() {
    let mut event = event();
    event["data"]["pipelineTask"] = format!("x{}", "é".repeat(2000)).into();
    event["data"]["pipelineRun"] = "x".repeat(5000).into();
    let translator = translator(|options| {
        let url = "https://tekton.example/{pipelineRun}".parse().unwrap();
        options.task_run_url = Some(url);
    });
    let spans = spans(&requests(&translator, &[event]));
    let cut = format!("x{}", "é".repeat(511));
    assert_eq!(
        attribute(&spans[0], "cicd.pipeline.task.name"),
        Some(&json!(cut))
    );
    assert_eq!(
        attribute(&spans[0], "cicd.pipeline.task.run.url.full"),
        None
    );
}

/// Whoever may create TaskRuns can write the context and the UID of a foreign PipelineRun.
#[test]
fn with_own_traces_a_task_run_joins_no_other_trace() {
    let mut event = event();
    event["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into();
    let own = translator(|options| options.own_traces = true);
    let spans = spans(&requests(&own, &[event.clone()]));
    let uid = event["data"]["taskRun"]["uid"].as_str().unwrap();
    assert_eq!(spans[0]["traceId"], uid.replace('-', ""));
    assert_eq!(spans[0]["parentSpanId"], hex(SpanId::of_task_run(uid, 1)));
}
