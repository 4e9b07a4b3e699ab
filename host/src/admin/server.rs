//! An HTTP/1.1 server for untrusted peers: connections, bytes and times are bounded. `axum::serve` has no such
//! bounds, so hyper serves the router.

use super::connection_metrics::ConnectionMetrics;
use super::connection_slots::{ConnectionLimits, ConnectionSlots, SlotDecision};
use super::request_progress::{
    EndlessAnswer, RequestProgress, Timeouts, TrackedBody, TrackedStream,
};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use futures::FutureExt as _;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tower::ServiceExt as _;
use tracing::debug;

/// Bounds of one listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) connections: ConnectionLimits,
    pub(super) timeouts: Timeouts,
    /// Longest wait for open requests at the end.
    pub(super) drain_timeout: Duration,
}

/// Limits of the listener with the live page. Each open page holds a connection, and through `kubectl
/// port-forward` everybody has the same address.
pub(super) const PAGE_LIMITS: Limits = Limits {
    connections: ConnectionLimits {
        total: 64,
        per_peer: 24,
    },
    ..LIMITS
};

pub(super) const LIMITS: Limits = Limits {
    connections: ConnectionLimits {
        total: 64,
        per_peer: 8,
    },
    timeouts: Timeouts {
        head: Duration::from_secs(5),
        answer: Duration::from_secs(10),
        send: Duration::from_secs(10),
        idle: Duration::from_secs(30),
    },
    drain_timeout: Duration::from_secs(1),
};

/// Largest head of a request, in bytes. hyper responds with 431 to a larger one.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Largest body of a request, in bytes. Only sign-in on the page reads one.
const MAX_BODY_BYTES: u64 = 16 * 1024;
/// Sizes of a connection's socket buffers, in bytes: for data received but not read, and for data
/// written but not sent.
const RECEIVE_BUFFER_BYTES: u32 = 32 * 1024;
const SEND_BUFFER_BYTES: u32 = 128 * 1024;
/// Connections that the kernel queues before they are accepted.
const ACCEPT_BACKLOG: u32 = 128;
/// Replaced connections that are not closed yet.
const MAX_CLOSING_CONNECTIONS: usize = 16;
/// Delay after a failed accept: most likely there are too many open files.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Address of the peer of a request, among the extensions of the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// Listens on an address.
///
/// # Errors
///
/// The address is in use, or is not an address of this machine.
pub(super) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_BACKLOG)
}

/// Serves until `end`, then waits for open requests for a short time.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    metrics: ConnectionMetrics,
    end: impl Future<Output = ()> + Clone + Send + 'static,
) {
    let mut connections = Connections {
        slots: ConnectionSlots::new(limits.connections),
        tasks: JoinSet::new(),
        metrics,
    };
    let mut over = pin!(end.clone());
    loop {
        let may_accept =
            connections.tasks.len() < limits.connections.total + MAX_CLOSING_CONNECTIONS;
        tokio::select! {
            () = &mut over => break,
            Some(ended) = connections.tasks.join_next_with_id() => connections.ended(ended),
            accepted = listener.accept(), if may_accept => match accepted {
                Ok((stream, peer)) => {
                    let connection = serve_connection(
                        (stream, peer),
                        router.clone(),
                        limits.timeouts,
                        connections.metrics.clone(),
                        end.clone(),
                    );
                    connections.accept(peer, connection);
                    // Lets the connection run once before the next one may replace it.
                    tokio::task::yield_now().await;
                }
                Err(error) => {
                    debug!(%error, "failed to accept a connection");
                    if !is_peer_error(&error) {
                        tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                    }
                }
            },
        }
    }
    drop(listener);
    let rest = async { while connections.tasks.join_next().await.is_some() {} };
    tokio::time::timeout(limits.drain_timeout, rest).await.ok();
}

/// Returns true if the error means only that the peer closed the connection before it was accepted.
fn is_peer_error(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

struct Connections {
    slots: ConnectionSlots<AbortHandle>,
    tasks: JoinSet<()>,
    metrics: ConnectionMetrics,
}

impl Connections {
    /// Runs a connection if there is a slot for it. Otherwise drops the connection, which closes
    /// it.
    fn accept(&mut self, peer: SocketAddr, connection: impl Future<Output = ()> + Send + 'static) {
        // Frees the slots of connections that have ended.
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.ended(ended);
        }
        let peer = peer.ip().to_canonical();
        match self.slots.decide(peer) {
            SlotDecision::Free => {}
            SlotDecision::Replace(other) => {
                other.abort();
                self.metrics.refused.increment();
            }
            SlotDecision::Refuse => return self.metrics.refused.increment(),
        }
        self.slots.occupy(peer, self.tasks.spawn(connection));
        self.metrics.open.set(self.slots.len() as u64);
    }

    fn ended(&mut self, ended: Result<(tokio::task::Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => error.id(),
        };
        self.slots.release(|task| task.id() == id);
        self.metrics.open.set(self.slots.len() as u64);
    }
}

/// Serves one connection until either side closes it, or a stage takes too long.
async fn serve_connection(
    (stream, peer): (TcpStream, SocketAddr),
    router: Router,
    timeouts: Timeouts,
    metrics: ConnectionMetrics,
    end: impl Future<Output = ()> + Send,
) {
    let progress = RequestProgress::new(timeouts);
    let stream = TokioIo::new(TrackedStream {
        stream,
        progress: progress.clone(),
    });
    let service_progress = progress.clone();
    let peer = Peer(peer.ip().to_canonical());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let (router, progress) = (router.clone(), service_progress.clone());
        async move { Ok::<_, Infallible>(respond(request, router, progress, timeouts.answer).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .max_buf_size(MAX_HEAD_BYTES)
        // hyper measures the idle time and the head together; `progress` has a deadline for each.
        .header_read_timeout(timeouts.idle + timeouts.head)
        .serve_connection(stream, service);
    let mut connection = pin!(connection);
    let mut end = pin!(end.fuse());
    let mut timer = pin!(tokio::time::sleep(timeouts.head));
    let in_time = poll_fn(|cx| {
        if end.as_mut().poll(cx).is_ready() {
            connection.as_mut().graceful_shutdown();
        }
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        // Only the poll above changes the deadline.
        let Some(deadline) = progress.deadline() else {
            return Poll::Pending;
        };
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx).map(|()| false)
    });
    // Does not count a timeout while the connection is idle: a peer may keep it open without
    // another request.
    if !in_time.await && !progress.is_idle() {
        metrics.timed_out.increment();
    }
}

async fn respond(
    request: Request<Incoming>,
    router: Router,
    progress: RequestProgress,
    longest: Duration,
) -> Response<TrackedBody<Body>> {
    progress.answering();
    // A chunked body has no known length.
    let length = request.body().size_hint().upper();
    let mut response = if length.is_none_or(|length| length > MAX_BODY_BYTES) {
        let problem = "the body of the request is too large, or its length is unknown\n";
        (StatusCode::PAYLOAD_TOO_LARGE, problem).into_response()
    } else {
        match tokio::time::timeout(longest, router.oneshot(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => {
                let problem = "the response took too long\n";
                (StatusCode::SERVICE_UNAVAILABLE, problem).into_response()
            }
        }
    };
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    match response.extensions_mut().remove::<EndlessAnswer>() {
        Some(EndlessAnswer) => progress.streaming(),
        None => progress.sending(),
    }
    response.map(|body| TrackedBody { body, progress })
}

#[cfg(test)]
mod tests;
