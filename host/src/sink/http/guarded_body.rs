//! Request content that is withheld if the receiver asks for a pause while the request still waits
//! for a connection.

use crate::sink::pause_gate::PermitGuard;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Content that is sent only if no pause has begun since the request was permitted. Checking here
/// is early enough, because an HTTP/1 client sends nothing of a request before it reads the first
/// part of its content.
pub(super) struct GuardedBody {
    content: Full<Bytes>,
    guard: PermitGuard,
    has_begun: bool,
}

/// The content is withheld, because a pause began before the request did.
#[derive(Debug, thiserror::Error)]
#[error("the receiver has asked for a pause")]
pub(super) struct Withheld;

impl GuardedBody {
    pub(super) fn new(content: Bytes, guard: PermitGuard) -> Self {
        Self {
            content: Full::new(content),
            guard,
            has_begun: false,
        }
    }
}

impl Body for GuardedBody {
    type Data = Bytes;
    type Error = Withheld;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Withheld>>> {
        if !self.has_begun && !self.guard.permits() {
            return Poll::Ready(Some(Err(Withheld)));
        }
        self.has_begun = true;
        let frame = Pin::new(&mut self.content).poll_frame(context);
        frame.map_err(|never| match never {})
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::pause_gate::PauseGate;
    use http_body_util::BodyExt as _;
    use std::time::Duration;

    #[tokio::test]
    async fn an_event_that_waits_for_a_connection_is_not_sent_once_a_pause_begins() {
        let gate = PauseGate::new(Duration::from_secs(60));
        let permit = gate.enter().unwrap();
        let guard = permit.guard();
        let content = GuardedBody::new(Bytes::from_static(b"{}"), guard.clone());
        assert_eq!(content.size_hint().exact(), Some(2));
        assert_eq!(content.collect().await.unwrap().to_bytes(), "{}");
        assert!(!guard.has_withheld());

        let waits = GuardedBody::new(Bytes::from_static(b"{}"), guard.clone());
        gate.begin(Duration::from_secs(6));
        assert!(waits.collect().await.is_err());
        assert!(guard.has_withheld());
    }
}
