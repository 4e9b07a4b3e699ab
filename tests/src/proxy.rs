//! A TCP proxy that does to each connection what a network does at its worst.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{self, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What becomes of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Pass,
    /// It is reset at once: no request gets through.
    Refuse,
    /// It is reset after so many bytes of answers: the request gets through.
    Cut(usize),
    /// It is accepted and never answered: no request gets through.
    BlackHole,
    /// After so many bytes of answers nothing gets through in either direction, and nobody says so.
    HalfOpen(usize),
    /// The request gets through. The answer is 202 with a body that does not end: a byte now and then.
    Trickle,
    /// The same, with a body as fast as it is read.
    Flood,
    /// The request gets through. The answer is a head that does not end.
    EndlessHead,
    /// The request gets through. The answer is no HTTP.
    Nonsense,
}

/// The pace of [`Fault::Trickle`].
const TRICKLE: Duration = Duration::from_millis(10);
/// How answers begin that do not end well.
const BODY: &[u8] = b"HTTP/1.1 202 Accepted\r\ncontent-length: 1000000000000\r\n\r\n";
const HEAD: &[u8] = b"HTTP/1.1 202 Accepted\r\nendless: ";
const NONSENSE: &[u8] = b"SSH-2.0-OpenSSH_9.2p1\r\n";

/// A proxy on a port of its own. It ends when it is dropped, with all its connections.
#[derive(Debug)]
pub struct Proxy {
    /// Where it is: the URL of the receiver, with another port.
    pub url: String,
    upstream: SocketAddr,
    port: u16,
    script: Arc<Mutex<VecDeque<Fault>>>,
    server: JoinSet<()>,
}

impl Proxy {
    /// Starts one before the receiver at `url`. The first connections get the faults of `script`, all
    /// later ones pass.
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

    /// Closes the port and all connections: who connects is refused.
    pub async fn stop(&mut self) {
        self.server.shutdown().await;
    }

    /// Listens again where it did.
    pub async fn start_again(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        let script = self.script.clone();
        self.server.spawn(accept(listener, self.upstream, script));
    }

    /// The next connections get these faults.
    pub fn then(&self, faults: impl IntoIterator<Item = Fault>) {
        self.script.lock().unwrap().extend(faults);
    }

    /// Faults that no connection has had.
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
            // That one side is gone is what connections are for here.
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

/// Passes everything on until one side ends, or so many bytes of answers have passed and there are more.
async fn pass(client: &mut TcpStream, upstream: SocketAddr, answers: usize) -> io::Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    let (mut requests, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let answer = async {
        let left = answers.try_into().unwrap_or(u64::MAX);
        let mut some = (&mut from_server).take(left);
        io::copy(&mut some, &mut to_client).await?;
        // The receiver has the request by then.
        from_server.peek(&mut [0]).await
    };
    tokio::select! {
        ended = io::copy(&mut requests, &mut to_server) => ended.map(drop),
        ended = answer => ended.map(drop),
    }
}

/// Reads until the client gives up.
async fn swallow(client: &mut TcpStream) -> io::Result<()> {
    io::copy(client, &mut io::sink()).await.map(drop)
}
