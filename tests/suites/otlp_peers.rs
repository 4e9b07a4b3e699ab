//! Receivers of OTLP that others have written decode the requests that `host/otlp` makes.

use serde_json::{Value, json};
use step_observer_otlp::{
    Encoding, Options, PartialSuccess, Requests, RunEnd, RunKind, RunResult, Translator,
    error_message, partial_success,
};
use step_observer_tests::available;
use step_observer_tests::otlp::OtlpReceiver;

const BOTH: [Encoding; 2] = [Encoding::Protobuf, Encoding::Json];
const TASK_RUN: &str = "e3e81e11-09f2-4a3b-9dc8-65f45f46c32e";
const PIPELINE_RUN: &str = "c72281d7-76f5-48e8-90a7-52e6165bf351";
const TRACE: &str = "c72281d776f548e890a752e6165bf351";

/// Two steps, their TaskRun and their PipelineRun.
fn batch(encoding: Encoding) -> Requests {
    let step = |name: &str, phase: &str, log: &str| {
        let (code, reason) = match phase {
            "failed" => (2, "Error"),
            _ => (0, "Completed"),
        };
        let event = json!({
            "specversion": "1.0", "source": "observer",
            "id": format!("pod-{name}"),
            "type": format!("dev.tekton.event.plugin.step.{phase}.v1"),
            "time": "2026-11-22T13:31:24Z", "recordedtime": "2026-11-22T13:31:24.8Z",
            "partitionkey": TASK_RUN,
            "data": {
                "attempt": 0, "exitCode": code, "reason": reason, "log": log,
                "labels": {"tekton.dev/pipeline": "release"},
                "pipelineRun": "release-7", "pipelineRunUID": PIPELINE_RUN, "pipelineTask": "publish",
                "podRef": {"name": "release-7-publish-pod", "namespace": "shop"},
                "podUID": "pod",
                "startedAt": "2026-11-22T13:31:23.326Z",
                "step": {"image": "localhost/busybox:1.35"},
                "stepState": {"container": format!("step-{name}"), "name": name},
                "taskRun": {"name": "release-7-publish", "namespace": "shop", "uid": TASK_RUN},
            }
        });
        serde_json::to_vec(&event).unwrap()
    };
    let end = |kind, uid: &str| {
        let end = RunEnd {
            kind,
            source: "observer".to_owned(),
            namespace: "shop".to_owned(),
            uid: uid.to_owned(),
            task_run: Some("release-7-publish".to_owned()),
            pipeline_run: Some("release-7".to_owned()),
            pipeline_run_uid: Some(PIPELINE_RUN.to_owned()),
            pipeline: Some("release".to_owned()),
            pipeline_task: Some("publish".to_owned()),
            task: None,
            attempt: 0,
            started_at: "2026-11-22T13:31:13Z".parse().unwrap(),
            ended_at: "2026-11-22T13:31:25Z".parse().unwrap(),
            result: RunResult::Failure,
            error_type: Some("Failed".to_owned()),
            traceparent: None,
        };
        serde_json::to_vec(&end).unwrap()
    };
    let events = [
        step("build", "succeeded", "compiling\n\u{1b}[32mdone\u{1b}[0m\n"),
        step("push", "failed", "grüße ☂ 🐈\n"),
        end(RunKind::TaskRun, TASK_RUN),
        end(RunKind::PipelineRun, PIPELINE_RUN),
    ];
    let options = Options {
        pipeline_runs: true,
        ..Options::default()
    };
    let requests = Translator::new(options)
        .unwrap()
        .requests(&events, encoding);
    let requests = requests.unwrap();
    assert_eq!((requests.traces.len(), requests.logs.len()), (1, 1));
    requests
}

/// The requests in JSON: what every receiver must decode.
fn expected() -> [Value; 2] {
    let Requests { traces, logs, .. } = batch(Encoding::Json);
    [traces, logs].map(|requests| serde_json::from_slice(&requests[0].body).unwrap())
}

/// Posts both requests, and checks that they are accepted as a whole.
async fn post(receiver: &OtlpReceiver, encoding: Encoding) {
    let Requests { traces, logs, .. } = batch(encoding);
    for (path, requests) in [("/v1/traces", traces), ("/v1/logs", logs)] {
        let media_type = encoding.media_type();
        let (status, body) = receiver.post(path, media_type, &requests[0].body).await;
        assert_eq!(status, 200);
        assert_eq!(partial_success(Some(media_type), &body), Ok(None));
    }
}

fn spans(request: &Value) -> &Vec<Value> {
    let spans = request.pointer("/resourceSpans/0/scopeSpans/0/spans");
    spans.unwrap().as_array().unwrap()
}

#[tokio::test]
async fn the_official_messages_decode_what_was_sent() {
    for encoding in BOTH {
        let mut receiver = available!(OtlpReceiver::official(0).await);
        post(&receiver, encoding).await;
        let [traces, logs] = expected();
        assert_eq!(receiver.request().await["request"], traces, "{encoding:?}");
        assert_eq!(receiver.request().await["request"], logs, "{encoding:?}");
        // PipelineRun → TaskRun → steps, of kinds SERVER and INTERNAL.
        let spans = spans(&traces);
        let of = |name: &str, member: &str| {
            let span = spans.iter().find(|span| span["name"] == name).unwrap();
            span.get(member).cloned()
        };
        assert_eq!(of("RUN release", "parentSpanId"), None);
        assert_eq!(of("RUN release", "kind"), Some(2.into()));
        assert_eq!(of("publish", "parentSpanId"), of("RUN release", "spanId"));
        for (step, status) in [("build", None), ("push", Some(json!({"code": 2})))] {
            assert_eq!(of(step, "parentSpanId"), of("publish", "spanId"));
            assert_eq!(of(step, "kind"), Some(1.into()));
            assert_eq!(of(step, "traceId"), Some(TRACE.into()));
            assert_eq!(of(step, "status"), status);
        }
    }
}

#[tokio::test]
async fn a_partial_success_of_the_official_messages_is_read() {
    for encoding in BOTH {
        let receiver = available!(OtlpReceiver::official(3).await);
        let Requests { traces, logs, .. } = batch(encoding);
        for (path, requests) in [("/v1/traces", traces), ("/v1/logs", logs)] {
            let media_type = encoding.media_type();
            let (_, body) = receiver.post(path, media_type, &requests[0].body).await;
            let expected = PartialSuccess {
                rejected: 3,
                message: "rejected by the test".to_owned(),
            };
            assert_eq!(partial_success(Some(media_type), &body), Ok(Some(expected)));
        }
    }
}

#[tokio::test]
async fn oteltap_decodes_what_was_sent() {
    let mut receiver = available!(OtlpReceiver::oteltap().await);
    receiver.lines_to("Listening").await;
    post(&receiver, Encoding::Protobuf).await;
    let [traces, logs] = expected();
    let records = logs.pointer("/resourceLogs/0/scopeLogs/0/logRecords");
    let records = records.unwrap().as_array().unwrap();
    let sent: Vec<&Value> = spans(&traces).iter().chain(records).collect();
    // It prints them in any order, with defaults for members that are missing.
    let mut printed: Vec<Value> = Vec::new();
    for _ in &sent {
        printed.push(serde_json::from_str(&receiver.line().await).unwrap());
    }
    let is_same = |sent: &Value, printed: &Value| {
        let mut members = sent.as_object().unwrap().iter();
        members.all(|(name, member)| match name.as_str() {
            "status" => printed[name]["code"] == member["code"],
            _ => printed[name] == *member,
        })
    };
    for sent in sent {
        let is_printed = printed.iter().any(|printed| is_same(sent, printed));
        assert!(is_printed, "{sent:#} is missing in {printed:#?}");
    }
}

#[tokio::test]
async fn rotel_decodes_what_was_sent_and_its_refusal_is_read() {
    for encoding in BOTH {
        let mut receiver = available!(OtlpReceiver::rotel().await);
        post(&receiver, encoding).await;
        let mut printed = receiver.lines_to("grüße ☂ 🐈").await;
        // The last lines of the last record.
        printed += &receiver.lines_to("Flags: 1").await;
        check_printed(&printed);
        let media_type = encoding.media_type();
        let (status, body) = receiver.post("/v1/traces", media_type, b"\xff").await;
        assert_eq!(status, 400);
        error_message(Some(media_type), &body).ok();
    }
}

/// Checks that a receiver printed all ids, times, names and texts.
fn check_printed(printed: &str) {
    fn texts(value: &Value, all: &mut Vec<String>) {
        match value {
            Value::String(text) => all.push(text.clone()),
            Value::Array(values) => values.iter().for_each(|value| texts(value, all)),
            Value::Object(members) => members.values().for_each(|value| texts(value, all)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut all = Vec::new();
    for request in expected() {
        texts(&request, &mut all);
    }
    assert!(all.len() > 100, "{}", all.len());
    for text in all {
        assert!(printed.contains(&text), "{text} is missing:\n{printed}");
    }
}
