//! An HTTP proxy as in company networks: `CONNECT` for tunnels, and requests with an absolute URL.
//! It records the requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::io::{self, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Upper bound of a request head in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// A proxy on a free port. It ends when this value is dropped.
#[derive(Debug)]
pub struct ForwardProxy {
    /// URL of the proxy.
    pub url: String,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Vec<String>>,
    /// Addresses of names that only the proxy can resolve.
    names: Mutex<HashMap<String, String>>,
    /// Status line that answers `CONNECT` instead of a tunnel.
    refusal: Mutex<Option<&'static str>>,
}

impl ForwardProxy {
    /// Starts a proxy.
    pub async fn start() -> Self {
        Self::serve(None).await
    }

    /// Starts a proxy with TLS, as `localhost`.
    pub async fn start_tls(tls: rustls::ServerConfig) -> Self {
        Self::serve(Some(TlsAcceptor::from(Arc::new(tls)))).await
    }

    async fn serve(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = match &tls {
            None => format!("http://127.0.0.1:{port}"),
            Some(_) => format!("https://localhost:{port}"),
        };
        let shared: Arc<Shared> = Arc::default();
        let mut server = JoinSet::new();
        server.spawn(accept(listener, tls, shared.clone()));
        Self {
            url,
            shared,
            _server: server,
        }
    }

    /// Resolves a target (`host:port`) to an address.
    pub fn lead(&self, target: &str, address: &str) {
        let mut names = self.shared.names.lock().unwrap();
        names.insert(target.to_owned(), address.to_owned());
    }

    /// Refuses tunnels with this status line.
    pub fn refuse(&self, status: &'static str) {
        *self.shared.refusal.lock().unwrap() = Some(status);
    }

    /// Returns the heads of all requests so far, with their headers.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        while connections.try_join_next().is_some() {}
        let (shared, tls) = (shared.clone(), tls.clone());
        connections.spawn(async move {
            // Either side may close the connection at any time.
            match tls {
                None => carry(client, &shared).await.ok(),
                Some(tls) => match tls.accept(client).await {
                    Ok(client) => carry(client, &shared).await.ok(),
                    Err(_) => None,
                },
            }
        });
    }
}

/// Serves one request per connection, because the next may be for another server.
async fn carry<C>(mut client: C, shared: &Shared) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8(head).map_err(io::Error::other)?;
    shared.seen.lock().unwrap().push(head.clone());
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    if method == "CONNECT" {
        let refusal = *shared.refusal.lock().unwrap();
        if let Some(status) = refusal {
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            return client.write_all(answer.as_bytes()).await;
        }
        let known = shared.names.lock().unwrap().get(target).cloned();
        let mut server = TcpStream::connect(known.as_deref().unwrap_or(target)).await?;
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
