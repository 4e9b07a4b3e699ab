use super::*;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Short timeouts, so that the tests are fast.
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(60);

const PATIENT: Limits = Limits {
    connections: ConnectionLimits {
        total: 4,
        per_peer: 2,
    },
    timeouts: Timeouts {
        head: LONG,
        answer: LONG,
        send: LONG,
        idle: LONG,
    },
    drain_timeout: SHORT,
};

/// A server, and the handle that stops it.
struct Server {
    address: SocketAddr,
    metrics: ConnectionMetrics,
    end: Option<oneshot::Sender<()>>,
    running: JoinSet<()>,
}

impl Server {
    fn start(limits: Limits) -> Self {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", get(async || "well\n"))
            .route("/large", get(async || vec![b'x'; 64 << 20]))
            .route(
                "/endless",
                get(async || endless(futures::stream::repeat(vec![b'x'; 64 << 10]))),
            )
            .route("/quiet", get(async || endless(futures::stream::pending())))
            .route("/never", get(std::future::pending::<()>));
        let metrics = ConnectionMetrics::default();
        let (end, ended) = oneshot::channel();
        let ended = ended.map(drop).shared();
        let mut running = JoinSet::new();
        running.spawn(serve(listener, router, limits, metrics.clone(), ended));
        Self {
            address,
            metrics,
            end: Some(end),
            running,
        }
    }

    /// Connects from 127.0.0.`peer`.
    async fn connect(&self, peer: u8) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, peer], 0).into()).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    async fn end(&mut self) {
        drop(self.end.take());
        self.running.join_next().await.unwrap().unwrap();
    }
}

/// Returns an answer without an end.
fn endless(parts: impl futures::Stream<Item = Vec<u8>> + Send + 'static) -> Response<Body> {
    use futures::StreamExt as _;
    let mut response = Response::new(Body::from_stream(parts.map(Ok::<_, Infallible>)));
    response.extensions_mut().insert(EndlessAnswer);
    response
}

async fn ask(stream: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// Sends a request and returns the status line.
async fn answered(stream: &mut TcpStream, path: &str) -> String {
    ask(stream, path).await;
    let mut head = String::new();
    while !head.contains("\r\n\r\n") {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).await.unwrap();
        assert!(count > 0, "{head}");
        head.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    head.lines().next().unwrap().to_owned()
}

/// Reads until the server has closed the connection, normally or with an error. Returns the bytes
/// that were read.
async fn closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(LONG, stream.read_to_end(&mut rest));
    read.await.expect("it is never closed").ok();
    rest
}

fn cut(timeouts: Timeouts) -> Limits {
    Limits {
        timeouts,
        ..PATIENT
    }
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_cut() {
    let head = SHORT;
    let server = Server::start(cut(Timeouts {
        head,
        ..PATIENT.timeouts
    }));
    let started = Instant::now();
    let mut stream = server.connect(1).await;
    let mut dripping = tokio::time::interval(SHORT / 10);
    // Each byte arrives before its deadline, but the head as a whole does not.
    while stream.write_all(b"G").await.is_ok() {
        dripping.tick().await;
        assert!(started.elapsed() < LONG);
    }
    assert!(started.elapsed() >= SHORT);
    let mut silent = server.connect(1).await;
    assert_eq!(closed(&mut silent).await, b"");
    assert_eq!(server.metrics.timed_out.get(), 2);
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_more_is_closed() {
    let idle = SHORT;
    let server = Server::start(cut(Timeouts {
        idle,
        ..PATIENT.timeouts
    }));
    let mut stream = server.connect(1).await;
    assert_eq!(answered(&mut stream, "/").await, "HTTP/1.1 200 OK");
    assert_eq!(answered(&mut stream, "/").await, "HTTP/1.1 200 OK");
    let last = Instant::now();
    assert_eq!(closed(&mut stream).await, b"");
    // The server's idle time began slightly before the client had read the response.
    assert!(last.elapsed() >= SHORT * 9 / 10);
    assert_eq!(server.metrics.timed_out.get(), 0, "that is no fault");
}

#[tokio::test]
async fn the_head_of_a_later_request_has_its_own_time() {
    let head = SHORT;
    let server = Server::start(cut(Timeouts {
        head,
        ..PATIENT.timeouts
    }));
    let mut stream = server.connect(1).await;
    assert_eq!(answered(&mut stream, "/").await, "HTTP/1.1 200 OK");
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert_eq!(closed(&mut stream).await, b"");
    assert_eq!(server.metrics.timed_out.get(), 1);
}

#[tokio::test]
async fn an_answer_that_is_not_taken_or_not_made_ends_in_time() {
    let (answer, send) = (SHORT, SHORT);
    let server = Server::start(cut(Timeouts {
        answer,
        send,
        ..PATIENT.timeouts
    }));
    let mut stream = server.connect(1).await;
    assert_eq!(
        answered(&mut stream, "/never").await,
        "HTTP/1.1 503 Service Unavailable"
    );
    ask(&mut stream, "/large").await;
    // The client reads only after the server has given up, so it receives only what the kernel had
    // buffered.
    while server.metrics.timed_out.get() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(closed(&mut stream).await.len() < 32 << 20);
}

#[tokio::test]
async fn large_heads_and_bodies_are_refused() {
    let server = Server::start(PATIENT);
    let head = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(MAX_HEAD_BYTES));
    let mut stream = server.connect(1).await;
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = closed(&mut stream).await;
    assert!(answer.starts_with(b"HTTP/1.1 431 "), "{answer:?}");
    for body in ["Content-Length: 20000", "Transfer-Encoding: chunked"] {
        let head = format!("POST / HTTP/1.1\r\nHost: here\r\n{body}\r\n\r\n");
        let mut stream = server.connect(1).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = closed(&mut stream).await;
        assert!(answer.starts_with(b"HTTP/1.1 413 "), "{answer:?}");
    }
}

#[tokio::test]
async fn places_are_bounded_and_counted_and_become_free() {
    let server = Server::start(PATIENT);
    let mut first = Vec::new();
    for peer in [1, 1, 2, 2] {
        let mut stream = server.connect(peer).await;
        assert_eq!(answered(&mut stream, "/").await, "HTTP/1.1 200 OK");
        first.push(stream);
    }
    let mut third = server.connect(1).await;
    assert_eq!(closed(&mut third).await, b"");
    assert_eq!(server.metrics.refused.get(), 1);
    // All slots are occupied, but another peer gets one: the first connection is closed.
    let mut other = server.connect(3).await;
    assert_eq!(answered(&mut other, "/").await, "HTTP/1.1 200 OK");
    assert_eq!(closed(&mut first[0]).await, b"");
    assert_eq!(server.metrics.refused.get(), 2);
    assert_eq!(answered(&mut first[1], "/").await, "HTTP/1.1 200 OK");
    drop(first);
    while server.metrics.open.get() > 1 {
        tokio::task::yield_now().await;
    }
    let mut again = server.connect(2).await;
    assert_eq!(answered(&mut again, "/").await, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_shutdown_answers_open_requests_and_waits_for_no_idle_connection() {
    let mut server = Server::start(PATIENT);
    let mut idle = server.connect(1).await;
    assert_eq!(answered(&mut idle, "/").await, "HTTP/1.1 200 OK");
    let mut silent = server.connect(1).await;
    let mut waiting = server.connect(2).await;
    ask(&mut waiting, "/never").await;
    let started = Instant::now();
    server.end().await;
    assert!(started.elapsed() < LONG);
    for stream in [&mut idle, &mut silent, &mut waiting] {
        assert_eq!(closed(stream).await, b"");
    }
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn an_endless_answer_lasts_while_its_reader_takes_it() {
    let send = SHORT;
    let server = Server::start(cut(Timeouts {
        send,
        answer: SHORT,
        ..PATIENT.timeouts
    }));
    let mut quiet = server.connect(1).await;
    ask(&mut quiet, "/quiet").await;
    let mut reading = server.connect(2).await;
    ask(&mut reading, "/endless").await;
    let mut slow = server.connect(3).await;
    ask(&mut slow, "/endless").await;
    // Nobody reads from `slow`, so it is closed. The others stay.
    let mut bytes = vec![0; 1 << 20];
    while server.metrics.timed_out.get() == 0 {
        assert!(reading.read(&mut bytes).await.unwrap() > 0);
    }
    let until = Instant::now() + 2 * SHORT;
    while Instant::now() < until {
        assert!(reading.read(&mut bytes).await.unwrap() > 0);
    }
    assert_eq!(server.metrics.timed_out.get(), 1);
    assert!(closed(&mut slow).await.len() < 32 << 20);
    let head = quiet.read(&mut bytes).await.unwrap();
    assert!(bytes[..head].starts_with(b"HTTP/1.1 200 OK"));
    assert_eq!(server.metrics.open.get(), 2);
}
