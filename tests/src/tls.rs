//! Certificate authorities and certificates for receivers with TLS.

use std::sync::{Arc, Mutex};

/// A certificate authority.
#[derive(Debug)]
pub struct Authority(rcgen::CertifiedIssuer<'static, rcgen::KeyPair>);

impl Default for Authority {
    fn default() -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        Self(rcgen::CertifiedIssuer::self_signed(params, key).unwrap())
    }
}

impl Authority {
    /// Returns its own certificate (PEM).
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Returns certificate and key for a name.
    #[must_use]
    pub fn sign(&self, name: &str) -> (rcgen::Certificate, rcgen::KeyPair) {
        self.sign_until(name, 4096)
    }

    /// Returns certificate and key that are valid until the end of a year.
    #[must_use]
    pub fn sign_until(&self, name: &str, year: i32) -> (rcgen::Certificate, rcgen::KeyPair) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 12, 31);
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    /// Returns a server whose certificate is of this authority. It requires a client certificate of
    /// the same authority.
    #[must_use]
    pub fn server(&self) -> rustls::ServerConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let wants = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::new(rustls::crypto::ring::default_provider()),
        );
        serve(wants.build().unwrap(), self.sign("localhost"))
    }

    /// Returns a server with another name, without client certificates.
    #[must_use]
    pub fn server_named(&self, name: &str) -> rustls::ServerConfig {
        let anybody = rustls::server::WebPkiClientVerifier::no_client_auth();
        serve(anybody, self.sign(name))
    }

    /// Returns a server whose certificate is valid until the end of a year, without client
    /// certificates.
    #[must_use]
    pub fn server_until(&self, year: i32) -> rustls::ServerConfig {
        let anybody = rustls::server::WebPkiClientVerifier::no_client_auth();
        serve(anybody, self.sign_until("localhost", year))
    }
}

fn serve(
    clients: Arc<dyn rustls::server::danger::ClientCertVerifier>,
    (certificate, key): (rcgen::Certificate, rcgen::KeyPair),
) -> rustls::ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap()
}

/// A listener that closes connections without TLS or with an invalid client certificate.
pub(crate) struct TlsListener {
    pub(crate) listener: tokio::net::TcpListener,
    pub(crate) tls: SharedTls,
}

/// TLS configuration of new connections.
pub(crate) type SharedTls = Arc<Mutex<Arc<rustls::ServerConfig>>>;

impl axum::serve::Listener for TlsListener {
    type Io = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            // As Go servers do.
            stream.set_nodelay(true).ok();
            let tls = self.tls.lock().unwrap().clone();
            let acceptor = tokio_rustls::TlsAcceptor::from(tls);
            if let Ok(stream) = acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
