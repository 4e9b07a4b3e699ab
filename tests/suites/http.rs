//! Requests of an HTTP sink, and its answers.

use std::path::Path;
use std::process::Stdio;
use step_observer_tests::path;
use step_observer_tests::program::Program;
use step_observer_tests::sink::HttpSink;
use step_observer_tests::tls::Authority;
use tokio::process::Child;

/// Starts a replay of three steps with six events to a configured sink.
fn replay(folder: &Path, http: &str) -> Child {
    let config = folder.join("config.yaml");
    let text = format!("sinks: [{{name: all, to: {{http: {http}}}, retry: {{initialMs: 1}}}}]\n");
    std::fs::write(&config, text).unwrap();
    Program::new()
        .arg("replay")
        .arg(path("recordings/a-success.jsonl"))
        .args(["--log", "info", "--config"])
        .arg(&config)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn a_token_that_has_run_out_is_read_again_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "first-token\n").unwrap();
    // One event is delayed until the token has changed.
    let slow = vec![("retry-after", "1".to_owned())];
    let sink = HttpSink::start(vec![(202, vec![]), (503, slow), (401, vec![])]).await;
    let http = format!(
        "{{url: '{}', auth: {{bearer: {{tokenFile: '{}'}}}}}}",
        sink.url,
        token.display()
    );
    let observer = replay(folder.path(), &http);
    sink.wait_for(2).await;
    assert_eq!(
        sink.requests()[0].header("authorization"),
        "Bearer first-token"
    );
    std::fs::write(&token, "second-token\n").unwrap();
    let output = observer.wait_with_output().await.unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    assert!(!log.contains("-token"), "{log}");
    assert_eq!(sink.accepted().len(), 6);
    assert_eq!(
        sink.requests()[2].header("authorization"),
        "Bearer first-token"
    );
    assert_eq!(
        sink.requests()[3].header("authorization"),
        "Bearer second-token"
    );
}

#[tokio::test]
async fn a_sink_can_authenticate_with_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "pass word\n").unwrap();
    let sink = HttpSink::start(vec![]).await;
    let http = format!(
        "{{url: '{}', auth: {{basic: {{user: ci, passwordFile: '{}'}}}}}}",
        sink.url,
        password.display()
    );
    assert!(replay(folder.path(), &http).wait().await.unwrap().success());
    // ci:pass word
    assert_eq!(
        sink.requests()[0].header("authorization"),
        "Basic Y2k6cGFzcyB3b3Jk"
    );

    for (wrong, expected) in [
        (
            http.replace("user: ci", "user: 'c:i'"),
            "must not hold a colon",
        ),
        (http.replace("password'", "nothing'"), "failed to read"),
        (
            http.replace(
                "{url",
                "{headers: [{name: authorization, fromEnv: HOME}], url",
            ),
            "`auth` sets it already",
        ),
    ] {
        let output = replay(folder.path(), &wrong)
            .wait_with_output()
            .await
            .unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && log.contains(expected), "{log}");
    }
}

#[tokio::test]
async fn a_receiver_that_is_gone_for_good_gets_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let sink = HttpSink::start(vec![(410, vec![])]).await;
    let mut observer = replay(folder.path(), &format!("{{url: '{}'}}", sink.url));
    let mut stderr = tokio::io::BufReader::new(observer.stderr.take().unwrap());
    let mut log = String::new();
    while !log.contains("the sink says that it is gone for good") {
        let read = tokio::io::AsyncBufReadExt::read_line(&mut stderr, &mut log)
            .await
            .unwrap();
        assert!(read > 0, "{log}");
    }
    assert_eq!(sink.requests().len(), 1);
    observer.kill().await.unwrap();
}

#[tokio::test]
async fn tls_with_an_own_authority_and_a_certificate_of_the_observer() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, other) = (Authority::default(), Authority::default());
    let sink = HttpSink::start_tls(vec![], authority.server()).await;
    let write = |name: &str, text: String| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let (certificate, key) = authority.sign("observer");
    let ca = write("ca.pem", authority.pem());
    let wrong_ca = write("wrong.pem", other.pem());
    let certificate = write("tls.crt", certificate.pem());
    let key = write("tls.key", key.serialize_pem());
    let tls = |ca: &str| {
        format!("tls: {{caFile: '{ca}', certificateFile: '{certificate}', keyFile: '{key}'}}")
    };
    let http = |tls: &str| format!("{{url: '{}', {tls}}}", sink.url);
    let good = replay(folder.path(), &http(&tls(&ca)))
        .wait_with_output()
        .await
        .unwrap();
    assert!(
        good.status.success(),
        "{}",
        String::from_utf8_lossy(&good.stderr)
    );
    assert_eq!(sink.requests().len(), 6);

    for (wrong, expected) in [
        (tls(&wrong_ca), "invalid peer certificate"),
        (format!("tls: {{caFile: '{ca}'}}"), "delivery failed"),
        (format!("tls: {{caFile: '{key}'}}"), "caFile"),
        (format!("tls: {{keyFile: '{key}'}}"), "belong together"),
    ] {
        let mut observer = replay(folder.path(), &http(&wrong));
        let mut stderr = tokio::io::BufReader::new(observer.stderr.take().unwrap());
        let mut log = String::new();
        while !log.contains(expected) {
            let read = tokio::io::AsyncBufReadExt::read_line(&mut stderr, &mut log);
            assert!(read.await.unwrap() > 0, "{expected}: {log}");
        }
        assert!(!log.contains("BEGIN"), "{log}");
        observer.kill().await.unwrap();
    }
    assert_eq!(sink.requests().len(), 6, "nothing more came");
}
