//! The case `known-secrets` on a cluster, and on the fake API server.

use super::Target;
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use step_observer_tests::admin::get;
use step_observer_tests::e2e::known_secrets::{
    NAME, VALUES, config, create_account, judge, kubeconfig, start_run,
};
use step_observer_tests::e2e::{Cluster, Verdict, connect};
use step_observer_tests::known_secrets::encodings;
use step_observer_tests::program::{Program, send_signal};
use step_observer_tests::sink::HttpSink;

/// Metric that counts the reads of Secrets that the API server has forbidden.
const FORBIDDEN: &str = "step_observer_known_secret_reads_total{outcome=\"forbidden\"} ";

/// Runs the case in two new namespaces, which are always deleted at the end.
pub(super) async fn report(target: &Target) -> (&'static str, Verdict) {
    let client = match connect(target.kubeconfig.as_deref()).await {
        Ok(client) => client,
        Err(why) => return (NAME, Verdict::NotRun(why)),
    };
    let home = match Cluster::create(client.clone()).await {
        Ok(cluster) => cluster,
        Err(why) => return (NAME, Verdict::NotRun(why)),
    };
    let verdict = match Cluster::create(client).await {
        Err(why) => Verdict::NotRun(why),
        Ok(other) => {
            let verdict = run(target, &home, &other).await;
            delete(&other).await;
            verdict
        }
    };
    delete(&home).await;
    (NAME, verdict)
}

async fn delete(cluster: &Cluster) {
    if let Err(why) = cluster.delete().await {
        println!("{why}");
    }
}

/// Returns an address that is free now.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().to_string()
}

async fn run(target: &Target, home: &Cluster, other: &Cluster) -> Verdict {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let sink = HttpSink::start(vec![]).await;
    let observed = target.observed.as_deref().or(target.kubeconfig.as_deref());
    let token = create_account(home, other).await;
    let access = token.and_then(|token| kubeconfig(observed, &token));
    let access = match access {
        Ok(access) => access,
        Err(why) => return Verdict::NotRun(why),
    };
    std::fs::write(file("kubeconfig"), access.to_string()).unwrap();
    let admin = free_address();
    let mut text = config([&home.namespace, &other.namespace], &sink.url, &admin);
    if let Some(more) = &target.config {
        text.push_str(&std::fs::read_to_string(more).unwrap());
    }
    std::fs::write(file("config.yaml"), text).unwrap();
    let mut observer = Program::new()
        .args(["run", "--log", "debug", "--config"])
        .arg(file("config.yaml"))
        .env("KUBECONFIG", file("kubeconfig"))
        .stderr(Stdio::from(std::fs::File::create(file("log")).unwrap()))
        .spawn()
        .unwrap();
    let running = async {
        for cluster in [home, other] {
            start_run(cluster, &target.image).await?;
        }
        sink.met(|requests| requests.len() >= 4).await;
        Ok(get(&admin, "/metrics").await.1)
    };
    let metrics = tokio::time::timeout(target.patience, running).await;
    send_signal("TERM", observer.id().unwrap());
    observer.wait().await.unwrap();
    let log = std::fs::read_to_string(file("log")).unwrap();
    let judged = match metrics {
        Ok(Err(why)) => return Verdict::NotRun(why),
        Ok(Ok(metrics)) => judge_all(&sink, &metrics, &log, home, other),
        Err(_) => Err("it took too long".to_owned()),
    };
    match judged {
        Ok(()) => Verdict::Passed,
        Err(why) => {
            println!("the observer's log:\n{log}");
            Verdict::Failed(why)
        }
    }
}

fn judge_all(
    sink: &HttpSink,
    metrics: &str,
    log: &str,
    home: &Cluster,
    other: &Cluster,
) -> Result<(), String> {
    let requests = sink.requests();
    let bodies = requests.iter().map(|request| &request.body);
    let events: Result<Vec<Value>, _> = bodies.map(|body| serde_json::from_slice(body)).collect();
    let events = events.map_err(|error| error.to_string())?;
    judge(&events, &home.namespace, &other.namespace)?;
    let mut counts = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(FORBIDDEN));
    if !counts.any(|count| count != "0") {
        return Err("the metrics count no forbidden Secret".to_owned());
    }
    let texts = requests
        .iter()
        .map(|request| String::from_utf8_lossy(&request.body));
    for text in texts.chain([metrics.into(), log.into()]) {
        let forms = VALUES.iter().flat_map(|value| encodings(value));
        for (encoding, form) in forms {
            // The last characters of base64 depend on the text that follows the value.
            let form = form.trim_matches('"').trim_end_matches('=');
            let form = &form[..form.len() - 2];
            if text.contains(form) {
                return Err(format!("a value of a Secret came through ({encoding})"));
            }
        }
    }
    Ok(())
}

mod fake {
    use super::super::fake::{Front, target};
    use super::*;
    use serde_json::json;
    use std::sync::{Arc, Mutex};
    use step_observer_tests::api_server::ApiServer;
    use step_observer_tests::e2e::known_secrets::{log, manifests, rights};
    use step_observer_tests::events::finished_run;

    /// Returns Pod and TaskRun of an applied TaskRun, as they are on a cluster after its end.
    fn ended(applied: &Value, namespace: &str, number: usize) -> [Value; 2] {
        let [mut run, mut pod] = <[Value; 2]>::try_from(finished_run(number)).unwrap();
        let task = &applied["spec"]["taskSpec"];
        run["object"]["spec"]["taskSpec"] = task.clone();
        let step = &task["steps"][0];
        let spec = &mut pod["object"]["spec"];
        spec["volumes"] = task["volumes"].clone();
        for member in ["env", "envFrom", "volumeMounts"] {
            spec["containers"][0][member] = step[member].clone();
        }
        spec["containers"][0]["name"] = "step-print".into();
        pod["object"]["status"]["containerStatuses"][0]["name"] = "step-print".into();
        for event in [&mut run, &mut pod] {
            event["object"]["metadata"]["namespace"] = namespace.into();
        }
        [run, pod]
    }

    /// Starts a fake cluster. It runs applied TaskRuns, and grants the rights of applied Roles and
    /// RoleBindings.
    async fn playing(server: Arc<ApiServer>) -> Front {
        let applied: Arc<Mutex<Vec<Value>>> = Arc::default();
        Front::start(move |_, path, body| {
            let (server, applied) = (server.clone(), applied.clone());
            Box::pin(async move {
                if path.ends_with("/token") {
                    return (201, json!({"status": {"token": "a-token"}}));
                }
                let mut parts = path.split('/').skip_while(|part| *part != "namespaces");
                let namespace = parts.nth(1).unwrap().to_owned();
                match body["kind"].as_str().unwrap() {
                    "Role" | "RoleBinding" => {
                        let mut applied = applied.lock().unwrap();
                        applied.push(body.clone());
                        let is_role = |object: &&Value| object["kind"] == "Role";
                        if applied.iter().filter(is_role).count() * 2 == applied.len() {
                            let account = applied.last().unwrap()["subjects"][0].clone();
                            let home = account["namespace"].as_str().unwrap();
                            server.authorise(&applied, &format!("{home}/{NAME}"));
                        }
                    }
                    "Secret" => {
                        let mut secret = body.clone();
                        secret["metadata"]["namespace"] = namespace.into();
                        let texts = secret["stringData"].as_object().unwrap().clone();
                        let data = texts.into_iter().map(|(key, value)| {
                            let encoded = encodings(value.as_str().unwrap()).swap_remove(1).1;
                            (key, Value::from(encoded))
                        });
                        secret["data"] = data.collect::<serde_json::Map<_, _>>().into();
                        server.put(secret);
                    }
                    "TaskRun" => {
                        server.wait_for_watches(4).await;
                        let number = 1 + usize::from(namespace.ends_with("-more"));
                        let [run, pod] = ended(&body, &namespace, number);
                        let name = pod["object"]["metadata"]["name"].as_str().unwrap();
                        server.set_log(&format!("{name}-step-print"), &log());
                        server.play(&run);
                        server.play(&pod);
                    }
                    _ => {}
                }
                (201, json!({}))
            })
        })
        .await
    }

    #[tokio::test]
    async fn the_case_passes_where_rights_are_those_of_deploy() {
        let server = Arc::new(ApiServer::start().await);
        let front = playing(server.clone()).await;
        let folder = tempfile::tempdir().unwrap();
        let more = folder.path().join("more.yaml");
        std::fs::write(&more, "lookBack: 1000000h\n").unwrap();
        let target = Target {
            observed: Some(server.kubeconfig(folder.path())),
            config: Some(more),
            ..target(front.kubeconfig(folder.path()))
        };
        let (_, verdict) = report(&target).await;
        assert_eq!(verdict, Verdict::Passed);
        assert_eq!(front.asked("DELETE /api/v1/namespaces/").len(), 2);
        assert!(
            server
                .denials()
                .iter()
                .any(|denial| denial.contains("secrets"))
        );
    }

    #[test]
    fn a_leak_and_a_text_that_is_not_withheld_are_reported() {
        let event = |namespace: &str, unread: Option<u64>, log: Option<&str>| {
            json!({
                "podRef": {"namespace": namespace}, "unreadSecrets": unread, "log": log,
                "logInfo": {"unavailable": log.is_none().then_some("left out")},
            })
        };
        let masked = Some("raw [redacted:known-value]\n");
        let well = vec![
            event("a", None, None),
            event("a", None, masked),
            event("b", Some(3), None),
            event("b", Some(3), None),
        ];
        assert_eq!(judge(&well, "a", "b"), Ok(()));
        for (place, other) in [
            (1, event("a", None, Some("raw value"))),
            (1, event("a", None, None)),
            (1, event("a", Some(1), masked)),
            (3, event("b", Some(3), masked)),
            (3, event("b", None, None)),
            (3, event("c", Some(3), None)),
        ] {
            let mut events = well.clone();
            events[place] = other;
            assert!(
                judge(&events, "a", "b").is_err(),
                "{place}: {}",
                events[place]
            );
        }
    }

    #[test]
    fn what_is_applied_is_complete_and_accepted() {
        let objects = manifests("an/image:1");
        let (run, secrets) = objects.split_last().unwrap();
        let text = run.to_string();
        for (secret, value) in secrets.iter().zip(VALUES) {
            let name = secret["metadata"]["name"].as_str().unwrap();
            assert!(text.contains(&format!("\"{name}\"")), "{name} is not used");
            assert!(secret["stringData"].to_string().contains(value));
        }
        assert_eq!(secrets.len(), VALUES.len());
        assert!(text.contains("an/image:1") && !text.contains("localhost"));
        let granted = |reads_secrets| {
            let rights = rights("a", "b", reads_secrets);
            rights
                .iter()
                .any(|object| object["rules"].to_string().contains("secrets"))
        };
        assert!(granted(true) && !granted(false));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        let config = config(["a", "b"], "http://127.0.0.1:1/", "127.0.0.1:8082");
        std::fs::write(&file, config).unwrap();
        let mut check = Program::new();
        let checked = check.args(["config", "check"]).arg(&file).run().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{said}");
    }

    #[test]
    fn the_kubeconfig_of_the_observer_has_only_its_token() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        let text = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "mine",
            "clusters": [{"name": "c", "cluster": {"server": "https://c.example"}}],
            "users": [{"name": "me", "user": {"password": "hunter2", "username": "me"}}],
            "contexts": [{"name": "mine", "context": {"cluster": "c", "user": "me"}}]}"#;
        std::fs::write(&file, text).unwrap();
        let config = kubeconfig(Some(Path::new(&file)), "a-token").unwrap();
        assert!(!config.to_string().contains("hunter2"), "{config}");
        let user = json!([{"name": NAME, "user": {"token": "a-token"}}]);
        assert_eq!(config["users"], user);
        assert_eq!(config["contexts"][0]["context"]["cluster"], "c");
        assert_eq!(
            config["clusters"][0]["cluster"]["server"],
            "https://c.example"
        );
    }
}
