//! End to end: the cases on the cluster of KUBECONFIG (`cargo xtask e2e`), and, with recordings of
//! the same cases, on the fake API server. Observer and sink run on this machine.

#![expect(clippy::print_stdout, reason = "the report of `cargo xtask e2e`")]

mod fake;
mod known_secrets;

use futures::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use step_observer_tests::e2e::{CASES, Case, Cluster, STRANGER, Told, Verdict, connect, preflight};
use step_observer_tests::program::Program;
use step_observer_tests::secrets;
use step_observer_tests::sink::{HttpSink, Request};
use tokio::process::Child;

/// Upper bound for all cases together on a cluster: images are pulled, and retries wait.
const CLUSTER_PATIENCE: Duration = Duration::from_secs(600);

/// The case whose TaskRun is attacked: it fails, and the attacker's pod succeeds.
const ATTACKED: &str = "b-fail";

type Report = Vec<(&'static str, Verdict)>;

fn all(verdict: &Verdict) -> Report {
    CASES
        .iter()
        .map(|case| (case.name, verdict.clone()))
        .collect()
}

/// The cluster on which the cases run.
struct Target {
    /// File that names the cluster. With `None`, the kubeconfig of the environment is used.
    kubeconfig: Option<PathBuf>,
    /// Another kubeconfig for the observer.
    observed: Option<PathBuf>,
    /// Configuration of the observer.
    config: Option<PathBuf>,
    /// Image with a shell, for the steps.
    image: String,
    /// Foreign pods are created beside the cases.
    attacked: bool,
    patience: Duration,
}

impl Target {
    /// Starts the program, with its log in a file.
    fn observe(&self, namespace: &str, sink: &HttpSink, log: &Path) -> Child {
        let mut command = Program::new();
        command
            .args([
                "run",
                "--to",
                &sink.url,
                "--plugin",
                "bundled:redact-secrets",
            ])
            .args(["--namespace", namespace])
            .stderr(Stdio::from(std::fs::File::create(log).unwrap()));
        if let Some(file) = self.observed.as_ref().or(self.kubeconfig.as_ref()) {
            command.env("KUBECONFIG", file);
        }
        if let Some(file) = &self.config {
            command.arg("--config").arg(file);
        }
        command.spawn().unwrap()
    }
}

fn told(requests: &[Request]) -> Vec<Told> {
    requests.iter().map(Told::read).collect()
}

/// Compares the events of the sink with those that a case must give.
fn verdict(case: &Case, requests: &[Request]) -> Verdict {
    let leaks = requests.iter().any(|request| secrets::leaks(&request.body));
    match case.judge(&told(requests)) {
        Err(why) => Verdict::Failed(why),
        Ok(()) if leaks => Verdict::Failed("a secret came through the redactor".to_owned()),
        Ok(()) => Verdict::Passed,
    }
}

/// Runs all cases on a cluster, in a new namespace, which is always deleted at the end.
async fn run(target: &Target, interrupted: impl Future<Output = ()>) -> Report {
    let client = match connect(target.kubeconfig.as_deref()).await {
        Ok(client) => client,
        Err(why) => return all(&Verdict::NotRun(why)),
    };
    if let Err(why) = preflight(&client).await {
        return all(&Verdict::NotRun(why));
    }
    let cluster = match Cluster::create(client).await {
        Ok(cluster) => cluster,
        Err(why) => return all(&Verdict::NotRun(why)),
    };
    println!("in namespace {}", cluster.namespace);
    let cases = run_in(&cluster, target, interrupted);
    let report = AssertUnwindSafe(cases).catch_unwind().await;
    if let Err(why) = cluster.delete().await {
        println!("{why}");
    }
    report.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

async fn run_in(
    cluster: &Cluster,
    target: &Target,
    interrupted: impl Future<Output = ()>,
) -> Report {
    let sink = HttpSink::start(vec![]).await;
    let folder = tempfile::tempdir().unwrap();
    let _observer = target.observe(&cluster.namespace, &sink, &folder.path().join("log"));
    // Results so far.
    let mut begun: Vec<Result<(), String>> = Vec::new();
    let mut attack: Option<Result<(), String>> = None;
    let running = async {
        for case in &CASES {
            begun.push(cluster.apply(case, &target.image).await);
            if target.attacked && case.name == ATTACKED {
                attack = Some(cluster.attack(case, &target.image).await);
            }
        }
        let applied: Vec<bool> = begun.iter().map(Result::is_ok).collect();
        let theirs = || CASES.iter().zip(&applied).filter(|(_, applied)| **applied);
        let cancelling = CASES.iter().zip(&mut begun).map(|(case, applied)| {
            let sink = &sink;
            async move {
                if applied.is_ok() && case.cancelled_at.is_some() {
                    sink.met(|requests| case.can_be_cancelled(&told(requests)))
                        .await;
                    *applied = cluster.cancel(case).await;
                }
            }
        });
        let complete = sink.met(|requests| {
            let told = told(requests);
            theirs().all(|(case, _)| case.is_complete(&told))
        });
        futures::join!(futures::future::join_all(cancelling), complete);
    };
    let stopped = tokio::select! {
        ended = tokio::time::timeout(target.patience, running) => ended.err().map(|_| "it took too long"),
        () = interrupted => Some("interrupted"),
    };
    let requests = sink.requests();
    let report = CASES.iter().enumerate().map(|(number, case)| {
        let verdict = match begun.get(number) {
            None => Verdict::NotRun(stopped.unwrap_or_default().to_owned()),
            Some(Err(why)) => Verdict::NotRun(why.clone()),
            Some(Ok(())) => match (verdict(case, &requests), stopped) {
                (Verdict::Failed(why), Some(stopped)) => {
                    Verdict::Failed(format!("{why} ({stopped})"))
                }
                (verdict, _) => verdict,
            },
        };
        (case.name, verdict)
    });
    let mut report: Report = report.collect();
    if let Some(attack) = attack {
        let forged = told(&requests);
        let forged = forged.iter().find(|event| event.pod.starts_with(STRANGER));
        let verdict = match (attack, forged) {
            (Err(why), _) => Verdict::NotRun(why),
            (Ok(()), Some(event)) => Verdict::Failed(format!("a stranger's event came: {event:?}")),
            (Ok(()), None) => Verdict::Passed,
        };
        report.push(("strangers", verdict));
    }
    if report
        .iter()
        .any(|(_, verdict)| *verdict != Verdict::Passed)
    {
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        println!("the observer's log:\n{log}");
    }
    report
}

#[tokio::test]
#[ignore = "needs a cluster with Tekton: cargo xtask e2e"]
#[expect(clippy::disallowed_methods, reason = "cargo xtask e2e says it there")]
async fn on_a_cluster() {
    let target = Target {
        kubeconfig: None,
        observed: None,
        config: None,
        attacked: true,
        image: std::env::var("STEP_OBSERVER_E2E_IMAGE").unwrap_or("busybox:1.36".to_owned()),
        patience: CLUSTER_PATIENCE,
    };
    let interrupted = async { drop(tokio::signal::ctrl_c().await) };
    let mut report = run(&target, interrupted).await;
    report.push(known_secrets::report(&target).await);
    for (name, verdict) in &report {
        println!("{name:<16}{verdict}");
    }
    let passed = report
        .iter()
        .filter(|(_, verdict)| *verdict == Verdict::Passed)
        .count();
    assert_eq!(passed, CASES.len() + 2, "not all cases passed");
}
