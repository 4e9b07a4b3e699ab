//! Runs the cases of `e2e` without a cluster: a front accepts applied objects, and the fake API
//! server plays their recordings.

use super::{Report, Target, run};
use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use std::future::{pending, ready};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::e2e::{CASES, Case, Told, Verdict};
use step_observer_tests::recording::{self, watch_events};
use step_observer_tests::sink::PATIENCE;
use tokio::task::JoinSet;

const NAMESPACE: &str = "step-observer-e2e-x7k2p";

/// Beginning of a request that creates a namespace.
const CREATION: &str = "POST /api/v1/namespaces ";

pub(super) type Answer = (u16, Value);

/// An API server that records requests. Its answers come from a function.
pub(super) struct Front {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    _server: JoinSet<()>,
}

impl Front {
    /// Serves the namespace, and answers all other requests with the result of `answer` for method,
    /// path and body.
    pub(super) async fn start(
        answer: impl Fn(Method, String, Value) -> BoxFuture<'static, Answer>
        + Clone
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = asked.clone();
        let handle = move |method: Method, uri: Uri, body: String| async move {
            let path = uri.path().to_owned();
            kept.lock().unwrap().push(format!("{method} {path} {body}"));
            let (status, answer) = match (&method, path.as_str()) {
                (&Method::POST, "/api/v1/namespaces") => {
                    let lines = kept.lock().unwrap();
                    let count = lines
                        .iter()
                        .filter(|line| line.starts_with(CREATION))
                        .count();
                    let more = "-more".repeat(count - 1);
                    (
                        201,
                        json!({"metadata": {"name": format!("{NAMESPACE}{more}")}}),
                    )
                }
                (&Method::POST | &Method::PATCH, _) => {
                    answer(method, path, serde_json::from_str(&body).unwrap()).await
                }
                _ => (200, json!({})),
            };
            (StatusCode::from_u16(status).unwrap(), axum::Json(answer))
        };
        let router = Router::new().fallback(handle);
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            asked,
            _server: server,
        }
    }

    pub(super) fn kubeconfig(&self, folder: &Path) -> PathBuf {
        kubeconfig(&self.url, folder)
    }

    pub(super) fn asked(&self, what: &str) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter(|line| line.starts_with(what))
            .cloned()
            .collect()
    }
}

fn kubeconfig(url: &str, folder: &Path) -> PathBuf {
    let file = folder.join("front");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    });
    std::fs::write(&file, config.to_string()).unwrap();
    file
}

pub(super) fn target(kubeconfig: PathBuf) -> Target {
    Target {
        kubeconfig: Some(kubeconfig),
        observed: None,
        config: None,
        image: "an/image:1".to_owned(),
        attacked: false,
        patience: PATIENCE,
    }
}

/// Returns the recording of a case, moved to the namespace of the test.
fn recorded(case: &Case) -> Vec<Value> {
    let mut events = watch_events(case.name);
    for event in &mut events {
        event["object"]["metadata"]["namespace"] = NAMESPACE.into();
    }
    events
}

/// Starts a cluster in which an applied object runs as it was recorded.
async fn playing(server: Arc<ApiServer>) -> Front {
    for case in &CASES {
        let logs = recording::json(&format!("recordings/{}.logs.json", case.name));
        for (container, text) in logs.as_object().unwrap() {
            server.set_log(container, text.as_str().unwrap());
        }
    }
    Front::start(move |method, path, body| {
        let server = server.clone();
        Box::pin(async move {
            server.wait_for_watches(2).await;
            let name = match method {
                Method::PATCH => path.rsplit('/').next().unwrap(),
                _ => body["metadata"]["name"].as_str().unwrap(),
            };
            let named = |case: &&Case| case.manifest("")["metadata"]["name"] == name;
            let case = CASES.iter().find(named).unwrap();
            let events = recorded(case);
            // Splits the recording after the first event in which the step to cancel runs. The
            // cancellation plays the rest.
            let cut = case.cancelled_at.map_or(events.len(), |_| {
                let runs = |event: &Value| event.to_string().contains("13:00:07.439Z");
                events.iter().position(runs).unwrap() + 1
            });
            let (before, after) = events.split_at(cut);
            for event in if method == Method::PATCH {
                after
            } else {
                before
            } {
                server.play(event);
            }
            (201, json!({}))
        })
    })
    .await
}

fn passed(report: &Report) -> usize {
    report
        .iter()
        .filter(|(_, verdict)| *verdict == Verdict::Passed)
        .count()
}

#[tokio::test]
async fn every_case_passes_where_clusters_do_as_recorded() {
    let server = Arc::new(ApiServer::start().await);
    let front = playing(server.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    // Overrides `lookBack`: the recordings are older than its default of ten minutes.
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, "lookBack: 1000000h\n").unwrap();
    let target = Target {
        observed: Some(server.kubeconfig(folder.path())),
        config: Some(config),
        ..target(kubeconfig(&front.url, folder.path()))
    };
    let report = run(&target, pending()).await;
    assert_eq!(passed(&report), CASES.len(), "{report:#?}");

    let runs = format!("/apis/tekton.dev/v1/namespaces/{NAMESPACE}");
    let applied = front.asked("POST /apis/");
    assert_eq!(applied.len(), CASES.len());
    let pipelines = format!("POST {runs}/pipelineruns ");
    assert_eq!(
        applied
            .iter()
            .filter(|line| line.starts_with(&pipelines))
            .count(),
        2
    );
    assert!(
        applied
            .iter()
            .all(|line| line.contains("an/image:1") && !line.contains("localhost/busybox"))
    );
    let cancelled =
        format!(r#"PATCH {runs}/taskruns/d-cancel {{"spec":{{"status":"TaskRunCancelled"}}}}"#);
    assert_eq!(front.asked("PATCH"), [cancelled]);
    assert_eq!(
        front.asked("DELETE"),
        [format!("DELETE /api/v1/namespaces/{NAMESPACE} ")]
    );
}

#[tokio::test]
async fn nothing_is_left_behind() {
    // Accepts the namespace, and refuses runs.
    let front = Front::start(|_, _, _| {
        let refusal = json!({"kind": "Status", "code": 422, "status": "Failure", "message": "no", "reason": "Invalid"});
        Box::pin(ready((422, refusal)))
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let mut target = target(kubeconfig(&front.url, folder.path()));
    let all = |report: Report, why: &str| {
        let said = |(_, verdict): &(&str, Verdict)| verdict.to_string();
        assert!(
            report.iter().map(said).all(|said| said.starts_with(why)),
            "{report:?}"
        );
    };
    let report = run(&target, pending()).await;
    all(report, "NOT RUN: the API server does not take it: ");
    assert_eq!(front.asked("DELETE").len(), 1);

    // Never answers to a run.
    let front = Front::start(|_, _, _| Box::pin(pending())).await;
    target.kubeconfig = Some(kubeconfig(&front.url, folder.path()));
    all(run(&target, ready(())).await, "NOT RUN: interrupted");
    assert_eq!(front.asked("DELETE").len(), 1);
    target.patience = Duration::ZERO;
    all(run(&target, pending()).await, "NOT RUN: it took too long");
    assert_eq!(front.asked("DELETE").len(), 2);
}

async fn why_nothing_runs(kubeconfig: PathBuf) -> String {
    let report = run(&target(kubeconfig), pending()).await;
    assert_eq!(report.len(), CASES.len());
    let (_, first) = report[0].clone();
    assert!(
        report.iter().all(|(_, verdict)| *verdict == first),
        "{report:?}"
    );
    first.to_string()
}

#[tokio::test]
async fn a_missing_prerequisite_is_named_before_anything_is_created() {
    let folder = tempfile::tempdir().unwrap();
    let why = why_nothing_runs(folder.path().join("nothing")).await;
    assert!(
        why.starts_with("NOT RUN: there is no usable kubeconfig (KUBECONFIG)"),
        "{why}"
    );

    let free = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let why = why_nothing_runs(kubeconfig(&url, folder.path())).await;
    assert!(
        why.contains("the API server of this kubeconfig does not answer"),
        "{why}"
    );

    // Without Tekton: nothing is served below this path.
    let server = ApiServer::start().await;
    let elsewhere = kubeconfig(&format!("{}/elsewhere", server.url), folder.path());
    let why = why_nothing_runs(elsewhere).await;
    let named = why.contains("does not serve taskruns.tekton.dev");
    assert!(named && why.contains("install Tekton Pipelines"), "{why}");

    server.deny("taskruns", true);
    let why = why_nothing_runs(server.kubeconfig(folder.path())).await;
    assert!(
        why.contains("listing taskruns.tekton.dev is refused (403)"),
        "{why}"
    );
    server.deny("taskruns", false);
    // Tekton exists, but namespaces cannot be created.
    let why = why_nothing_runs(server.kubeconfig(folder.path())).await;
    assert!(why.contains("failed to create a namespace"), "{why}");
}

#[test]
fn missing_extra_and_different_events_are_reported() {
    let case = CASES.iter().find(|case| case.name == "m-when").unwrap();
    let told = |step: &str, event: &str, reason: Option<&str>, exit_code| Told {
        pod: "m-when-pod".to_owned(),
        step: step.to_owned(),
        event: event.to_owned(),
        reason: reason.map(str::to_owned),
        exit_code,
    };
    let well = vec![
        told("build", "started", None, None),
        told("build", "succeeded", Some("Completed"), Some(0)),
        told("maybe", "skipped", None, None),
        told("deploy", "started", None, None),
        told("deploy", "succeeded", Some("Completed"), Some(0)),
    ];
    assert_eq!(case.judge(&well), Ok(()));
    assert_eq!(
        case.judge(&well[..4]).unwrap_err(),
        "m-when-pod: deploy succeeded did not come"
    );
    let twice = [well.clone(), vec![well[4].clone()]].concat();
    assert!(case.judge(&twice).unwrap_err().ends_with("came besides"));
    for (place, other) in [
        (0, told("deploy", "started", None, None)),
        (1, told("build", "failed", Some("Completed"), Some(0))),
        (1, told("build", "succeeded", Some("Error"), Some(0))),
        (4, told("deploy", "succeeded", Some("Completed"), Some(1))),
    ] {
        let mut events = well.clone();
        events[place] = other;
        assert!(case.judge(&events).unwrap_err().contains("had to come"));
    }
}
