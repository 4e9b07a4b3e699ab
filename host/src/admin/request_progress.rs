//! Tracks the stage of a connection's current request, which determines the deadline. The header
//! timeout of hyper includes the time between two requests, and hyper has no timeout for a peer
//! that does not read its response.

use crate::locked::Locked;
use http_body::{Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Longest time of a connection in each stage.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// From the start of the connection, or from the first byte of a request, to the end of its head.
    pub(super) head: Duration,
    /// Until the response is ready.
    pub(super) answer: Duration,
    /// Until the peer has read the response; of an endless one, until the peer takes a further byte.
    pub(super) send: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestStage {
    Head,
    /// Has no deadline here: the service has its own timeout, and responds when it expires.
    Answering,
    Sending,
    /// The response has no end, and the peer has taken all of it so far.
    Streaming,
    /// The response has no end, and the peer takes nothing.
    StreamBlocked,
    /// The response is complete, but not written in full.
    Ending,
    Idle,
}

#[derive(Debug)]
struct StageSince {
    stage: RequestStage,
    since: Instant,
}

/// The stage of a connection. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct RequestProgress {
    state: Arc<Locked<StageSince>>,
    timeouts: Timeouts,
}

impl RequestProgress {
    /// Starts with a new connection.
    pub(super) fn new(timeouts: Timeouts) -> Self {
        let state = StageSince {
            stage: RequestStage::Head,
            since: Instant::now(),
        };
        Self {
            state: Arc::new(Locked::new(state)),
            timeouts,
        }
    }

    /// Notes that the head of a request is complete.
    pub(super) fn answering(&self) {
        self.change(|_| Some(RequestStage::Answering));
    }

    /// Notes that the response is ready.
    pub(super) fn sending(&self) {
        self.change(|_| Some(RequestStage::Sending));
    }

    /// Notes that the response is ready, and has no end.
    pub(super) fn streaming(&self) {
        self.change(|_| Some(RequestStage::Streaming));
    }

    /// Returns when the connection must be closed, unless its stage changes before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let state = self.state.lock();
        self.timeouts.deadline(state.stage, state.since)
    }

    /// Returns whether the connection is between two requests.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.stage == RequestStage::Idle
    }

    fn change(&self, next: impl FnOnce(RequestStage) -> Option<RequestStage>) {
        let mut state = self.state.lock();
        let Some(stage) = next(state.stage) else {
            return;
        };
        // The rest of a response does not extend the deadline of the whole response.
        if stage != RequestStage::Ending {
            state.since = Instant::now();
        }
        state.stage = stage;
    }

    fn read(&self) {
        self.change(|stage| (stage == RequestStage::Idle).then_some(RequestStage::Head));
    }

    fn body_ended(&self) {
        // An endless response begins to end now: until then, it had no deadline.
        self.change(|stage| is_endless(stage).then_some(RequestStage::Sending));
        self.change(|stage| (stage == RequestStage::Sending).then_some(RequestStage::Ending));
    }

    fn wrote(&self, has_taken: bool) {
        let next = match has_taken {
            true => (RequestStage::StreamBlocked, RequestStage::Streaming),
            false => (RequestStage::Streaming, RequestStage::StreamBlocked),
        };
        self.change(|stage| (stage == next.0).then_some(next.1));
    }

    fn flushed(&self) {
        self.change(|stage| (stage == RequestStage::Ending).then_some(RequestStage::Idle));
    }
}

impl Timeouts {
    fn deadline(&self, stage: RequestStage, since: Instant) -> Option<Instant> {
        let longest = match stage {
            RequestStage::Head => self.head,
            RequestStage::Answering | RequestStage::Streaming => return None,
            RequestStage::Sending | RequestStage::StreamBlocked | RequestStage::Ending => self.send,
            RequestStage::Idle => self.idle,
        };
        Some(since + longest)
    }
}

/// Mark of a response without an end, among its extensions. Only the time between two of its bytes
/// is bounded.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndlessAnswer;

fn is_endless(stage: RequestStage) -> bool {
    matches!(stage, RequestStage::Streaming | RequestStage::StreamBlocked)
}

/// A stream that notes when a request begins and when a response is written.
#[derive(Debug)]
pub(super) struct TrackedStream<S> {
    pub(super) stream: S,
    pub(super) progress: RequestProgress,
}

impl<S: AsyncRead + Unpin> AsyncRead for TrackedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.progress.read();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TrackedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.progress.wrote(written.is_ready());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.progress.wrote(written.is_ready());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes the stream when it has written everything.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.progress.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The body of a response, which notes when hyper has read all of it.
#[derive(Debug)]
pub(super) struct TrackedBody<B> {
    pub(super) body: B,
    pub(super) progress: RequestProgress,
}

impl<B> Drop for TrackedBody<B> {
    fn drop(&mut self) {
        self.progress.body_ended();
    }
}

impl<B: http_body::Body + Unpin> http_body::Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: Timeouts = Timeouts {
        head: Duration::from_secs(5),
        answer: Duration::from_secs(10),
        send: Duration::from_secs(11),
        idle: Duration::from_secs(30),
    };

    fn longest(progress: &RequestProgress) -> Option<Duration> {
        let since = progress.state.lock().since;
        progress.deadline().map(|deadline| deadline - since)
    }

    #[test]
    fn each_stage_has_its_time() {
        let progress = RequestProgress::new(TIMEOUTS);
        assert_eq!(longest(&progress), Some(TIMEOUTS.head));
        progress.read();
        assert_eq!(longest(&progress), Some(TIMEOUTS.head));
        progress.answering();
        // Only the service ends this stage.
        progress.flushed();
        progress.read();
        assert_eq!(longest(&progress), None);
        progress.sending();
        progress.flushed();
        assert_eq!(longest(&progress), Some(TIMEOUTS.send));
        progress.body_ended();
        assert_eq!(longest(&progress), Some(TIMEOUTS.send));
        progress.flushed();
        assert_eq!(longest(&progress), Some(TIMEOUTS.idle));
        progress.read();
        assert_eq!(longest(&progress), Some(TIMEOUTS.head));
    }

    #[test]
    fn an_endless_answer_has_a_deadline_while_the_peer_takes_nothing() {
        let progress = RequestProgress::new(TIMEOUTS);
        progress.answering();
        progress.streaming();
        progress.flushed();
        assert_eq!(progress.deadline(), None);
        progress.wrote(false);
        let blocked = progress.deadline();
        assert_eq!(longest(&progress), Some(TIMEOUTS.send));
        progress.wrote(false);
        assert_eq!(progress.deadline(), blocked);
        progress.wrote(true);
        assert_eq!(progress.deadline(), None);
        progress.body_ended();
        assert_eq!(longest(&progress), Some(TIMEOUTS.send));
        assert!(progress.deadline() >= blocked);
        progress.flushed();
        assert_eq!(longest(&progress), Some(TIMEOUTS.idle));
        // Other answers are not affected.
        progress.answering();
        progress.sending();
        progress.wrote(false);
        progress.wrote(true);
        assert_eq!(longest(&progress), Some(TIMEOUTS.send));
    }

    #[test]
    fn one_byte_after_the_other_is_no_new_beginning() {
        let progress = RequestProgress::new(TIMEOUTS);
        let first = progress.deadline();
        progress.read();
        assert_eq!(progress.deadline(), first);
        progress.sending();
        let sent = progress.deadline();
        progress.body_ended();
        assert_eq!(progress.deadline(), sent);
    }
}
