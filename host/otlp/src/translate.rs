//! Turns one event into a span and log records.

use crate::ansi;
use crate::event::{ReadError, StepEvent};
use crate::ids::SpanId;
use crate::message::{
    FLAG_IS_REMOTE, FLAG_IS_REMOTE_KNOWN, FLAG_SAMPLED, KeyValue, LogRecord, SEVERITY_ERROR,
    SEVERITY_INFO, SPAN_KIND_INTERNAL, SPAN_KIND_SERVER, STATUS_CODE_ERROR, Span, Status, number,
    string_value, text,
};
use crate::options::{LogMode, Options};
use crate::run::{self, Parent, Run, add, cut};
use crate::run_end::{RunEnd, RunKind};
use crate::run_result::RunResult;
use crate::semantic;
use jiff::Timestamp;
use step_observer_event_model::Phase;

/// Why an event that could be read gives neither a span nor log records. The host acknowledges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotExported {
    /// The step has not ended: a span is sent once, at its end.
    NotEnded,
    /// Tekton's trace is not sampled.
    NotSampled,
    /// The event has no time of the end.
    NoTime,
    /// Spans of PipelineRuns are off.
    PipelineRunsOff,
    /// The type of the event is not known.
    OtherType,
}

/// What one event gives.
#[derive(Debug)]
pub(crate) struct Exported {
    /// The run: spans and records with the same key have the same resource.
    pub(crate) run_key: String,
    pub(crate) resource: Vec<KeyValue>,
    pub(crate) span: Span,
    pub(crate) logs: Vec<LogRecord>,
}

/// Reads and translates an event.
pub(crate) fn translate(
    structured: &[u8],
    options: &Options,
) -> Result<Result<Exported, NotExported>, ReadError> {
    let event = StepEvent::read(structured)?;
    match RunKind::of_type(event.event_type()) {
        Some(_) => Ok(of_end(&RunEnd::read(structured)?, options)),
        None => Ok(of_step(&event, options)),
    }
}

fn of_step(event: &StepEvent<'_>, options: &Options) -> Result<Exported, NotExported> {
    let phase = event.phase().ok_or(NotExported::OtherType)?;
    let result = RunResult::of_step(phase, event.reason()).ok_or(NotExported::NotEnded)?;
    let run = Run::of_step(event, options);
    if !run.context.sampled {
        return Err(NotExported::NotSampled);
    }
    let ended = event.ended_at().ok_or(NotExported::NoTime)?;
    // A step that never ran has no start: its span has no length.
    let started = event.started_at().unwrap_or(ended);
    let step = event.step().unwrap_or_default();
    let id = match event.pod_uid() {
        Some(uid) => SpanId::of_step(uid, run.attempt, step),
        None => SpanId::of_step_event(event.id(), run.attempt, step),
    };
    let mut attributes = Vec::new();
    task_run_attributes(&mut attributes, &run, options, event.step());
    add(&mut attributes, semantic::STEP, event.step());
    attributes.push(text(semantic::STEP_RESULT, result.as_str()));
    let reason = Some(event.reason()).filter(|reason| !reason.is_empty());
    add(&mut attributes, semantic::STEP_REASON, reason);
    if let Some(code) = event.exit_code() {
        attributes.push(number(semantic::EXIT_CODE, code));
    }
    add(&mut attributes, semantic::POD, event.pod());
    add(&mut attributes, semantic::POD_UID, event.pod_uid());
    add(&mut attributes, semantic::CONTAINER, event.container());
    add(
        &mut attributes,
        semantic::IMAGE,
        event.image().map(image_name),
    );
    let name = event.step().unwrap_or("step");
    let ids = Ids {
        id,
        parent: run.above_step(options),
    };
    let span = span(&run, ids, name, SPAN_KIND_INTERNAL, (started, ended));
    let mut resource = run.resource(options);
    resource.extend(run::vcs(event, options));
    let logs = logs(event, &run, phase, &span, options.log);
    Ok(Exported {
        run_key: run_key(&run),
        resource,
        logs,
        span: with_result(span, attributes, result, event.reason()),
    })
}

fn of_end(end: &RunEnd, options: &Options) -> Result<Exported, NotExported> {
    if end.kind == RunKind::PipelineRun && !options.pipeline_runs {
        return Err(NotExported::PipelineRunsOff);
    }
    let run = Run::of_end(end, options);
    if !run.context.sampled {
        return Err(NotExported::NotSampled);
    }
    let times = (end.started_at, end.ended_at);
    let mut attributes = Vec::new();
    let span = match end.kind {
        RunKind::PipelineRun => {
            attributes.push(text(semantic::PIPELINE_RESULT, end.result.as_str()));
            let ids = Ids {
                id: SpanId::of_pipeline_run(&end.uid),
                parent: run.above_pipeline_run(),
            };
            span(
                &run,
                ids,
                &run.pipeline_span_name(),
                SPAN_KIND_SERVER,
                times,
            )
        }
        RunKind::TaskRun => {
            task_run_attributes(&mut attributes, &run, options, None);
            attributes.push(text(semantic::TASK_RUN_RESULT, end.result.as_str()));
            let ids = Ids {
                id: SpanId::of_task_run(&end.uid, end.attempt),
                parent: run.above_task_run(options),
            };
            let name = run.task_name().unwrap_or("task");
            span(&run, ids, name, SPAN_KIND_INTERNAL, times)
        }
    };
    let reason = end.error_type.as_deref().unwrap_or_default();
    Ok(Exported {
        run_key: run_key(&run),
        resource: run.resource(options),
        span: with_result(span, attributes, end.result, reason),
        logs: Vec::new(),
    })
}

#[derive(Clone, Copy, Debug)]
struct Ids {
    id: SpanId,
    parent: Option<Parent>,
}

fn span(
    run: &Run<'_>,
    ids: Ids,
    name: &str,
    kind: i32,
    (started, ended): (Timestamp, Timestamp),
) -> Span {
    let (start, end) = (nanoseconds(started), nanoseconds(ended));
    let is_remote = ids.parent.is_some_and(|parent| parent.is_remote);
    let remote = if is_remote { FLAG_IS_REMOTE } else { 0 };
    let parent = ids.parent.map(|parent| parent.span.bytes().to_vec());
    Span {
        trace_id: run.context.trace.bytes().to_vec(),
        span_id: ids.id.bytes().to_vec(),
        parent_span_id: parent.unwrap_or_default(),
        name: cut(name).to_owned(),
        kind,
        // Times of different clocks and resolutions may be in the wrong order: the end is kept.
        start_time_unix_nano: start.min(end),
        end_time_unix_nano: end,
        attributes: Vec::new(),
        status: None,
        flags: FLAG_SAMPLED | FLAG_IS_REMOTE_KNOWN | remote,
    }
}

/// The status of a success is left unset, never `Ok`; an error has no message, because the
/// conventions forbid one that repeats `error.type`, and other texts may hold secrets
/// (semantic conventions, "Recording errors").
fn with_result(mut span: Span, attributes: Vec<KeyValue>, result: RunResult, reason: &str) -> Span {
    span.attributes = attributes;
    if let Some(error) = result.error_type(reason) {
        span.attributes.push(text(semantic::ERROR_TYPE, error));
        span.status = Some(Status {
            code: STATUS_CODE_ERROR,
        });
    }
    span
}

fn task_run_attributes(
    attributes: &mut Vec<KeyValue>,
    run: &Run<'_>,
    options: &Options,
    step: Option<&str>,
) {
    add(attributes, semantic::TASK_NAME, run.task_name());
    add(attributes, semantic::TASK_RUN_ID, run.task_run_uid);
    let url = run.task_run_url(options, step);
    attributes.extend(url.map(|url| text(semantic::TASK_RUN_URL, url)));
    add(attributes, semantic::TASK_RUN, run.task_run);
    attributes.push(number(semantic::ATTEMPT, run.attempt.into()));
}

/// Log records of a step. All have the time at which the observer saw the end, in whole: the log has
/// no times. Each is a nanosecond later than the one before, so that a receiver which sorts by time
/// keeps their order.
fn logs(
    event: &StepEvent<'_>,
    run: &Run<'_>,
    phase: Phase,
    span: &Span,
    mode: LogMode,
) -> Vec<LogRecord> {
    let log = event.log().map(ansi::strip).unwrap_or_default();
    if log.is_empty() {
        return Vec::new();
    }
    let most = match mode {
        LogMode::None => return Vec::new(),
        LogMode::Whole => 1,
        LogMode::Lines { max_records } => max_records,
    };
    let observed = event
        .recorded_at()
        .map_or(span.end_time_unix_nano, nanoseconds);
    let (severity_number, severity_text) = match phase {
        Phase::Failed => (SEVERITY_ERROR, "ERROR"),
        Phase::Started | Phase::Succeeded | Phase::Skipped => (SEVERITY_INFO, "INFO"),
    };
    let mut attributes = Vec::new();
    add(&mut attributes, semantic::TASK_NAME, run.task_name());
    add(&mut attributes, semantic::TASK_RUN_ID, run.task_run_uid);
    add(&mut attributes, semantic::STEP, event.step());
    add(&mut attributes, semantic::POD, event.pod());
    add(&mut attributes, semantic::CONTAINER, event.container());
    let times = (0_u64..).map(|later| observed.saturating_add(later));
    let record = |(body, time): (&str, u64)| LogRecord {
        severity_number,
        severity_text: severity_text.to_owned(),
        body: Some(string_value(body)),
        attributes: attributes.clone(),
        flags: FLAG_SAMPLED,
        trace_id: span.trace_id.clone(),
        span_id: span.span_id.clone(),
        observed_time_unix_nano: time,
    };
    pieces(&log, most)
        .into_iter()
        .zip(times)
        .map(record)
        .collect()
}

/// Splits a text into its lines. The last of `most` pieces is all that is left.
fn pieces(text: &str, most: usize) -> Vec<&str> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let lines = text.splitn(most, '\n');
    lines
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .collect()
}

/// Name of an image without tag and digest (semantic conventions, `container.image.name`).
fn image_name(image: &str) -> &str {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    match name.rsplit_once(':') {
        // A colon before a slash is that of a port.
        Some((without, tag)) if !tag.contains('/') => without,
        _ => name,
    }
}

/// Nanoseconds since 1970. A time before that is 0, which means unknown; one after 2554 is the last.
fn nanoseconds(at: Timestamp) -> u64 {
    let nanoseconds = at.as_nanosecond().max(0);
    u64::try_from(nanoseconds).unwrap_or(u64::MAX)
}

fn run_key(run: &Run<'_>) -> String {
    match run.id() {
        Some(uid) => uid.to_owned(),
        None => [run.namespace, run.task_run]
            .map(Option::unwrap_or_default)
            .join("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_beyond_the_most_are_in_the_last_record() {
        for (text, most, expected) in [
            ("a\nb\n", 9, vec!["a", "b"]),
            ("a\r\n\nb", 9, vec!["a", "", "b"]),
            ("a\nb\nc\nd\n", 2, vec!["a", "b\nc\nd"]),
            ("a\nb\n", 1, vec!["a\nb"]),
            ("\n", 9, vec![""]),
        ] {
            assert_eq!(pieces(text, most), expected, "{text:?} {most}");
        }
    }

    #[test]
    fn an_image_is_named_without_tag_and_digest() {
        for (image, name) in [
            ("localhost/busybox:1.35", "localhost/busybox"),
            ("localhost:5000/a/b", "localhost:5000/a/b"),
            ("localhost:5000/a/b:1@sha256:00", "localhost:5000/a/b"),
            ("busybox@sha256:00", "busybox"),
            ("", ""),
        ] {
            assert_eq!(image_name(image), name, "{image}");
        }
    }

    #[test]
    fn times_out_of_range_are_clamped() {
        assert_eq!(nanoseconds(Timestamp::UNIX_EPOCH), 0);
        assert_eq!(nanoseconds(Timestamp::MIN), 0);
        assert_eq!(nanoseconds(Timestamp::MAX), u64::MAX);
        assert_eq!(
            nanoseconds("1970-01-01T00:00:01.5Z".parse().unwrap()),
            1_500_000_000
        );
    }

    proptest! {
        #[test]
        fn no_line_is_lost(text in "[a\n]{0,30}", most in 1..9_usize) {
            let pieces = pieces(&text, most);
            prop_assert!(pieces.len() <= most);
            let joined = pieces.join("\n");
            prop_assert_eq!(joined.as_str(), text.strip_suffix('\n').unwrap_or(&text));
            prop_assert!(pieces.iter().rev().skip(1).all(|piece| pieces.len() < most || !piece.contains('\n')));
        }
    }
}
