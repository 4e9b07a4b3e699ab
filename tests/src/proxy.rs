//! A TCP proxy that injects network faults into connections.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{self, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Fault of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// None.
    Pass,
    /// Reset at once: no request gets through.
    Refuse,
    /// The request gets through. The connection is reset after this many bytes of answers.
    Cut(usize),
    /// Accepted and never answered: no request gets through.
    BlackHole,
    /// After this many bytes of answers nothing passes in either direction, without a reset.
    HalfOpen(usize),
    /// The request gets through. The answer is 202 with a body that never ends: a byte at a time.
    Trickle,
    /// Like [`Fault::Trickle`], with the body at full speed.
    Flood,
    /// The request gets through. The answer is a head that never ends.
    EndlessHead,
    /// The request gets through. The answer is not HTTP.
    Nonsense,
}

/// Time between two bytes of [`Fault::Trickle`].
const TRICKLE: Duration = Duration::from_millis(10);
/// Beginning of the answers that never end.
const BODY: &[u8] = b"HTTP/1.1 202 Accepted\r\ncontent-length: 1000000000000\r\n\r\n";
const HEAD: &[u8] = b"HTTP/1.1 202 Accepted\r\nendless: ";
const NONSENSE: &[u8] = b"SSH-2.0-OpenSSH_9.2p1\r\n";

/// A proxy on a free port. It ends, with all its connections, when this value is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// URL of the receiver, with the port of the proxy.
    pub url: String,
    upstream: SocketAddr,
    port: u16,
    script: Arc<Mutex<VecDeque<Fault>>>,
    server: JoinSet<()>,
}

impl Proxy {
    /// Starts a proxy in front of the receiver at `url`. The first connections get the faults of
    /// `script`; later ones pass.
    pub async fn start(url: &str, script: Vec<Fault>) -> Self {
        let address = url.split('/').nth(2).unwrap();
        let upstream: SocketAddr = address.replace("localhost", "127.0.0.1").parse().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = Arc::new(Mutex::new(VecDeque::from(script)));
        let mut server = JoinSet::new();
        server.spawn(accept(listener, upstream, script.clone()));
        Self {
            url: url.replace(&upstream.port().to_string(), &port.to_string()),
            upstream,
            port,
            script,
            server,
        }
    }

    /// Closes the port and all connections: new connections are refused.
    pub async fn stop(&mut self) {
        self.server.shutdown().await;
    }

    /// Listens again on the same port.
    pub async fn start_again(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        let script = self.script.clone();
        self.server.spawn(accept(listener, self.upstream, script));
    }

    /// Applies these faults to the next connections.
    pub fn then(&self, faults: impl IntoIterator<Item = Fault>) {
        self.script.lock().unwrap().extend(faults);
    }

    /// Returns the number of faults that have not been applied to a connection yet.
    #[must_use]
    pub fn unused_faults(&self) -> usize {
        self.script.lock().unwrap().len()
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, script: Arc<Mutex<VecDeque<Fault>>>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        while connections.try_join_next().is_some() {}
        let fault = script.lock().unwrap().pop_front().unwrap_or(Fault::Pass);
        connections.spawn(async move {
            // A connection that ends with an error is normal here.
            carry(client, upstream, fault).await.ok();
        });
    }
}

async fn carry(mut client: TcpStream, upstream: SocketAddr, fault: Fault) -> io::Result<()> {
    match fault {
        Fault::Pass => pass(&mut client, upstream, usize::MAX).await?,
        Fault::Refuse => client.set_zero_linger()?,
        Fault::Cut(after) => {
            pass(&mut client, upstream, after).await?;
            client.set_zero_linger()?;
        }
        Fault::BlackHole => swallow(&mut client).await?,
        Fault::HalfOpen(after) => {
            pass(&mut client, upstream, after).await?;
            swallow(&mut client).await?;
        }
        Fault::Trickle | Fault::Flood | Fault::EndlessHead => {
            pass(&mut client, upstream, 0).await?;
            let head = fault == Fault::EndlessHead;
            client.write_all(if head { HEAD } else { BODY }).await?;
            let mut pace = tokio::time::interval(TRICKLE);
            loop {
                if fault == Fault::Trickle {
                    pace.tick().await;
                    client.write_all(b".").await?;
                } else {
                    client.write_all(&[b'.'; 4096]).await?;
                }
            }
        }
        Fault::Nonsense => {
            pass(&mut client, upstream, 0).await?;
            client.write_all(NONSENSE).await?;
            swallow(&mut client).await?;
        }
    }
    Ok(())
}

/// Forwards bytes in both directions until one side ends. Ends also when the server has sent more
/// than `answers` bytes, of which only `answers` are forwarded.
async fn pass(client: &mut TcpStream, upstream: SocketAddr, answers: usize) -> io::Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    let (mut requests, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let answer = async {
        let left = answers.try_into().unwrap_or(u64::MAX);
        let mut some = (&mut from_server).take(left);
        io::copy(&mut some, &mut to_client).await?;
        // Waits for a further byte of the server. When it arrives, the server has received the
        // request.
        from_server.peek(&mut [0]).await
    };
    tokio::select! {
        ended = io::copy(&mut requests, &mut to_server) => ended.map(drop),
        ended = answer => ended.map(drop),
    }
}

/// Reads until the client closes the connection.
async fn swallow(client: &mut TcpStream) -> io::Result<()> {
    io::copy(client, &mut io::sink()).await.map(drop)
}
