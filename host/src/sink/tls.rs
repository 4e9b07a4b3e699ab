//! TLS of a receiver.

use super::{SinkError, secret_file};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// TLS of a receiver. The files are read again: for HTTP every ten seconds, else for every connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Certificates of authorities (PEM): the receiver's must come from one of these. The default are
    /// those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Certificate of the observer, with its chain (PEM), and its key in `keyFile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// Key of the observer's certificate (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
}

/// Certificates of authorities that are trusted beside those of the system.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ExtraRoots(Vec<CertificateDer<'static>>);

impl std::fmt::Debug for ExtraRoots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} certificates", self.0.len())
    }
}

impl ExtraRoots {
    /// Reads them from PEM. Certificates that cannot be authorities are left out, and counted: one of them in a bundle
    /// must not make the others useless.
    ///
    /// # Errors
    ///
    /// It is no PEM, or holds no certificate that can be used.
    pub fn from_pem(pem: &str) -> Result<(Self, usize), &'static str> {
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let certificates = certificates.map_err(|_| "it is no PEM")?;
        let count = certificates.len();
        let is_usable = |certificate: &CertificateDer<'static>| {
            rustls::RootCertStore::empty()
                .add(certificate.clone())
                .is_ok()
        };
        let usable: Vec<_> = certificates.into_iter().filter(is_usable).collect();
        match usable.len() {
            0 => Err("it holds no certificate of an authority in PEM"),
            some => Ok((Self(usable), count - some)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(AsRef::as_ref)
    }
}

impl TlsConfig {
    /// Refuses a certificate without key, and a key without certificate.
    pub(crate) fn check(&self) -> Result<(), SinkError> {
        if self.certificate_file.is_some() == self.key_file.is_some() {
            return Ok(());
        }
        let problem = "certificateFile and keyFile belong together";
        Err(SinkError::Tls(problem.to_owned()))
    }
}

/// Reads the files into what a connection needs.
///
/// # Errors
///
/// Names the file, never its content.
pub(super) fn client(tls: &TlsConfig) -> Result<rustls::ClientConfig, SinkError> {
    let problem = |error: rustls::Error| SinkError::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(problem)?;
    let builder = match &tls.ca_file {
        Some(file) => builder.with_root_certificates(roots(file)?),
        None => builder.with_platform_verifier().map_err(problem)?,
    };
    match (&tls.certificate_file, &tls.key_file) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(problem),
        _ => {
            let problem = "certificateFile and keyFile belong together";
            Err(SinkError::Tls(problem.to_owned()))
        }
    }
}

fn roots(file: &Path) -> Result<rustls::RootCertStore, SinkError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|_| not_pem(file))?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, SinkError> {
    let text = secret_file::read(file).map_err(SinkError::Tls)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(not_pem(file)),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, SinkError> {
    let text = secret_file::read(file).map_err(SinkError::Tls)?;
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| not_pem(file))
}

fn not_pem(file: &Path) -> SinkError {
    SinkError::Tls(format!("{} is no PEM that can be used", file.display()))
}
