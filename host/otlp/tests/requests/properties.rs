//! Promises that hold for all batches and all events.

use crate::kit::{bytes, event, records, requests, spans, translator};
use proptest::prelude::*;
use serde_json::{Value, json};
use step_observer_otlp::{Encoding, LogMode, MAX_BODY_BYTES, MAX_RECORDS, Outcome, Requests};

fn check_bounds(requests: &Requests) -> Result<(), TestCaseError> {
    for request in requests.traces.iter().chain(&requests.logs) {
        let is_alone = request.events.len() == 1;
        prop_assert!(request.records <= MAX_RECORDS);
        prop_assert!(request.body.len() <= MAX_BODY_BYTES || is_alone);
        prop_assert!(request.events.is_sorted());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Sizes are such that batches reach both bounds.
    #[test]
    fn requests_are_within_the_bounds_and_lose_nothing(
        events in proptest::collection::vec(
            (0..6_usize, prop_oneof![(0..300_usize, 0..9_usize), (0..90_usize, 0..3000_usize)]),
            1..16,
        ),
        is_json: bool,
    ) {
        let translator = translator(|options| options.log = LogMode::Lines { max_records: MAX_RECORDS });
        let made: Vec<Value> = events.iter().enumerate().map(|(number, (run, (lines, length)))| {
            let mut made = event();
            made["data"]["pipelineRunUID"] = format!("run {run}").into();
            made["data"]["podUID"] = format!("pod {number}").into();
            made["data"]["log"] = format!("{}\n", "é".repeat(*length)).repeat(*lines).into();
            made
        }).collect();
        let encoding = if is_json { Encoding::Json } else { Encoding::Protobuf };
        let requests = translator.requests(&bytes(&made), encoding).unwrap();
        check_bounds(&requests)?;
        let sent: usize = requests.logs.iter().map(|request| request.records).sum();
let expected: usize = events.iter().map(|(_, (lines, _))| lines).sum();
        prop_assert_eq!(sent, expected);
        let in_requests: Vec<usize> = requests.traces.iter().flat_map(|request| request.events.clone()).collect();
        prop_assert_eq!(in_requests, (0..made.len()).collect::<Vec<_>>());
        let with_logs: usize = requests.logs.iter().map(|request| request.events.len()).sum();
        let outcomes = requests.outcomes.iter();
        let logging = outcomes.filter(|outcome| matches!(outcome, Outcome::Exported { log_records } if *log_records > 0));
        prop_assert_eq!(with_logs, logging.count());
        prop_assert_eq!(&translator.requests(&bytes(&made), encoding).unwrap(), &requests);
    }

    /// Short events: as many as fit.
    #[test]
    fn many_short_events_fill_requests(count in 513..1100_usize, runs in 1..900_usize) {
        let made: Vec<Value> = (0..count).map(|number| {
            let mut made = event();
            made["data"]["pipelineRunUID"] = format!("run {}", number % runs).into();
            made
        }).collect();
        let requests = translator(|_| ()).requests(&bytes(&made), Encoding::Protobuf).unwrap();
        check_bounds(&requests)?;
        prop_assert_eq!(requests.traces.len(), count.div_ceil(MAX_RECORDS));
    }

    /// A plugin may have replaced any member of the data by any value.
    #[test]
    fn whatever_plugins_did_the_event_has_a_span(changes in proptest::collection::vec((0..40_usize, 0..8_usize), 0..12)) {
        let mut event = event();
        let paths: Vec<String> = paths(&event["data"], "/data");
        let values = [json!(null), json!([]), json!({}), json!(7), json!(-1.5), json!("\0é"), json!(true), json!({"name": [{}]})];
        for (path, value) in changes {
            if let Some(member) = event.pointer_mut(&paths[path % paths.len()]) {
                *member = values[value].clone();
            }
        }
        let requests = requests(&translator(|_| ()), &[event]);
        let is_exported = matches!(requests.outcomes[..], [Outcome::Exported { .. }]);
        prop_assert!(is_exported);
        let spans = spans(&requests);
        prop_assert_eq!(spans.len(), 1);
        let id = |name: &str| spans[0][name].as_str().unwrap().to_owned();
        prop_assert!(id("traceId").len() == 32 && id("traceId") != "0".repeat(32));
        prop_assert!(id("spanId").len() == 16 && id("spanId") != "0".repeat(16));
        let time = |name: &str| id(name).parse::<u64>().unwrap();
        prop_assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"));
    }

    #[test]
    fn any_bytes_have_an_outcome(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in "\\PC{0,40}") {
        let requests = translator(|_| ()).requests(&[&bytes[..], text.as_bytes()], Encoding::Protobuf).unwrap();
        prop_assert_eq!(requests.outcomes.len(), 2);
    }

    #[test]
    fn no_escape_code_leaves_in_a_log_record(log in "([a-z\n]|\u{1b}|\u{1b}\\[31m|\u{9b}0m){0,40}", max_records in 1..5_usize) {
        let mut event = event();
        event["data"]["log"] = log.into();
        let requests = requests(&translator(|options| options.log = LogMode::Lines { max_records }), &[event]);
        let records = records(&requests);
        prop_assert!(records.len() <= max_records);
        for record in records {
            let body = record["body"]["stringValue"].as_str().unwrap();
            prop_assert_eq!(body.find(['\u{1b}', '\u{9b}']), None);
        }
    }
}

/// JSON Pointers of all members.
fn paths(value: &Value, at: &str) -> Vec<String> {
    let mut all = vec![at.to_owned()];
    for (name, member) in value.as_object().into_iter().flatten() {
        let name = name.replace('~', "~0").replace('/', "~1");
        all.extend(paths(member, &format!("{at}/{name}")));
    }
    all
}
