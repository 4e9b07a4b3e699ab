//! An HTTP proxy as companies have one: `CONNECT` for tunnels, and requests with a whole URL. It keeps what it sees.

use std::sync::{Arc, Mutex};
use tokio::io::{self, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Longest head of a request.
const MAX_HEAD: usize = 64 * 1024;

/// A proxy on a port of its own. It ends when it is dropped.
#[derive(Debug)]
pub struct ForwardProxy {
    /// Where it is.
    pub url: String,
    seen: Arc<Mutex<Vec<String>>>,
    _server: JoinSet<()>,
}

impl ForwardProxy {
    /// Starts one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let mut server = JoinSet::new();
        server.spawn(accept(listener, seen.clone()));
        Self {
            url,
            seen,
            _server: server,
        }
    }

    /// The heads of all requests so far, headers included.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, seen: Arc<Mutex<Vec<String>>>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        while connections.try_join_next().is_some() {}
        let seen = seen.clone();
        connections.spawn(async move {
            // Either side may go at any time.
            carry(client, &seen).await.ok();
        });
    }
}

/// One request for each connection: the next may be for another server.
async fn carry(mut client: TcpStream, seen: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8(head).map_err(io::Error::other)?;
    seen.lock().unwrap().push(head.clone());
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    if method == "CONNECT" {
        let mut server = TcpStream::connect(target).await?;
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        io::copy_bidirectional(&mut client, &mut server).await?;
        return Ok(());
    }
    let address = target.split('/').nth(2).unwrap();
    let mut server = TcpStream::connect(address).await?;
    let (line, headers) = head.split_once("\r\n").unwrap();
    let line = line.replace(&format!("http://{address}"), "");
    let forwarded = format!("{line}\r\nconnection: close\r\n{headers}");
    server.write_all(forwarded.as_bytes()).await?;
    io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
