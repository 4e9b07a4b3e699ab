//! The stream of the live page: server-sent events (HTML Standard, 9.2).

use super::super::auth::Guard;
use super::super::request_progress::EndlessAnswer;
use super::super::routes::RouteState;
use crate::clock;
use crate::page::{Beginning, ChangeNumber, StreamPermit};
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::stream::unfold;
use std::collections::VecDeque;
use std::convert::Infallible;
use zeroize::Zeroizing;

/// Intervals between two `status` messages: 2 s.
const STATUS_INTERVALS: u64 = 8;
/// Intervals between two checks of the token: 30 s.
const TOKEN_INTERVALS: u64 = 120;
const STREAM_PATH: &str = "/page/stream";

/// A token that a stream was authorized with, and what decides on it.
pub(super) struct StreamToken {
    pub(super) guard: Guard,
    pub(super) token: Option<Zeroizing<String>>,
    pub(super) is_session: bool,
}

struct PageStream {
    state: RouteState,
    permit: StreamPermit,
    token: StreamToken,
    last_event_id: Option<String>,
    /// The last change that was sent. `None` until the stream has begun.
    sent: Option<ChangeNumber>,
    /// Parts of messages that are sent next.
    ready: VecDeque<Bytes>,
    /// Interval of the last look for changes.
    looked: Option<u64>,
    begun: u64,
}

/// Answers with a stream, which ends when the server ends, when the reader falls behind, or when the
/// token is no longer valid.
pub(super) fn answer(
    state: RouteState,
    permit: Option<StreamPermit>,
    token: StreamToken,
    last_event_id: Option<String>,
) -> Response {
    let Some(permit) = permit else {
        let headers = [(header::RETRY_AFTER, "5")];
        let problem = "too many live pages are open: close one of them\n";
        return (StatusCode::SERVICE_UNAVAILABLE, headers, problem).into_response();
    };
    let stream = PageStream {
        begun: permit.interval(),
        state,
        permit,
        token,
        last_event_id,
        sent: None,
        ready: VecDeque::new(),
        looked: None,
    };
    let body = unfold(stream, |mut stream: PageStream| async move {
        let end = stream.state.end();
        let part = tokio::select! {
            biased;
            () = end => None,
            part = stream.next() => part,
        };
        part.map(|part| (Ok::<_, Infallible>(part), stream))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    // Tells nginx to pass on each message at once.
    let unbuffered = [("x-accel-buffering", "no")];
    let mut response = (headers, unbuffered, Body::from_stream(body)).into_response();
    response.extensions_mut().insert(EndlessAnswer);
    response
}

impl PageStream {
    /// Returns the next part of a message, or `None` at the end of the stream.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(part) = self.ready.pop_front() {
                return Some(part);
            }
            let interval = self.permit.interval();
            if self.looked == Some(interval) {
                tokio::time::sleep_until(self.permit.next_interval()).await;
                continue;
            }
            self.looked = Some(interval);
            match self.sent {
                None => self.begin().await,
                Some(sent) => self.look(sent, interval).await?,
            }
        }
    }

    async fn begin(&mut self) {
        let last = self.last_event_id.as_deref();
        let begun = self.permit.begin(last, self.token.is_session, clock::now());
        let Some(Beginning { number, parts }) = begun else {
            return;
        };
        // `status` follows a snapshot, and is the first message of a stream that continues.
        self.ready.extend(parts);
        self.ready.extend(self.state.page_status().await);
        self.sent = Some(number);
    }

    async fn look(&mut self, sent: ChangeNumber, interval: u64) -> Option<()> {
        let age = interval.saturating_sub(self.begun);
        if age % TOKEN_INTERVALS == TOKEN_INTERVALS - 1 && !self.is_allowed().await {
            return None;
        }
        let (number, changes) = self.permit.changes(sent, clock::now()).ok()?;
        self.sent = Some(number);
        self.ready.extend(changes);
        if interval.is_multiple_of(STATUS_INTERVALS) {
            self.ready.extend(self.state.page_status().await);
        }
        Some(())
    }

    async fn is_allowed(&self) -> bool {
        let StreamToken { guard, token, .. } = &self.token;
        let token = token.as_ref().map(|token| token.to_string());
        guard.refusal(token, STREAM_PATH.to_owned()).await.is_none()
    }
}
