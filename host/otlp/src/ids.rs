//! Ids of traces and spans. They follow from UIDs, so that the same run has the same ids after a
//! restart, a relist or a failover: a receiver then overwrites or drops the repeat.

use sha2::{Digest as _, Sha256};

/// Versioned beginning of all that span ids are derived from. Another derivation needs another
/// version, because both may be in one trace.
const DOMAIN: &str = "step-observer/otel/1";

/// Length of a `traceparent` of version 00: `00-`, trace id, `-`, parent id, `-`, flags.
const TRACEPARENT_LENGTH: usize = 55;
/// Positions of the dashes in a UUID, and its length (RFC 9562 §4).
const UUID_DASHES: [usize; 4] = [8, 13, 18, 23];
const UUID_LENGTH: usize = 36;

/// Id of a trace. Never all zero, which is invalid (W3C Trace Context §3.2.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// Id of a span. Never all zero, which is invalid (W3C Trace Context §3.2.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

/// The trace of a run, and the span above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// Tekton's span, above that of the run. `None` if the trace is derived from a UID.
    pub parent: Option<SpanId>,
    /// Whether the trace is sampled. Spans of a trace that is not sampled are not exported.
    pub sampled: bool,
}

// === impl TraceId ===

impl TraceId {
    /// Derives the id from the UID of a PipelineRun, or of a TaskRun without one: the UID without
    /// dashes, or, if it is no UUID, the first 16 bytes of its SHA-256.
    #[must_use]
    pub fn of_uid(uid: &str) -> Self {
        let hashed = || nonzero(first(Sha256::digest(uid)));
        let id = uuid(uid).filter(|id| *id != [0; 16]);
        Self(id.unwrap_or_else(hashed))
    }

    /// The id.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

// === impl SpanId ===

impl SpanId {
    /// Id of the span of a PipelineRun.
    #[must_use]
    pub fn of_pipeline_run(uid: &str) -> Self {
        Self::derive("pipelinerun", uid, 0, "")
    }

    /// Id of the span of one attempt of a TaskRun.
    #[must_use]
    pub fn of_task_run(uid: &str, attempt: u32) -> Self {
        Self::derive("taskrun", uid, attempt, "")
    }

    /// Id of the span of a step. The pod's UID is part of it: Tekton may run an attempt in a second pod
    /// of the same name.
    #[must_use]
    pub fn of_step(pod_uid: &str, attempt: u32, step: &str) -> Self {
        Self::derive("step", pod_uid, attempt, step)
    }

    /// Id of the span of a step whose pod's UID is not known: derived from the id of its event, which
    /// is the same after a restart, too.
    #[must_use]
    pub fn of_step_event(event_id: &str, attempt: u32, step: &str) -> Self {
        Self::derive("event", event_id, attempt, step)
    }

    fn derive(kind: &str, uid: &str, attempt: u32, step: &str) -> Self {
        let attempt = attempt.to_string();
        // No part but the last may hold a zero byte in Kubernetes, so the parts cannot be confused.
        let parts = [DOMAIN, kind, uid, &attempt, step].join("\0");
        Self(nonzero(first(Sha256::digest(parts))))
    }

    /// The id.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

// === impl TraceContext ===

impl TraceContext {
    /// Reads a W3C `traceparent` (W3C Trace Context §3.2 and §4.3); `None` if it is not valid. Of a
    /// version above 00 only the fields of version 00 are read.
    #[must_use]
    pub fn parse(traceparent: &str) -> Option<Self> {
        let known = traceparent.get(..TRACEPARENT_LENGTH)?;
        let more = traceparent.get(TRACEPARENT_LENGTH..)?;
        let mut parts = known.split('-');
        let [version] = hex::<1>(parts.next()?)?;
        let trace = hex::<16>(parts.next()?)?;
        let parent = hex::<8>(parts.next()?)?;
        let [flags] = hex::<1>(parts.next()?)?;
        let is_valid = match version {
            // Forbidden (§3.2.2.1).
            0xff => false,
            0 => more.is_empty(),
            _ => more.is_empty() || more.starts_with('-'),
        };
        let is_set = trace != [0; 16] && parent != [0; 8];
        (is_valid && is_set).then_some(Self {
            trace: TraceId(trace),
            parent: Some(SpanId(parent)),
            sampled: flags & 1 == 1,
        })
    }

    /// The trace of a run to which Tekton gave none. See [`TraceId::of_uid`].
    #[must_use]
    pub fn of_uid(uid: &str) -> Self {
        Self {
            trace: TraceId::of_uid(uid),
            parent: None,
            sampled: true,
        }
    }
}

/// Reads a UUID in its usual form, in upper or lower case.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let has_dashes = UUID_DASHES
        .iter()
        .all(|at| text.as_bytes().get(*at) == Some(&b'-'));
    if text.len() != UUID_LENGTH || !has_dashes {
        return None;
    }
    hex(&text.replace('-', "").to_ascii_lowercase())
}

/// Reads exactly `N` bytes in lower-case hexadecimal: upper case is not allowed in a `traceparent`.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = digits else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

fn first<const N: usize>(digest: impl AsRef<[u8]>) -> [u8; N] {
    let mut bytes = [0; N];
    for (byte, from) in bytes.iter_mut().zip(digest.as_ref()) {
        *byte = *from;
    }
    bytes
}

/// Turns an id that is all zero into another one.
fn nonzero<const N: usize>(mut id: [u8; N]) -> [u8; N] {
    if id.iter().all(|byte| *byte == 0)
        && let Some(last) = id.last_mut()
    {
        *last = 1;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    #[test]
    fn a_trace_id_is_the_uid_without_dashes() {
        let id = TraceId::of_uid("C72281d7-76f5-48e8-90a7-52e6165bf351");
        let expected = hex("c72281d776f548e890a752e6165bf351").unwrap();
        assert_eq!(id.bytes(), &expected);
    }

    /// Expected values: `printf UID | sha256sum`.
    #[test]
    fn a_uid_that_is_no_uuid_is_hashed() {
        for (uid, expected) in [
            ("", "e3b0c44298fc1c149afbf4c8996fb924"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223"),
            // A UUID that would give an invalid trace id.
            (
                "00000000-0000-0000-0000-000000000000",
                "12b9377cbe7e5c94e8a70d9d23929523",
            ),
            // 32 digits without dashes are no UUID.
            (TRACE, "15f774f039ec6d5fc32f3ea8b43b5ef0"),
        ] {
            assert_eq!(
                TraceId::of_uid(uid).bytes(),
                &hex(expected).unwrap(),
                "{uid}"
            );
        }
    }

    /// Expected values: `printf 'step-observer/otel/1\0KIND\0UID\0ATTEMPT\0STEP' | sha256sum`.
    #[test]
    fn span_ids_are_derived_as_documented() {
        for (id, expected) in [
            (SpanId::of_pipeline_run("u"), "c78dd43f6a4c76bc"),
            (SpanId::of_task_run("u", 2), "fdb4f534a9dc15b9"),
            (SpanId::of_step("u", 0, "build"), "ea491cff28bc7cad"),
            (SpanId::of_step_event("u", 0, "build"), "b05cf8cf9dc62255"),
        ] {
            assert_eq!(id.bytes(), &hex(expected).unwrap());
        }
    }

    #[test]
    fn no_id_is_zero() {
        assert_eq!(nonzero([0, 0]), [0, 1]);
        assert_eq!(nonzero([1, 0]), [1, 0]);
    }

    /// The valid and invalid texts are those of the W3C's own test suite (w3c/trace-context, test/test.py).
    #[test]
    fn only_valid_traceparents_are_taken() {
        let with = |flags: &str| format!("00-{TRACE}-{PARENT}-{flags}");
        for (valid, sampled) in [
            (with("01"), true),
            (with("00"), false),
            (with("02"), false),
            (with("ff"), true),
            (format!("cc-{TRACE}-{PARENT}-01"), true),
            (
                format!("cc-{TRACE}-{PARENT}-00-what-the-future-will-be-like"),
                false,
            ),
        ] {
            let context = TraceContext::parse(&valid).unwrap();
            assert_eq!(context.trace.bytes(), &hex(TRACE).unwrap(), "{valid}");
            assert_eq!(
                context.parent.unwrap().bytes(),
                &hex(PARENT).unwrap(),
                "{valid}"
            );
            assert_eq!(context.sampled, sampled, "{valid}");
        }
        for invalid in [
            String::new(),
            "-".repeat(TRACEPARENT_LENGTH),
            "é".repeat(TRACEPARENT_LENGTH),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("0A-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-01-"),
            format!("cc-{TRACE}-{PARENT}-01.what"),
            format!("00-{}-{PARENT}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{PARENT}-.0"),
            format!("00_{TRACE}_{PARENT}_01"),
            format!(" 00-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-01\n"),
        ] {
            assert_eq!(TraceContext::parse(&invalid), None, "{invalid}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_traceparent_or_none(text in "\\PC{0,80}") {
            let is_zero = |context: TraceContext| context.trace.0 == [0; 16];
            prop_assert!(!TraceContext::parse(&text).is_some_and(is_zero));
        }

        #[test]
        fn different_spans_have_different_ids(uid in "[a-f0-9-]{1,36}", other in "[a-f0-9-]{1,36}",
            attempt in 0..3_u32, step in "[a-z-]{1,9}") {
            let ids = [
                SpanId::of_pipeline_run(&uid),
                SpanId::of_task_run(&uid, attempt),
                SpanId::of_task_run(&uid, attempt + 1),
                SpanId::of_step(&uid, attempt, &step),
                SpanId::of_step(&uid, attempt + 1, &step),
                SpanId::of_step_event(&uid, attempt, &step),
            ];
            let distinct: std::collections::HashSet<SpanId> = ids.into_iter().collect();
            prop_assert_eq!(distinct.len(), ids.len());
            prop_assert_eq!(SpanId::of_step(&uid, attempt, &step) == SpanId::of_step(&other, attempt, &step), uid == other);
        }
    }
}
