//! TLS connections to a server: the settings, the files that they name, and the `ClientConfig` for
//! a connection.

use super::{HttpError, read_secret};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// TLS of a receiver. For HTTP, the files are read again every ten seconds; for other receivers,
/// they are read for each connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Certificates of authorities (PEM). One of them must have issued the receiver's certificate. The default is the
    /// authorities of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Certificate of the observer with its chain (PEM). Its key is in `keyFile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// Key of the observer's certificate (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
}

impl TlsConfig {
    /// Refuses a certificate without key, and a key without certificate.
    pub(crate) fn check(&self) -> Result<(), HttpError> {
        match self.certificate_file.is_some() == self.key_file.is_some() {
            true => Ok(()),
            false => Err(HttpError::Tls(
                "certificateFile and keyFile belong together".to_owned(),
            )),
        }
    }

    /// Reads the files and returns the settings of a connection.
    ///
    /// # Errors
    ///
    /// A file cannot be read or used. The error names the file, never its content.
    #[cfg(any(feature = "kafka", feature = "nats"))]
    pub(crate) fn client_config(&self) -> Result<ClientConfig, HttpError> {
        TlsFiles::read(self)?.client_config(&ExtraRoots::default())
    }
}

/// Certificates of authorities that are trusted in addition to those of the system.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ExtraRoots(Vec<CertificateDer<'static>>);

impl std::fmt::Debug for ExtraRoots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} certificates", self.0.len())
    }
}

impl ExtraRoots {
    /// Reads certificates from PEM. Returns them with the number of certificates that cannot be authorities and are
    /// omitted: one such certificate in a bundle must not make the others useless.
    ///
    /// # Errors
    ///
    /// The text is no PEM, or holds no certificate that can be used.
    pub fn from_pem(pem: &str) -> Result<(Self, usize), &'static str> {
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let certificates = certificates.map_err(|_| "it is no PEM")?;
        let count = certificates.len();
        let is_usable = |certificate: &CertificateDer<'static>| {
            RootCertStore::empty().add(certificate.clone()).is_ok()
        };
        let usable: Vec<_> = certificates.into_iter().filter(is_usable).collect();
        match usable.len() {
            0 => Err("it holds no certificate of an authority in PEM"),
            some => Ok((Self(usable), count - some)),
        }
    }
}

/// The content of the files that a [`TlsConfig`] names. Two values can be compared, to find out that a file has changed.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    ca: Option<PemFile>,
    /// The certificate and its key.
    identity: Option<(PemFile, PemFile)>,
}

#[derive(Clone, PartialEq, Eq)]
struct PemFile {
    /// The setting that names the file.
    field: &'static str,
    path: PathBuf,
    text: String,
}

impl TlsFiles {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// A file cannot be read. The error names the file, never its content.
    pub(crate) fn read(config: &TlsConfig) -> Result<Self, HttpError> {
        config.check()?;
        let read = |field, path: &Option<PathBuf>| {
            let path = path.as_deref();
            path.map(|path| PemFile::read(field, path)).transpose()
        };
        let certificate = read("certificateFile", &config.certificate_file)?;
        let key = read("keyFile", &config.key_file)?;
        Ok(Self {
            ca: read("caFile", &config.ca_file)?,
            identity: certificate.zip(key),
        })
    }

    /// Returns the settings of a connection. `extra_roots` are trusted in addition to the system's authorities, unless
    /// `caFile` replaces those.
    ///
    /// # Errors
    ///
    /// A file holds no PEM that can be used, or the system's authorities cannot be loaded.
    pub(crate) fn client_config(
        &self,
        extra_roots: &ExtraRoots,
    ) -> Result<ClientConfig, HttpError> {
        let refused = |error: rustls::Error| HttpError::Tls(error.to_string());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(refused)?;
        let builder = match &self.ca {
            Some(file) => builder.with_root_certificates(file.roots()?),
            None => {
                let verifier = Verifier::new_with_extra_roots(extra_roots.0.clone(), provider)
                    .map_err(|error| HttpError::SystemRoots(error.to_string()))?;
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        match &self.identity {
            None => Ok(builder.with_no_client_auth()),
            Some((certificate, key)) => builder
                .with_client_auth_cert(certificate.certificates()?, key.private_key()?)
                .map_err(refused),
        }
    }
}

/// Returns settings for connections without TLS: they trust nothing, and so need no bundle of CA certificates.
pub(super) fn without_roots() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

impl PemFile {
    fn read(field: &'static str, path: &Path) -> Result<Self, HttpError> {
        Ok(Self {
            field,
            path: path.to_owned(),
            text: read_secret(path).map_err(HttpError::Tls)?,
        })
    }

    fn roots(&self) -> Result<RootCertStore, HttpError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|_| self.unusable())?;
        }
        Ok(roots)
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, HttpError> {
        let certificates = CertificateDer::pem_slice_iter(self.text.as_bytes());
        match certificates.collect::<Result<Vec<_>, _>>() {
            Ok(certificates) if !certificates.is_empty() => Ok(certificates),
            _ => Err(self.unusable()),
        }
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, HttpError> {
        PrivateKeyDer::from_pem_slice(self.text.as_bytes()).map_err(|_| self.unusable())
    }

    fn unusable(&self) -> HttpError {
        let (field, path) = (self.field, self.path.display());
        HttpError::Tls(format!("{field}: {path} is no PEM that can be used"))
    }
}
