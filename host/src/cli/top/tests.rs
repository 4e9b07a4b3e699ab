//! Tests of the model and of what is drawn.

use super::draw::draw;
use super::model::{Action, Connection, Model, Pane};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use jiff::SignedDuration;
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use serde_json::{Value, json};
use std::time::Duration;
use step_observer::observer_client::StreamItem;

fn snapshot(value: Value) -> StreamItem {
    StreamItem::Snapshot(serde_json::from_value(value).unwrap())
}

fn change(value: Value) -> StreamItem {
    StreamItem::Change(serde_json::from_value(value).unwrap())
}

fn status(value: Value) -> StreamItem {
    StreamItem::Status(serde_json::from_value(value).unwrap())
}

/// A table of two runs and a status.
fn model(size: (u16, u16)) -> Model {
    let mut model = Model::new("http://127.0.0.1:8082", true, size);
    let step = |key: &str, state: &str, exit: i64, reason: &str| {
        json!({"key": key, "name": key, "state": state, "startedAt": "2026-11-22T13:00:00Z", "endedAt": "2026-11-22T13:00:02.9Z",
               "exitCode": exit, "reason": reason})
    };
    model.take(snapshot(json!({
        "process": "a", "startedAt": "2026-11-22T12:00:00Z", "now": "2026-11-22T13:00:05Z",
        "runs": [
            {"uid": "1", "namespace": "ci", "taskRun": "shop-web-7-release", "pipelineRun": "shop-web-7", "pipelineTask": "release",
             "steps": [step("build", "succeeded", 0, "Completed"), step("sign", "failed", 4, "Error")]},
            {"uid": "2", "namespace": "dev", "taskRun": "lint", "deleted": true,
             "steps": [{"key": "k", "name": "check", "state": "running", "startedAt": "2026-11-22T13:00:01Z"}, {"key": "w", "name": "later", "state": "waiting"}]},
        ],
    })));
    model.take(status(json!({
        "version": "0.1.0", "ready": true, "residentBytes": 47_290_777, "runsTracked": 12, "now": "2026-11-22T13:00:05Z",
        "plugins": [
            {"name": "redact", "state": "loaded", "counts": {"calls": 200, "dropped": 3, "failed": {"trap": 1, "timeout": 1}, "seconds": 0.5}},
            {"name": "broken", "state": "rejected", "refused": {"reason": "no export"}},
        ],
        "journal": {"bytes": 0, "sinks": [
            {"name": "broker", "delivered": 40, "waiting": 7, "oldestSeconds": 61, "failedAttempts": 5, "deadLetters": 1},
            {"name": "audit", "pausedUntil": "2026-11-22T13:00:35Z"},
        ]},
    })));
    model
}

fn screen(model: &Model, size: (u16, u16)) -> (String, TestBackend) {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| draw(frame, model)).unwrap();
    let backend = terminal.backend().clone();
    let buffer = backend.buffer();
    let mut text = String::new();
    for row in 0..size.1 {
        for column in 0..size.0 {
            text.push_str(buffer[(column, row)].symbol());
        }
        text.push('\n');
    }
    (text, backend)
}

fn text(model: &Model, size: (u16, u16)) -> String {
    screen(model, size).0
}

fn press(model: &mut Model, keys: &[KeyCode]) -> Action {
    let mut action = Action::Nothing;
    for key in keys {
        action = model.event(&Event::Key(KeyEvent::new(*key, KeyModifiers::NONE)));
    }
    action
}

#[test]
fn a_recording_from_before_the_start_has_no_uptime() {
    let size = (100, 24);
    let mut model = model(size);
    assert!(text(&model, size).contains("up 1h00m"));
    let hour = SignedDuration::from_hours(1);
    model.started_at = model.clock().and_then(|now| now.checked_add(hour).ok());
    assert!(!text(&model, size).contains("  up "));
}

fn typed(text: &str) -> Vec<KeyCode> {
    text.chars().map(KeyCode::Char).collect()
}

#[test]
fn a_screen_shows_header_runs_plugins_and_sinks() {
    let size = (100, 24);
    let drawn = text(&model(size), size);
    let rows: Vec<_> = drawn.lines().map(str::trim_end).collect();
    let expected = [
        "step-observer 0.1.0 ready  up 1h00m  45.1 MiB  http://127.0.0.1:8082",
        "12 runs tracked  journal 0.0 MiB",
        " RUNS 2",
        "dev        lint",
        "  check                          > running      4.0s",
        "  later                          . waiting",
        "ci         shop-web-7/release",
        "  build                          + succeeded    2.9s",
        "  sign                           x failed       2.9s exit 4, Error",
    ];
    for (row, expected) in rows.iter().zip(expected) {
        assert!(row.starts_with(expected), "{row:?} {expected:?}\n{drawn}");
    }
    for expected in [
        " PLUGINS 2",
        "  redact                         loaded    200 calls  2 failed  3 dropped  2.5 ms",
        "  broken                         rejected   refused: no export",
        " SINKS 2",
        "  broker                         waiting   7 waiting  lag 1m01s  40 delivered  5 failed attempts  1 dead letters",
        "  audit                          paused    0 waiting  lag 0.0s  0 delivered  for 30.0s more",
    ] {
        assert!(
            rows.iter()
                .any(|row| row.trim_end() == expected.get(..100).unwrap_or(expected).trim_end()),
            "{expected:?}\n{drawn}"
        );
    }
    assert!(
        rows[3].contains("> running") && rows[3].contains("4.0s, deleted"),
        "{drawn}"
    );
    assert!(rows[23].starts_with("q quit"), "{drawn}");
}

#[test]
fn each_pane_fits_a_small_screen() {
    let size = (40, 10);
    let mut model = model(size);
    assert!(text(&model, size).contains("shop-web-7") || text(&model, size).contains("lint"));
    press(&mut model, &[KeyCode::Tab]);
    let drawn = text(&model, size);
    assert!(
        drawn.contains("PLUGINS 2") && drawn.contains("200 calls") && !drawn.contains("RUNS"),
        "{drawn}"
    );
    press(&mut model, &[KeyCode::Tab]);
    assert!(text(&model, size).contains("SINKS 2"));
    press(&mut model, &[KeyCode::Tab, KeyCode::End]);
    assert!(text(&model, size).contains("sign"));
    press(&mut model, &[KeyCode::BackTab]);
    assert_eq!(model.pane, Pane::Sinks);
    press(&mut model, &[KeyCode::Char('?')]);
    assert!(text(&model, size).contains("Shift-Tab"));
}

#[test]
fn the_filter_and_failed_only_select_runs() {
    let size = (100, 24);
    let mut model = model(size);
    press(&mut model, &typed("/web-7"));
    let drawn = text(&model, size);
    assert!(
        drawn.contains("RUNS 1 of 2  filter web-7")
            && drawn.contains("/web-7_")
            && !drawn.contains("lint"),
        "{drawn}"
    );
    // Keys with a meaning are letters here.
    press(&mut model, &typed("q"));
    assert!(text(&model, size).contains("RUNS 0 of 2"));
    press(&mut model, &[KeyCode::Backspace, KeyCode::Enter]);
    assert!(text(&model, size).contains("RUNS 1 of 2") && !model.is_filtering);
    press(&mut model, &[KeyCode::Char('f')]);
    let drawn = text(&model, size);
    assert!(
        drawn.contains("failed only") && drawn.contains("sign") && !drawn.contains("build"),
        "{drawn}"
    );
    press(
        &mut model,
        &[KeyCode::Char('/'), KeyCode::Esc, KeyCode::Char('f')],
    );
    assert!(text(&model, size).contains(" RUNS 2 "));
}

#[test]
fn keys_that_quit_quit() {
    let quits = |key| press(&mut model((80, 24)), &[key]) == Action::Quit;
    assert!(quits(KeyCode::Char('q')) && quits(KeyCode::Esc) && !quits(KeyCode::Char('x')));
    let control = |c| Event::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
    let mut filtering = model((80, 24));
    press(&mut filtering, &[KeyCode::Char('/')]);
    assert_eq!(filtering.event(&control('c')), Action::Quit);
    assert_eq!(filtering.event(&control('z')), Action::Suspend);
}

#[test]
fn a_lost_connection_is_shown_and_time_stands_still() {
    let size = (100, 24);
    let mut model = model(size);
    model.advance(Duration::from_secs(10));
    assert!(text(&model, size).contains("> running     14.0s"));
    model.take(StreamItem::Reconnecting {
        problem: "refused \u{1b}[2J".to_owned(),
        pause: Duration::ZERO,
    });
    model.advance(Duration::from_secs(100));
    let drawn = text(&model, size);
    assert!(
        drawn.contains("reconnecting")
            && drawn.contains("refused \\u{1b}[2J")
            && drawn.contains(" 14.0s"),
        "{drawn}"
    );
    model.take(snapshot(json!({"process": "b", "runs": []})));
    let drawn = text(&model, size);
    assert!(
        drawn.contains("the observer has restarted") && drawn.contains("RUNS 0"),
        "{drawn}"
    );
    assert_eq!(model.connection, Connection::Live);
    model.take(status(json!({"version": "0.1.0", "ready": false, "notReady": ["watch of pods fails", "journal is full"]})));
    let drawn = text(&model, size);
    assert!(
        drawn.contains("not ready") && drawn.contains("watch of pods fails; journal is full"),
        "{drawn}"
    );
}

#[test]
fn runs_that_are_gone_leave_and_changes_are_merged() {
    let size = (100, 24);
    let mut model = model(size);
    model.take(change(json!({"gone": ["1"], "runs": [{"uid": "2", "steps": [{"key": "w", "name": "later", "state": "skipped", "cause": "previousStepFailed"}]}]})));
    let drawn = text(&model, size);
    assert!(
        drawn.contains("o skipped")
            && drawn.contains("previousStepFailed")
            && !drawn.contains("shop-web"),
        "{drawn}"
    );
}

#[test]
fn colors_are_only_used_if_they_are_wanted() {
    let size = (100, 24);
    let colors = |color| {
        let mut model = model(size);
        model.color = color;
        let (_, backend) = screen(&model, size);
        backend
            .buffer()
            .content()
            .iter()
            .any(|cell| cell.fg != Color::Reset)
    };
    assert!(colors(true) && !colors(false));
}

/// Texts that try to leave their cell.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\u{1b}[2J\u{1b}]0;x\u{7}\r\n\t".to_owned()),
        Just("\u{202e}\u{2066}\u{200b}\u{feff}".to_owned()),
        Just("日本語".repeat(40)),
        Just("👩\u{200d}👩\u{200d}👧".repeat(20)),
        Just(format!("e{}", "\u{301}".repeat(300))),
        Just("x".repeat(64 * 1024)),
        any::<String>(),
    ]
}

proptest! {
    /// Whatever an observer sends and whatever is typed: no control character is drawn, nothing panics, and header and footer
    /// keep their rows.
    #[test]
    fn no_text_and_no_size_breaks_the_layout(
        texts in prop::collection::vec(hostile(), 8), columns in 1..250_u16, rows in 1..80_u16,
        keys in prop::collection::vec(prop_oneof![
            Just(KeyCode::Down), Just(KeyCode::PageDown), Just(KeyCode::End), Just(KeyCode::Up), Just(KeyCode::Tab),
            Just(KeyCode::Char('/')), Just(KeyCode::Char('f')), Just(KeyCode::Char('?')), Just(KeyCode::Enter), any::<char>().prop_map(KeyCode::Char),
        ], 0..12),
    ) {
        let mut model = Model::new(&texts[7], true, (columns, rows));
        let step = json!({"key": "k", "name": texts[0], "state": "failed", "reason": texts[1], "cause": texts[2], "exitCode": i64::MIN});
        model.take(snapshot(json!({"process": "a", "runs": [
            {"uid": "1", "namespace": texts[3], "taskRun": texts[4], "pipelineRun": texts[5], "pipelineTask": texts[6], "steps": [step]}]})));
        model.take(status(json!({"version": texts[0], "ready": false, "notReady": [texts[1]], "residentBytes": u64::MAX,
            "plugins": [{"name": texts[2], "state": texts[3], "refused": {"reason": texts[4]}, "counts": {"calls": u64::MAX, "failed": {"a": u64::MAX, "b": 2}, "seconds": -1e300}}],
            "journal": {"bytes": u64::MAX, "sinks": [{"name": texts[5], "waiting": u64::MAX, "oldestSeconds": u64::MAX}]}})));
        press(&mut model, &keys);
        model.advance(Duration::MAX);
        let (drawn, _) = screen(&model, (columns, rows));
        let obeyed = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c) || c == '\u{200d}' || c == '\u{301}';
        prop_assert!(!drawn.contains(obeyed), "{drawn:?}");
        if columns >= 40 && rows >= 10 && !model.is_filtering {
            prop_assert!(drawn.lines().last().unwrap().starts_with("q quit"), "{drawn}");
        }
    }
}
