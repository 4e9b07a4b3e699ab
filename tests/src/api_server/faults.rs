//! Scripted answers, and bodies that end too early or never.

use super::objects::status;
use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::RETRY_AFTER;
use axum::response::Response;
use futures::{StreamExt as _, TryFutureExt as _, TryStreamExt as _, stream};
use std::collections::VecDeque;

/// Fault of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// None.
    Pass,
    /// The answer has this status.
    Status(u16),
    /// The answer is 429, with this many seconds in `Retry-After`.
    Throttle(u64),
    /// A watch begins, and then reports that its revision is gone (410 in the stream).
    Gone,
    /// A watch begins, and ends at once.
    Nothing,
    /// No answer; the connection stays open.
    Silence,
    /// The answer begins, and nothing follows.
    Stall,
    /// Nothing follows after this many bytes; the connection stays open.
    StallAfter(usize),
    /// The answer never ends: its body is repeated.
    Endless,
    /// The connection is closed after this many bytes of the answer.
    Cut(usize),
    /// The answer ends after this many bytes, as if it were complete.
    End(usize),
}

/// Faults for the next requests whose description begins with a text.
#[derive(Debug, Default)]
pub(super) struct Script {
    scenes: Vec<(String, VecDeque<Fault>)>,
}

impl Script {
    pub(super) fn add(&mut self, requests: &str, faults: impl IntoIterator<Item = Fault>) {
        let faults = faults.into_iter().collect();
        self.scenes.push((requests.to_owned(), faults));
    }

    pub(super) fn next(&mut self, request: &str) -> Fault {
        let scene = self
            .scenes
            .iter_mut()
            .find(|(requests, faults)| request.starts_with(requests) && !faults.is_empty());
        let fault = scene.and_then(|(_, faults)| faults.pop_front());
        fault.unwrap_or(Fault::Pass)
    }

    pub(super) fn unused(&self) -> usize {
        self.scenes.iter().map(|(_, faults)| faults.len()).sum()
    }
}

impl Fault {
    /// Returns the answer that replaces the normal one; `None` if the request is processed.
    pub(super) async fn instead(self) -> Option<Response> {
        match self {
            Self::Pass
            | Self::Stall
            | Self::StallAfter(_)
            | Self::Endless
            | Self::Cut(_)
            | Self::End(_) => None,
            Self::Silence => std::future::pending().await,
            Self::Nothing => Some(Response::new(Body::empty())),
            Self::Gone => {
                let gone = serde_json::json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 410,
                    "reason": "Expired", "message": "too old resource version: 1 (2)",
                });
                let event = serde_json::json!({"type": "ERROR", "object": gone});
                Some(Response::new(Body::from(format!("{event}\n"))))
            }
            Self::Status(code) => Some(status(code, reason(code), "the server is told to say so")),
            Self::Throttle(seconds) => {
                let mut answer = status(
                    429,
                    reason(429),
                    "too many requests, please try again later",
                );
                answer
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from(seconds));
                Some(answer)
            }
        }
    }

    /// Applies the fault to the normal answer.
    pub(super) fn spoil(self, answer: Response) -> Response {
        let (parts, body) = answer.into_parts();
        let body = match self {
            Self::Stall => Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()),
            Self::StallAfter(bytes) => Body::from_stream(
                cut(body, bytes, None)
                    .into_data_stream()
                    .chain(stream::pending()),
            ),
            Self::Endless => {
                let whole = body.into_data_stream().try_collect::<Vec<_>>();
                let again = whole.map_ok(|pieces| {
                    stream::iter(std::iter::repeat(Bytes::from(pieces.concat())).map(Ok))
                });
                Body::from_stream(again.try_flatten_stream())
            }
            Self::Cut(bytes) => cut(body, bytes, Some(reset)),
            Self::End(bytes) => cut(body, bytes, None),
            Self::Pass
            | Self::Status(_)
            | Self::Throttle(_)
            | Self::Silence
            | Self::Gone
            | Self::Nothing => body,
        };
        let mut answer = Response::from_parts(parts, body);
        let is_whole = matches!(
            self,
            Self::Pass | Self::Status(_) | Self::Throttle(_) | Self::Silence
        );
        if !is_whole {
            answer
                .headers_mut()
                .remove(axum::http::header::CONTENT_LENGTH);
        }
        answer
    }
}

/// Ends a body after this many bytes: by an error in the middle of it, or as if it were complete.
fn cut(body: Body, bytes: usize, error: Option<fn() -> std::io::Error>) -> Body {
    let pieces = body.into_data_stream().map_err(std::io::Error::other);
    let some = stream::unfold(Some((pieces, bytes)), move |rest| async move {
        let (mut pieces, left) = rest?;
        if left == 0 {
            // Yields, so that the server writes the previous bytes first.
            tokio::task::yield_now().await;
            return error.map(|error| (Err(error()), None));
        }
        match pieces.next().await {
            Some(Ok(piece)) => {
                let piece = piece.slice(..piece.len().min(left));
                let left = left - piece.len();
                Some((Ok(piece), Some((pieces, left))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None => error.map(|error| (Err(error()), None)),
        }
    });
    Body::from_stream(some)
}

fn reset() -> std::io::Error {
    std::io::ErrorKind::ConnectionReset.into()
}

fn reason(code: u16) -> &'static str {
    match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        504 => "Timeout",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    }
}
