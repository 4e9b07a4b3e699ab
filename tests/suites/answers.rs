//! The meaning of every answer of a receiver, as in the table of `host/src/sink/retry_action.rs`,
//! tested with a real server.

use jiff::Timestamp;
use std::process::Stdio;
use std::time::Duration;
use step_observer::event::{Encoded, structured};
use step_observer::sink::{Attempt, HttpConfig, RetryAction, SinkContext, SinkKind};
use step_observer_tests::events::example_event;
use step_observer_tests::journaled::assert_all_in_order;
use step_observer_tests::path;
use step_observer_tests::program::Program;
use step_observer_tests::sink::{Answer, HttpSink, PATIENCE};

/// Statuses after which the event is sent again.
const RETRIED: [u16; 7] = [401, 403, 404, 408, 409, 425, 429];
/// Longest wait that a receiver may request (`retry.maxPauseMs`).
const CAP: Duration = Duration::from_secs(600);

/// Meaning of an answer for the event.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meaning {
    Taken,
    /// Send the event again, not before the requested wait.
    Again(Option<Duration>),
    /// Send nothing to this receiver for this long.
    Pause(Duration),
    /// Send nothing to this receiver for ten minutes.
    Gone,
    /// Never send the event again.
    Refused,
}

fn meaning(attempt: Attempt) -> (Meaning, String) {
    let failure = match attempt {
        Attempt::Failed(failure) => failure,
        Attempt::Delivered => return (Meaning::Taken, String::new()),
        Attempt::Postponed => panic!("nothing was sent"),
    };
    let meaning = match failure.action {
        RetryAction::Retry { after } => Meaning::Again(after),
        RetryAction::Pause { length, .. } => Meaning::Pause(length),
        RetryAction::Suspend => Meaning::Gone,
        RetryAction::Reject => Meaning::Refused,
    };
    (meaning, failure.reason)
}

/// Returns the meaning of each answer, with the reason that is logged.
async fn meanings(answers: Vec<Answer>) -> Vec<(Meaning, String)> {
    let count = answers.len();
    let receiver = HttpSink::start(answers).await;
    let config = HttpConfig::new(receiver.url.clone().try_into().unwrap());
    let event = Encoded::from_structured(structured(&example_event().event).unwrap());
    let mut told = Vec::new();
    for _ in 0..count {
        // Opens a new sink for each answer: a pause that one answer causes must not delay the next
        // request.
        let kind = SinkKind::Http(config.clone().into());
        let sink = kind.open(&mut SinkContext::default()).await.unwrap();
        told.push(meaning(sink.send(&event).await));
    }
    assert_eq!(receiver.requests().len(), count);
    told
}

#[tokio::test]
async fn every_status_has_its_meaning() {
    let answers = (200..=999).map(|status| (status, vec![])).collect();
    for (status, (told, reason)) in (200..=999).zip(meanings(answers).await) {
        let expected = match status {
            200..=299 => Meaning::Taken,
            410 => Meaning::Gone,
            500.. => Meaning::Again(None),
            status if RETRIED.contains(&status) => Meaning::Again(None),
            _ => Meaning::Refused,
        };
        assert_eq!(told, expected, "{status}: {reason}");
        let said = reason.starts_with(&status.to_string());
        assert_eq!(said, told != Meaning::Taken, "{status}: {reason}");
    }
}

#[tokio::test]
async fn a_receiver_may_ask_for_a_wait_in_seconds_or_until_a_date() {
    #[expect(
        clippy::disallowed_methods,
        reason = "dates are compared with the clock"
    )]
    let now = Timestamp::now();
    let date = |seconds: i64| {
        let at = Timestamp::from_second(now.as_second() + seconds).unwrap();
        at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    };
    for (header, expected) in [
        ("0".to_owned(), Some(Duration::ZERO)),
        ("1".to_owned(), Some(Duration::from_secs(1))),
        (" 59 ".to_owned(), Some(Duration::from_secs(59))),
        ("61".to_owned(), Some(Duration::from_secs(61))),
        ("601".to_owned(), Some(CAP)),
        (u64::MAX.to_string(), Some(CAP)),
        ("99999999999999999999999".to_owned(), Some(CAP)),
        (date(-3600), Some(Duration::ZERO)),
        (date(3600), Some(CAP)),
        // The two older formats of a date, which every recipient must accept (RFC 9110 §5.6.7).
        (
            "Sunday, 06-Nov-94 08:49:37 GMT".to_owned(),
            Some(Duration::ZERO),
        ),
        ("Sun Nov  6 08:49:37 1994".to_owned(), Some(Duration::ZERO)),
        ("soon".to_owned(), None),
        ("-1".to_owned(), None),
        ("1.5".to_owned(), None),
        ("+5".to_owned(), None),
        (String::new(), None),
    ] {
        let answers = [429, 503].map(|status| (status, vec![("retry-after", header.clone())]));
        let meaning = match expected {
            Some(length) if !length.is_zero() => Meaning::Pause(length),
            expected => Meaning::Again(expected),
        };
        for (told, _) in meanings(answers.to_vec()).await {
            assert_eq!(told, meaning, "{header}");
        }
        // With any other status, `Retry-After` delays only its own event, or is ignored.
        for (status, meaning) in [
            (202, Meaning::Taken),
            (400, Meaning::Refused),
            (404, Meaning::Again(expected)),
            (408, Meaning::Again(expected)),
            (502, Meaning::Again(expected)),
        ] {
            let answers = vec![(status, vec![("retry-after", header.clone())])];
            let (told, _) = meanings(answers).await.remove(0);
            assert_eq!(told, meaning, "{status}, {header}");
        }
    }
    // The date is half a minute ahead; the wait is shorter by the time that the test has taken so
    // far.
    let answers = vec![(503, vec![("retry-after", date(30))])];
    let (told, _) = meanings(answers).await.remove(0);
    let Meaning::Pause(after) = told else {
        panic!("{told:?}");
    };
    assert!(
        after <= Duration::from_secs(30) && !after.is_zero(),
        "{after:?}"
    );
}

#[tokio::test]
async fn an_event_is_tried_until_it_is_taken_with_the_same_id_and_bytes() {
    let wait = |text: &str| vec![("retry-after", text.to_owned())];
    let mut script: Vec<Answer> = RETRIED.iter().map(|status| (*status, vec![])).collect();
    script
        .extend([500, 501, 502, 503, 504, 505, 507, 511, 599, 600].map(|status| (status, vec![])));
    script.push((503, wait("0")));
    script.push((429, wait("Sun, 06 Nov 1994 08:49:37 GMT")));
    script.push((503, wait("1")));
    let tries = script.len() + 1;
    let sink = HttpSink::start(script).await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    let text = format!(
        "sinks: [{{name: all, to: {{http: {{url: '{}'}}}}, retry: {{initialMs: 1, maxMs: 2}}}}]\n",
        sink.url
    );
    std::fs::write(&config, text).unwrap();
    let observer = Program::new()
        .arg("replay")
        .arg(path("recordings/a-success.jsonl"))
        .args(["--log", "warn", "--config"])
        .arg(&config)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let done = tokio::time::timeout(PATIENCE, observer.wait_with_output()).await;
    let output = done.expect("it does not end").unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    // All events are of one run, so none is sent before the first is delivered.
    let requests = sink.requests();
    assert_eq!(requests.len(), tries + 5);
    for request in &requests[1..tries] {
        assert_eq!(request.headers, requests[0].headers);
        assert_eq!(request.body, requests[0].body);
    }
    let waits = log.lines().filter(|line| line.contains("delay=1s"));
    assert_eq!(waits.count(), 1, "{log}");
    assert_eq!(assert_all_in_order(&requests, 1), 0);
}
