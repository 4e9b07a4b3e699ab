//! Reads the answers of receivers (OTLP 1.9, "OTLP/HTTP Response"). All bytes may be hostile.

use crate::batch::Encoding;
use crate::message::{ExportServiceResponse, RpcStatus};
use prost::Message as _;
use serde_json::Value;

/// Longest message of a receiver in bytes. A longer one is cut.
pub const MAX_MESSAGE_BYTES: usize = 512;
/// Largest answer in bytes that is read. The answers of the specification have a number and a
/// message; a larger answer is refused as unreadable.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// What a status of HTTP means for the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusMeaning {
    /// The receiver took the request, in part or as a whole: see [`partial_success`].
    Delivered,
    /// Send it again later, with backoff, and not before `Retry-After`.
    Retry,
    /// The receiver will never take it.
    Final,
}

/// What a receiver did not take of a request that it answered with success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialSuccess {
    /// Number of spans or log records that the receiver rejected. They are lost: a request with a
    /// partial success must not be sent again. 0 if the message is only a warning.
    pub rejected: u64,
    /// Why; printable, at most [`MAX_MESSAGE_BYTES`].
    pub message: String,
}

/// An answer is not what the specification says. The status of the answer counts nevertheless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is larger than [`MAX_ANSWER_BYTES`].
    #[error("the answer of the receiver is larger than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
    /// Its `Content-Type` is neither that of protobuf nor that of JSON.
    #[error("the answer of the receiver is neither protobuf nor JSON")]
    ContentType,
    /// It is not a message of OTLP.
    #[error("the answer of the receiver is not a message of OTLP")]
    Malformed,
}

/// Returns what a status means (OTLP 1.9, "Failures" and "Retryable Response Codes"): 429, 502, 503 and
/// 504 are retryable, as is a connection that fails; all other errors are final, 500 too. A
/// redirection is final, because the specification knows none.
///
/// The host makes one exception: 401, 403 and 404 wait, as in its other sinks, since they mean a wrong
/// configuration and not a wrong request.
#[must_use]
pub const fn meaning(status: u16) -> StatusMeaning {
    match status {
        200..=299 => StatusMeaning::Delivered,
        429 | 502 | 503 | 504 => StatusMeaning::Retry,
        _ => StatusMeaning::Final,
    }
}

/// Reads the answer to a request that was delivered: `ExportTraceServiceResponse` or
/// `ExportLogsServiceResponse`. `None` if the receiver took all and has no warning. An empty answer is
/// one in protobuf, and is accepted with any `Content-Type`.
///
/// # Errors
///
/// The answer is too large, or not a message of OTLP.
pub fn partial_success(
    content_type: Option<&str>,
    body: &[u8],
) -> Result<Option<PartialSuccess>, AnswerError> {
    if body.is_empty() {
        return Ok(None);
    }
    let (rejected, message) = match encoding(content_type, body)? {
        Encoding::Protobuf => {
            let answer = ExportServiceResponse::decode(body).map_err(|_| AnswerError::Malformed)?;
            let partial = answer.partial_success.unwrap_or_default();
            (partial.rejected, partial.error_message)
        }
        Encoding::Json => {
            let answer = object(body)?;
            let partial = answer.get("partialSuccess").unwrap_or(&Value::Null);
            let names = ["rejectedSpans", "rejectedLogRecords"];
            let rejected = names.iter().find_map(|name| integer(partial.get(name)?));
            let message = partial.get("errorMessage").and_then(Value::as_str);
            (
                rejected.unwrap_or_default(),
                message.unwrap_or_default().to_owned(),
            )
        }
    };
    // A negative number means nothing.
    let rejected = u64::try_from(rejected).unwrap_or_default();
    let message = printable(&message);
    let is_partial = rejected > 0 || !message.is_empty();
    Ok(is_partial.then_some(PartialSuccess { rejected, message }))
}

/// Reads the message of an answer that is an error: `google.rpc.Status`. Empty if there is none;
/// printable, at most [`MAX_MESSAGE_BYTES`].
///
/// # Errors
///
/// The answer is too large, or not such a status.
pub fn error_message(content_type: Option<&str>, body: &[u8]) -> Result<String, AnswerError> {
    if body.is_empty() {
        return Ok(String::new());
    }
    match encoding(content_type, body)? {
        Encoding::Protobuf => {
            let status = RpcStatus::decode(body).map_err(|_| AnswerError::Malformed)?;
            Ok(printable(&status.message))
        }
        Encoding::Json => {
            let status = object(body)?;
            let message = status.get("message").and_then(Value::as_str);
            Ok(printable(message.unwrap_or_default()))
        }
    }
}

fn encoding(content_type: Option<&str>, body: &[u8]) -> Result<Encoding, AnswerError> {
    if body.len() > MAX_ANSWER_BYTES {
        return Err(AnswerError::TooLarge);
    }
    let encoding = content_type.and_then(Encoding::of_media_type);
    encoding.ok_or(AnswerError::ContentType)
}

fn object(body: &[u8]) -> Result<Value, AnswerError> {
    let value = serde_json::from_slice(body);
    value
        .ok()
        .filter(Value::is_object)
        .ok_or(AnswerError::Malformed)
}

/// Reads an int64 of protobuf's JSON: a number or a text.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// Replaces what a terminal or a log would not show as it is: control characters, and characters that
/// hide text or change its direction. Cuts what is too long.
fn printable(text: &str) -> String {
    let text = text.trim();
    let shown = |char: char| match char {
        '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => ' ',
        char if char.is_control() => ' ',
        char => char,
    };
    let mut bytes = 0;
    let within = |char: &char| {
        bytes += char.len_utf8();
        bytes <= MAX_MESSAGE_BYTES
    };
    text.chars().map(shown).take_while(within).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ExportPartialSuccess;
    use proptest::prelude::*;

    const PROTOBUF: Option<&str> = Some("application/x-protobuf");
    const JSON: Option<&str> = Some("application/json; charset=utf-8");

    fn partial(rejected: u64, message: &str) -> Result<Option<PartialSuccess>, AnswerError> {
        let message = message.to_owned();
        Ok(Some(PartialSuccess { rejected, message }))
    }

    #[test]
    fn statuses_mean_what_the_specification_says() {
        for status in 0..=u16::MAX {
            let expected = match status {
                200..=299 => StatusMeaning::Delivered,
                429 | 502..=504 => StatusMeaning::Retry,
                _ => StatusMeaning::Final,
            };
            assert_eq!(meaning(status), expected, "{status}");
        }
    }

    /// The bytes are those that the Python package `opentelemetry-proto` 1.45.2 writes.
    #[test]
    fn partial_successes_are_read_in_both_encodings() {
        for (content_type, body, expected) in [
            (PROTOBUF, &b""[..], Ok(None)),
            (None, b"", Ok(None)),
            (PROTOBUF, b"\x0a\x00", Ok(None)),
            (
                PROTOBUF,
                b"\x0a\x0a\x08\x02\x12\x06no key",
                partial(2, "no key"),
            ),
            (PROTOBUF, b"\x0a\x06\x12\x04slow", partial(0, "slow")),
            (JSON, b"{}", Ok(None)),
            (JSON, b"{\"partialSuccess\":{}}", Ok(None)),
            // As the collector `rotel` answers.
            (JSON, b"{\"partialSuccess\":null}", Ok(None)),
            (
                JSON,
                br#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"no key"}}"#,
                partial(2, "no key"),
            ),
            (
                JSON,
                br#"{"partialSuccess":{"rejectedLogRecords":2}}"#,
                partial(2, ""),
            ),
            (
                JSON,
                br#"{"partialSuccess":{"rejectedSpans":"-2"}}"#,
                Ok(None),
            ),
            (
                JSON,
                br#"{"partialSuccess":{"rejectedSpans":[],"errorMessage":"slow"}}"#,
                partial(0, "slow"),
            ),
            (JSON, b"[]", Err(AnswerError::Malformed)),
            (JSON, b"\x0a\x00", Err(AnswerError::Malformed)),
            (PROTOBUF, b"{}", Err(AnswerError::Malformed)),
            (
                PROTOBUF,
                b"\x0a\xff\xff\xff\xff\x0f",
                Err(AnswerError::Malformed),
            ),
            (Some("text/html"), b"<p>", Err(AnswerError::ContentType)),
            (None, b"{}", Err(AnswerError::ContentType)),
        ] {
            assert_eq!(partial_success(content_type, body), expected, "{body:?}");
        }
        let large = vec![b' '; MAX_ANSWER_BYTES + 1];
        assert_eq!(partial_success(JSON, &large), Err(AnswerError::TooLarge));
    }

    #[test]
    fn messages_of_errors_are_read_in_both_encodings() {
        for (content_type, body, expected) in [
            (PROTOBUF, &b""[..], Ok("")),
            (PROTOBUF, b"\x08\x03\x12\x03bad", Ok("bad")),
            (JSON, br#"{"code":3,"message":"bad"}"#, Ok("bad")),
            (JSON, b"{}", Ok("")),
            (JSON, b"null", Err(AnswerError::Malformed)),
            (Some("text/plain"), b"bad", Err(AnswerError::ContentType)),
        ] {
            let read = error_message(content_type, body);
            assert_eq!(read, expected.map(str::to_owned), "{body:?}");
        }
    }

    #[test]
    fn messages_are_printable_and_bounded() {
        assert_eq!(printable(" a\n\u{1b}[31mb\u{202e}c "), "a  [31mb c");
        let long = printable(&"é".repeat(400));
        assert_eq!(long, "é".repeat(256));
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..80), json: bool) {
            let content_type = if json { JSON } else { PROTOBUF };
            if let Ok(Some(partial)) = partial_success(content_type, &body) {
                prop_assert!(partial.rejected > 0 || !partial.message.is_empty());
                prop_assert!(!partial.message.contains(char::is_control));
            }
            error_message(content_type, &body).ok();
        }

        #[test]
        fn every_partial_success_is_read_as_it_was_sent(rejected in 1..i64::MAX, message in "[a-z ]{0,90}[a-z]") {
            let sent = ExportServiceResponse {
                partial_success: Some(ExportPartialSuccess { rejected, error_message: message.clone() }),
            };
            let read = partial_success(PROTOBUF, &sent.encode_to_vec());
            prop_assert_eq!(read, partial(rejected.unsigned_abs(), message.trim()));
        }
    }
}
