//! Events, and what is in requests.

use serde_json::{Value, json};
use step_observer_otlp::{
    Encoding, Options, Request, Requests, RunEnd, RunKind, RunResult, SpanId, Translator,
};

pub(crate) const TASK_RUN: &str = "e3e81e11-09f2-4a3b-9dc8-65f45f46c32e";
pub(crate) const PIPELINE_RUN: &str = "c72281d7-76f5-48e8-90a7-52e6165bf351";
pub(crate) const POD: &str = "f44fdfe2-38aa-49fa-ac2d-f32ee9243bff";
pub(crate) const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

pub(crate) fn translator(change: impl FnOnce(&mut Options)) -> Translator {
    let mut options = Options::default();
    change(&mut options);
    Translator::new(options).unwrap()
}

pub(crate) fn bytes(events: &[Value]) -> Vec<Vec<u8>> {
    events
        .iter()
        .map(|event| serde_json::to_vec(event).unwrap())
        .collect()
}

pub(crate) fn requests(translator: &Translator, events: &[Value]) -> Requests {
    translator.requests(&bytes(events), Encoding::Json).unwrap()
}

/// An event of a failed step in a PipelineRun.
pub(crate) fn event() -> Value {
    json!({
        "specversion": "1.0",
        "id": format!("{POD}-push-dev.tekton.event.plugin.step.failed.v1"),
        "source": "github.com/tom24d/step-observe-controller",
        "type": "dev.tekton.event.plugin.step.failed.v1",
        "time": "2026-11-22T13:31:24Z",
        "recordedtime": "2026-11-22T13:31:24.800578Z",
        "partitionkey": TASK_RUN,
        "data": {
            "attempt": 1,
            "exitCode": 2,
            "labels": {"tekton.dev/pipeline": "release", "ci.example/commit": "4d5e6f"},
            "log": "\u{1b}[1mpushing\u{1b}[0m\r\ndenied\n",
            "pipelineRun": "release-7", "pipelineRunUID": PIPELINE_RUN, "pipelineTask": "publish",
            "podRef": {"name": "release-7-publish-pod", "namespace": "shop"},
            "podUID": POD,
            "reason": "Error",
            "startedAt": "2026-11-22T13:31:23.326Z",
            "step": {"image": "localhost:5000/tools/push:1.2"},
            "stepState": {"container": "step-push", "name": "push"},
            "taskRun": {"name": "release-7-publish", "namespace": "shop", "uid": TASK_RUN},
        }
    })
}

pub(crate) fn end(kind: RunKind) -> RunEnd {
    let is_task_run = kind == RunKind::TaskRun;
    let only_task_run = |text: &str| is_task_run.then(|| text.to_owned());
    RunEnd {
        kind,
        source: "observer".to_owned(),
        namespace: "shop".to_owned(),
        uid: if is_task_run { TASK_RUN } else { PIPELINE_RUN }.to_owned(),
        task_run: only_task_run("release-7-publish"),
        pipeline_run: Some("release-7".to_owned()),
        pipeline_run_uid: only_task_run(PIPELINE_RUN),
        pipeline: Some("release".to_owned()),
        pipeline_task: only_task_run("publish"),
        task: only_task_run("push-image"),
        attempt: u32::from(is_task_run),
        started_at: "2026-11-22T13:31:13Z".parse().unwrap(),
        ended_at: "2026-11-22T13:31:25Z".parse().unwrap(),
        result: RunResult::Failure,
        error_type: Some("StepFailed".to_owned()),
        traceparent: None,
    }
}

pub(crate) fn ends() -> [Value; 2] {
    [RunKind::TaskRun, RunKind::PipelineRun].map(|kind| serde_json::to_value(end(kind)).unwrap())
}

pub(crate) fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

/// The spans of all requests.
pub(crate) fn spans(requests: &Requests) -> Vec<Value> {
    let groups = requests
        .traces
        .iter()
        .flat_map(|request| body(request)["resourceSpans"].as_array().unwrap().clone());
    groups
        .flat_map(|group| group["scopeSpans"][0]["spans"].as_array().unwrap().clone())
        .collect()
}

pub(crate) fn records(requests: &Requests) -> Vec<Value> {
    let groups = requests
        .logs
        .iter()
        .flat_map(|request| body(request)["resourceLogs"].as_array().unwrap().clone());
    groups
        .flat_map(|group| {
            group["scopeLogs"][0]["logRecords"]
                .as_array()
                .unwrap()
                .clone()
        })
        .collect()
}

pub(crate) fn attribute<'s>(of: &'s Value, key: &str) -> Option<&'s Value> {
    let attributes = of["attributes"].as_array().unwrap();
    let found = attributes
        .iter()
        .find(|attribute| attribute["key"] == key)?;
    found["value"].as_object().unwrap().values().next()
}

pub(crate) fn hex(id: SpanId) -> String {
    id.bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
