//! A kill of the observer loses no event, and repeated events have the same bytes.
use std::collections::HashSet;
use std::path::Path;
use std::process::Stdio;
use step_observer::step::StepRecord;
use step_observer_tests::admin::{admin_address, get, get_until};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::available;
use step_observer_tests::journaled::{
    assert_all_in_order, dead_letters, journaled_observer, show_ended_runs,
};
use step_observer_tests::load::Numbers;
use step_observer_tests::observer::Observer;
use step_observer_tests::path;
use step_observer_tests::peer::mount_namespace;
use step_observer_tests::program::Program;
use step_observer_tests::recording::{changes, copies, is_pod, recordings, track, watch_events};
use step_observer_tests::sink::{Answer, HttpSink, Request};
use tokio::process::Command;

/// Returns the numbers of runs and kills: from the environment variable, such as `2000x200`, or
/// small ones by default.
fn size() -> (usize, usize) {
    #[expect(clippy::disallowed_methods, reason = "who wants more asks for it")]
    let asked = std::env::var("STEP_OBSERVER_KILL_LOOP").unwrap_or_else(|_| "150x15".to_owned());
    let (runs, kills) = asked.split_once('x').unwrap();
    (runs.parse().unwrap(), kills.parse().unwrap())
}

/// Returns answers; every third is a failure.
fn failing(requests: usize) -> Vec<Answer> {
    let answer = |number| if number % 3 == 2 { 503 } else { 202 };
    (0..requests)
        .map(|number| (answer(number), Vec::new()))
        .collect()
}

#[tokio::test]
async fn killed_at_any_moment_it_loses_nothing() {
    let (runs, kills) = size();
    let events = runs * 6;
    let server = ApiServer::start().await;
    let sink = HttpSink::start(failing(events * 2)).await;
    show_ended_runs(&server, runs);
    let folder = tempfile::tempdir().unwrap();
    let mut numbers = Numbers(0x5eed);
    let step = 2 * events * 3 / 2 / (kills + 1);
    let mut killed = 0;
    while killed < kills && ids(&sink.accepted()).len() < events {
        let mut observer = journaled_observer(&server, &sink.url, folder.path())
            .spawn()
            .unwrap();
        let enough = sink.requests().len() + numbers.below(step) + 1;
        // Near the end there may be fewer events left.
        let is_over = |requests: &[Request]| requests.len() >= enough || has_all(requests, events);
        sink.wait_until(is_over).await;
        observer.kill().await.unwrap();
        killed += 1;
    }
    let mut last = journaled_observer(&server, &sink.url, folder.path())
        .spawn()
        .unwrap();
    sink.wait_until(|requests| has_all(requests, events)).await;
    last.kill().await.unwrap();
    let twice = assert_all_in_order(&sink.requests(), runs);
    let requests = sink.requests().len();
    #[expect(clippy::print_stdout, reason = "the figures of the README")]
    {
        println!("{runs} runs, {killed} kills, {requests} requests, {twice} events came twice");
    }
    assert!(
        killed * 2 > kills,
        "{killed} kills: too few to prove anything"
    );
}

/// Returns true if the accepted events, without repetitions, are exactly `events`.
fn has_all(requests: &[Request], events: usize) -> bool {
    let accepted = requests
        .iter()
        .filter(|request| request.status.is_success());
    // Duplicates are only worth checking if there are enough requests.
    accepted.clone().count() >= events
        && accepted
            .map(|request| request.header("ce-id"))
            .collect::<HashSet<_>>()
            .len()
            == events
}

fn ids(requests: &[Request]) -> HashSet<&str> {
    requests
        .iter()
        .map(|request| request.header("ce-id"))
        .collect()
}

/// Starts a replay of three steps into a sink, with a journal.
fn replay(sink: &str, folder: &Path, give_up: &str) -> Program {
    let mut command = Program::new();
    command
        .arg("replay")
        .arg(path("recordings/a-success.jsonl"))
        .args(["--to", sink, "--give-up", give_up, "--journal"])
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn a_replay_resumes_and_emits_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let sink = HttpSink::start(vec![(503, Vec::new()); 3]).await;
    let mut first = replay(&sink.url, folder.path(), "60").spawn().unwrap();
    sink.wait_for(2).await;
    first.kill().await.unwrap();
    let second = replay(&sink.url, folder.path(), "60")
        .output()
        .await
        .unwrap();
    assert!(
        second.status.success(),
        "{}",
        String::from_utf8_lossy(&second.stderr)
    );
    assert_eq!(assert_all_in_order(&sink.requests(), 1), 0);
    let before = sink.requests().len();
    let third = replay(&sink.url, folder.path(), "60")
        .output()
        .await
        .unwrap();
    assert!(third.status.success());
    assert_eq!(sink.requests().len(), before, "all was told");
}

#[tokio::test]
async fn the_backlog_of_a_removed_sink_becomes_dead_letters() {
    let folder = tempfile::tempdir().unwrap();
    let sink = HttpSink::start(vec![(503, Vec::new()); 1000]).await;
    let mut first = replay(&sink.url, folder.path(), "600").spawn().unwrap();
    sink.wait_for(1).await;
    first.kill().await.unwrap();
    let mut elsewhere = replay("stdout", folder.path(), "60");
    let output = elsewhere.args(["--log", "warn"]).output().await.unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(
        log.contains("this sink is not configured any more"),
        "{log}"
    );
    assert!(output.status.success(), "{log}");
}

#[tokio::test]
async fn a_damaged_journal_stops_the_observer_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let sink = HttpSink::start(Vec::new()).await;
    let done = replay(&sink.url, folder.path(), "60")
        .output()
        .await
        .unwrap();
    assert!(done.status.success());
    let segment = folder.path().join("000000000000.journal");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let refused = replay(&sink.url, folder.path(), "60")
        .output()
        .await
        .unwrap();
    assert!(!refused.status.success());
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        error.contains("the journal is damaged") && error.contains("move the folder away"),
        "{error}"
    );
    assert_eq!(
        std::fs::read(&segment).unwrap(),
        bytes,
        "nothing was changed"
    );
}

#[tokio::test]
async fn dead_letters_are_listed_shown_sent_again_and_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (found, text) = dead_letters(&["list"], &folder.join("nowhere")).await;
    assert!(!found && text.contains("there is no journal in"), "{text}");
    // Three are refused, three are accepted.
    let refused = vec![(400, Vec::new()); 3];
    let sink = HttpSink::start(refused).await;
    let done = replay(&sink.url, folder, "60").output().await.unwrap();
    assert!(!done.status.success());

    let (_, list) = dead_letters(&["list", "--json"], folder).await;
    let letters: Vec<serde_json::Value> = list
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(letters.len(), 3, "{list}");
    assert_eq!(letters[0]["reason"], "400 Bad Request");
    assert_eq!(letters[0]["attempts"], 1);
    let first = letters[0]["letter"].as_str().unwrap();
    let (_, table) = dead_letters(&["list"], folder).await;
    assert!(
        table.contains(first) && table.contains("400 Bad Request"),
        "{table}"
    );
    let (_, shown) = dead_letters(&["show", first], folder).await;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["event"]["id"], letters[0]["id"]);

    let second = letters[1]["letter"].as_str().unwrap();
    let (_, dropped) = dead_letters(&["drop", second], folder).await;
    assert_eq!(dropped, "1 dead letters are dropped\n");
    let (found, _) = dead_letters(&["drop", second], folder).await;
    assert!(!found, "it is gone");
    let (_, elsewhere) = dead_letters(&["replay", "--all", "--to", "masked"], folder).await;
    assert!(
        elsewhere.contains("only a running observer knows"),
        "{elsewhere}"
    );
    let (_, again) = dead_letters(&["replay", "--all"], folder).await;
    assert_eq!(again, "2 dead letters are sent again\n");
    assert_eq!(dead_letters(&["list"], folder).await.1, "no dead letters\n");
    // No process uses the journal, so the dead letters are sent at the next start.
    let done = replay(&sink.url, folder, "60").output().await.unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let accepted = sink.accepted();
    assert_eq!(accepted.len(), 5);
    let first_try = &sink.requests()[0];
    let same = accepted
        .iter()
        .find(|request| request.header("ce-id") == first_try.header("ce-id"));
    let same = same.unwrap();
    assert_eq!(same.body, first_try.body);
    assert_eq!(same.header("ce-time"), first_try.header("ce-time"));
}

#[tokio::test]
async fn the_observer_that_uses_the_journal_is_asked() {
    let server = ApiServer::start().await;
    let sink = HttpSink::start(vec![(400, Vec::new()); 6]).await;
    show_ended_runs(&server, 1);
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let _observer = journaled_observer(&server, &sink.url, folder.path())
        .spawn()
        .unwrap();
    sink.wait_for(6).await;
    let (_, nowhere) = dead_letters(&["replay", "--all", "--to", "nowhere"], &journal).await;
    assert!(
        nowhere.contains("dead letters cannot be sent to `nowhere`"),
        "{nowhere}"
    );
    // The last dead letters may not be in the journal yet.
    let mut sent = 0;
    while sent < 6 {
        let (some, text) = dead_letters(&["replay", "--sink", "all"], &journal).await;
        let count = text.split(' ').next().unwrap().parse::<usize>();
        sent += if some { count.unwrap() } else { 0 };
    }
    sink.wait_for(12).await;
    assert_eq!(assert_all_in_order(&sink.requests(), 1), 0);
}

#[tokio::test]
async fn a_sink_that_is_down_holds_no_other_and_gets_everything_in_order_later() {
    let server = ApiServer::start().await;
    let (well, down) = (
        HttpSink::start(vec![]).await,
        HttpSink::start(failing_all(60)).await,
    );
    let runs = 100;
    show_ended_runs(&server, runs);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    let retry = "retry: {initialMs: 20, maxMs: 20}";
    let sink = |name: &str, url: &str| {
        format!("{{name: {name}, to: {{http: {{url: '{url}'}}}}, {retry}}}")
    };
    std::fs::write(
        &config,
        format!(
            "lookBack: 1000000h\nsinks: [{}, {}]\n",
            sink("well", &well.url),
            sink("down", &down.url)
        ),
    )
    .unwrap();
    let mut observer = Program::new()
        .args([
            "run",
            "--log",
            "error,step_observer::admin=info",
            "--admin",
            "127.0.0.1:0",
        ])
        .arg("--config")
        .arg(&config)
        .env("KUBECONFIG", server.kubeconfig(folder.path()))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = tokio::io::BufReader::new(observer.stderr.take().unwrap());
    let mut stderr = tokio::io::AsyncBufReadExt::lines(stderr);
    let line = stderr.next_line().await.unwrap().unwrap();
    let address = line.split("address=").nth(1).unwrap().trim().to_owned();
    well.wait_for(runs * 6).await;
    assert!(down.unused_answers() > 0, "it is still down");
    let (status, metrics) = get(&address, "/metrics").await;
    assert_eq!(status, 200);
    assert!(
        metrics.contains("step_observer_sink_waiting{sink=\"down\"}"),
        "{metrics}"
    );
    assert!(
        metrics.contains("step_observer_sink_failed_attempts_total{sink=\"down\"}"),
        "{metrics}"
    );
    let (_, sinks) = get(&address, "/sinks").await;
    let sinks: serde_json::Value = serde_json::from_str(&sinks).unwrap();
    assert_eq!(sinks["sinks"][1]["name"], "down");
    assert!(
        sinks["sinks"][1]["waiting"].as_u64().unwrap() > 0,
        "{sinks}"
    );
    down.wait_for(runs * 6 + 60).await;
    assert_eq!(assert_all_in_order(&well.requests(), runs), 0);
    assert_eq!(assert_all_in_order(&down.requests(), runs), 0);
}

fn failing_all(requests: usize) -> Vec<Answer> {
    vec![(503, Vec::new()); requests]
}

/// Runs the observer in its own mount namespace, with the journal on a file system of 256 KiB that
/// can be enlarged.
#[tokio::test]
async fn a_full_disk_makes_everything_wait_and_loses_nothing() {
    let namespaces = available!(mount_namespace());
    let (folder, runs) = (tempfile::tempdir().unwrap(), 60);
    // Down until the disk is full.
    let sink = HttpSink::start(failing_all(100)).await;
    let server = ApiServer::start().await;
    show_ended_runs(&server, runs);
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let config = folder.path().join("config.yaml");
    let retry = "retry: {initialMs: 20, maxMs: 20}";
    let text = format!(
        "lookBack: 1000000h\nsinks: [{{name: all, to: {{http: {{url: '{}'}}}}, {retry}}}]\n",
        sink.url
    );
    std::fs::write(&config, text).unwrap();
    let script = "mount -t tmpfs -o size=256k none \"$1\" && \
        { \"$0\" run --log warn --config \"$2\" --journal \"$1\" & } && \
        read grow && mount -o remount,size=64m \"$1\" && read stop; kill $!";
    let mut shell = Command::new("unshare")
        .args(namespaces)
        .args(["sh", "-c", script])
        .args([&Program::path(), &disk, &config])
        .env("KUBECONFIG", server.kubeconfig(folder.path()))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let stderr = tokio::io::BufReader::new(shell.stderr.take().unwrap());
    let mut log = tokio::io::AsyncBufReadExt::lines(stderr);
    loop {
        let line = log
            .next_line()
            .await
            .unwrap()
            .expect("user namespaces are needed for this test");
        if line.contains("the journal's disk is full") {
            break;
        }
    }
    // Accepted events are delivered, although the acknowledgement cannot be written.
    sink.wait_until(|requests| {
        let accepted = requests
            .iter()
            .filter(|request| request.status.is_success());
        accepted.count() >= 60
    })
    .await;
    assert!(ids(&sink.accepted()).len() < runs * 6);
    let mut stdin = shell.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stdin, b"grow\n")
        .await
        .unwrap();
    sink.wait_for(100 + runs * 6).await;
    assert_eq!(assert_all_in_order(&sink.requests(), runs), 0);
    tokio::io::AsyncWriteExt::write_all(&mut stdin, b"stop\n")
        .await
        .unwrap();
    let seen = log.next_line().await.unwrap();
    assert!(seen.is_none_or(|line| !line.contains("ERROR")));
}

#[tokio::test]
async fn a_namespace_that_is_not_watched_for_a_while_emits_nothing_again() {
    let server = ApiServer::start().await;
    let sink = HttpSink::start(vec![]).await;
    show_ended_runs(&server, 2);
    let folder = tempfile::tempdir().unwrap();
    let observe = |arguments: &[&str]| {
        let config = folder.path().join("config.yaml");
        std::fs::write(&config, "lookBack: 1000000h\nshutdownGrace: 5s\n").unwrap();
        Program::new()
            .args(["run", "--log", "error", "--to", &sink.url, "--config"])
            .arg(&config)
            .args(arguments)
            .arg("--journal")
            .arg(folder.path().join("journal"))
            .env("KUBECONFIG", server.kubeconfig(folder.path()))
            .spawn()
            .unwrap()
    };
    let mut watches = 2;
    for arguments in [&[][..], &["--namespace", "elsewhere"], &[], &[]] {
        let mut observer = observe(arguments);
        server.wait_for_watches(watches).await;
        sink.wait_for(12).await;
        watches += 2;
        // Stops the observer with SIGTERM, so that it still delivers the events that it has.
        let pid = observer.id().unwrap().to_string();
        assert!(
            Command::new("kill")
                .arg(pid)
                .status()
                .await
                .unwrap()
                .success()
        );
        assert!(observer.wait().await.unwrap().success());
        assert_eq!(assert_all_in_order(&sink.requests(), 2), 0, "{arguments:?}");
    }
}

#[tokio::test]
async fn runs_whose_pods_are_gone_after_a_restart_emit_nothing_again() {
    let server = ApiServer::start().await;
    let sink = HttpSink::start(vec![]).await;
    let folder = tempfile::tempdir().unwrap();
    let (mut expected, mut known, mut derived) = (0, HashSet::new(), Vec::new());
    let journal = folder.path().to_str().unwrap();
    let arguments = ["--journal", journal, "--admin", "127.0.0.1:0"];
    let first = Observer::start(&server, &sink, &arguments);
    server.wait_for_watches(2).await;
    let mut pods = Vec::new();
    for name in recordings() {
        let events = watch_events(&name);
        for event in &events {
            server.play(event);
        }
        let records = track(changes(&events));
        expected += records.len();
        let name_of = |record: &StepRecord| record.transition.name();
        known.extend(records.iter().map(name_of));
        let (of_pods, of_task_runs): (Vec<_>, Vec<_>) = events.into_iter().partition(is_pod);
        pods.extend(of_pods);
        derived.extend(track(changes(&of_task_runs)).iter().map(name_of));
    }
    sink.wait_for(expected).await;
    // A stop, not a kill: the acknowledgements of the last deliveries are in the journal, too.
    assert_eq!(first.stop().await.0, Some(0));
    for pod in pods {
        server.delete(pod["object"].clone());
    }

    let mut second = Observer::start(&server, &sink, &arguments);
    let admin = admin_address(&mut second).await;
    let suppressed = format!("\"toldBefore\":{}", derived.len());
    let is_done = |_, body: &str| body.contains(&suppressed) || sink.requests().len() > expected;
    get_until(&admin, "/status", is_done).await;
    let (code, log) = second.stop().await;
    assert_eq!(code, Some(0), "{log}");
    derived.retain(|name| !known.contains(name));
    assert_eq!(
        derived,
        Vec::<String>::new(),
        "derived from the TaskRun alone"
    );
    assert_eq!(sink.requests().len(), expected);
}

#[tokio::test]
async fn a_thousand_dead_letters_are_sent_again_in_order() {
    const RUNS: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let sink = HttpSink::start(vec![(400, Vec::new()); RUNS * 6]).await;
    let recording = folder.join("runs.jsonl");
    std::fs::write(
        &recording,
        copies(&watch_events("a-success"), RUNS).join("\n"),
    )
    .unwrap();
    let replay = || {
        let mut command = Program::new();
        command
            .arg("replay")
            .arg(&recording)
            .args(["--log", "off", "--to", &sink.url]);
        command.arg("--journal").arg(folder.join("journal"));
        command
    };
    replay().output().await.unwrap();
    let (_, again) = dead_letters(&["replay", "--all"], &folder.join("journal")).await;
    assert_eq!(again, "1200 dead letters are sent again\n");
    let done = replay().output().await.unwrap();
    assert!(done.status.success());
    assert_eq!(assert_all_in_order(&sink.requests(), RUNS), 0, "each once");
}
