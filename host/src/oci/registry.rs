//! Pulls and pushes one artifact.

use super::error::OciError;
use super::request::Request;
use crate::bounded_file;
use crate::http::{
    ClientOptions, ExtraRoots, HttpClient, HttpResponse, HttpUrl, LocalAddresses, ProxyUse,
    RequestBody, TlsConfig, TlsFiles,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use step_observer_oci::{
    About, Access, Artifact, Challenge, Credential, Digest, MANIFEST_TYPES, MAX_MANIFEST_BYTES,
    Manifest, Reference, TokenRequest, find_credential, token,
};

/// Longest time for one request, from connecting to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Most places that an answer may lead to, one after the other.
const MAX_REDIRECTS: usize = 4;
/// Longest answer with a token, in bytes.
const MAX_TOKEN_ANSWER: usize = 64 * 1024;
/// Largest file with credentials, in bytes: a Secret of Kubernetes holds no more.
const MAX_CREDENTIALS_BYTES: u64 = 1024 * 1024;
/// The file in the folder that `DOCKER_CONFIG` names.
const CONFIG_FILE: &str = "config.json";

/// Finds credentials elsewhere than in a file.
pub trait CredentialSource: Debug + Send + Sync {
    /// Returns the credential for the repository of an artifact; `None` if there is none. Called only if the registry asks for it.
    fn find<'a>(
        &'a self,
        reference: &'a Reference,
    ) -> BoxFuture<'a, Result<Option<Credential>, OciError>>;
}

/// How a registry is reached.
#[derive(Clone, Debug, Default)]
pub struct RegistryAccess {
    /// Without TLS.
    pub plain_http: bool,
    /// Authorities whose certificates are trusted. The default is those of the system.
    pub ca_file: Option<PathBuf>,
    /// Docker's `config.json`, or the folder with it. Read only if the registry asks for credentials.
    pub docker_config: Option<PathBuf>,
    /// The credentials, if they are not in a file. Then `docker_config` is not read.
    pub credentials: Option<Arc<dyn CredentialSource>>,
    /// Addresses that the registry may have, and every place that it leads to.
    pub local_addresses: LocalAddresses,
    /// Hosts, beside the registry's own, that get the credentials to issue a token.
    pub token_hosts: Vec<String>,
    /// Size of the largest plugin, in bytes.
    pub max_bytes: u64,
}

/// A plugin from a registry. The digests of manifest and layer were compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Digest of the manifest, which names the artifact.
    pub manifest: Digest,
    /// The file of the plugin.
    pub module: Vec<u8>,
    /// Its minisign signature, if the manifest has one.
    pub signature: Option<String>,
}

/// Manifest and layer of a plugin, as the registry has them. Their digests were compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) manifest: Vec<u8>,
    pub(super) layer: Vec<u8>,
}

impl Contents {
    /// Compares the layer with the manifest, and takes the plugin from it.
    ///
    /// # Errors
    ///
    /// The manifest is not that of a plugin, or the layer is another, or it holds no plugin.
    pub(super) fn plugin(self, reference: &Reference, max_bytes: u64) -> Result<Pulled, OciError> {
        let digest = Digest::of(&self.manifest);
        let read = manifest(reference, &self.manifest, max_bytes)?;
        match Digest::of(&self.layer) {
            found if found == read.layer.digest => {}
            found => {
                return Err(OciError::Digest {
                    what: "the layer",
                    expected: read.layer.digest,
                    found,
                });
            }
        }
        let module = read.kind.module(self.layer, max_bytes);
        Ok(Pulled {
            manifest: digest,
            module: module.map_err(|source| OciError::Layer {
                reference: reference.to_string(),
                source,
            })?,
            signature: read.signature,
        })
    }
}

/// Reads the manifest of a reference, whose digest it must have.
fn manifest(reference: &Reference, bytes: &[u8], max_bytes: u64) -> Result<Manifest, OciError> {
    let found = Digest::of(bytes);
    if let Some(expected) = reference.digest()
        && expected != found
    {
        return Err(OciError::Digest {
            what: "the manifest",
            expected,
            found,
        });
    }
    Manifest::parse(bytes, max_bytes).map_err(|source| OciError::Manifest {
        reference: reference.to_string(),
        source,
    })
}

/// An artifact in its registry.
#[derive(Debug)]
pub struct Registry {
    client: HttpClient,
    /// Address of the registry, without a path.
    url: HttpUrl,
    reference: Reference,
    access: RegistryAccess,
    /// Sent with each request after the registry has asked for it.
    authorization: Option<HeaderValue>,
}

impl Registry {
    /// Prepares requests. Contacts nothing.
    ///
    /// # Errors
    ///
    /// The certificates cannot be used.
    pub fn new(reference: Reference, access: RegistryAccess) -> Result<Self, OciError> {
        let scheme = match access.plain_http {
            true => "http",
            false => "https",
        };
        let url = HttpUrl::try_from(format!("{scheme}://{}", reference.registry()));
        let url = url.map_err(|reason| OciError::Unreachable {
            what: reference.to_string(),
            reason,
        })?;
        let tls = TlsConfig {
            ca_file: access.ca_file.clone(),
            ..TlsConfig::default()
        };
        let client = HttpClient::new(&ClientOptions {
            url: &url,
            timeout: TIMEOUT,
            max_idle: 1,
            proxy: ProxyUse::Environment,
            tls: &TlsFiles::read(&tls)?,
            extra_roots: &ExtraRoots::default(),
            local_addresses: access.local_addresses.clone(),
        })?;
        Ok(Self {
            client,
            url,
            reference,
            access,
            authorization: None,
        })
    }

    /// Pulls the plugin.
    ///
    /// # Errors
    ///
    /// The registry cannot be reached or refuses, or what it has is not that plugin.
    pub async fn pull(self) -> Result<Pulled, OciError> {
        let (reference, max_bytes) = (self.reference.clone(), self.access.max_bytes);
        self.contents().await?.plugin(&reference, max_bytes)
    }

    /// Pulls manifest and layer.
    ///
    /// # Errors
    ///
    /// As for [`Registry::pull`], but for what is in the layer.
    pub(super) async fn contents(mut self) -> Result<Contents, OciError> {
        let bytes = self.manifest().await?;
        let read = manifest(&self.reference, &bytes, self.access.max_bytes)?;
        Ok(Contents {
            manifest: bytes,
            layer: self.blob(read.layer.digest, read.layer.size).await?,
        })
    }

    async fn manifest(&mut self) -> Result<Vec<u8>, OciError> {
        let version = self.reference.version();
        let what = format!("the manifest of {}", self.reference);
        let mut request = Request::new(Method::GET, self.below(&["manifests", &version]), what);
        for accepted in MANIFEST_TYPES {
            let accepted = HeaderValue::from_static(accepted);
            request.headers.append(ACCEPT, accepted);
        }
        let response = self
            .expect(&request, &[StatusCode::OK], Access::Pull)
            .await?;
        // One more byte shows that there is more.
        Ok(response.read(MAX_MANIFEST_BYTES.saturating_add(1)).await)
    }

    async fn blob(&mut self, digest: Digest, size: u64) -> Result<Vec<u8>, OciError> {
        let what = format!("the layer {digest} of {}", self.reference);
        let url = self.below(&["blobs", &digest.to_string()]);
        let mut request = Request::new(Method::GET, url, what);
        let mut response = self.authorized(&request, Access::Pull).await?;
        let mut redirects = 0;
        while response.status().is_redirection() {
            let next = request.location(response.headers());
            redirects += 1;
            request.url = self.followed(&request.what, next, redirects)?;
            // Without credentials: the place may belong to others.
            response = self.send(&request, None).await?;
        }
        if response.status() != StatusCode::OK {
            return Err(request.refused(response).await);
        }
        let most = usize::try_from(size).unwrap_or(usize::MAX);
        let bytes = response.read(most.saturating_add(1)).await;
        let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if found != size {
            return Err(OciError::Length {
                expected: size,
                found,
            });
        }
        match Digest::of(&bytes) {
            found if found == digest => Ok(bytes),
            found => Err(OciError::Digest {
                what: "the layer",
                expected: digest,
                found,
            }),
        }
    }

    /// Returns the next place of a content, if it may be asked: a few, and with TLS, unless the registry itself is used without it.
    fn followed(
        &self,
        what: &str,
        place: Option<url::Url>,
        count: usize,
    ) -> Result<HttpUrl, OciError> {
        let refused = |place: String| OciError::Redirect {
            what: what.to_owned(),
            place,
        };
        let place = place.ok_or_else(|| refused("no place".to_owned()))?;
        let origin = place.origin().ascii_serialization();
        if count > MAX_REDIRECTS {
            return Err(refused(format!("more than {MAX_REDIRECTS} places")));
        }
        let is_safe = place.scheme() == "https" || self.access.plain_http;
        match HttpUrl::try_from(String::from(place)) {
            Ok(url) if is_safe => Ok(url),
            _ => Err(refused(origin)),
        }
    }

    /// Pushes a plugin. Returns the digest of its manifest.
    ///
    /// # Errors
    ///
    /// The registry cannot be reached or refuses.
    pub async fn push(mut self, module: Vec<u8>, about: &About) -> Result<Digest, OciError> {
        let artifact = Artifact::new(&module, about).map_err(|source| OciError::Manifest {
            reference: self.reference.to_string(),
            source: source.into(),
        })?;
        if let Some(expected) = self.reference.digest()
            && expected != artifact.digest()
        {
            return Err(OciError::Digest {
                what: "the manifest",
                expected,
                found: artifact.digest(),
            });
        }
        self.upload(artifact.module, module.into()).await?;
        let config = Digest::of(&artifact.config);
        self.upload(config, artifact.config.clone().into()).await?;
        let what = format!("the manifest of {}", self.reference);
        let version = match self.reference.tag() {
            Some(tag) => tag.to_owned(),
            None => artifact.digest().to_string(),
        };
        let url = self.below(&["manifests", &version]);
        let request = Request::new(Method::PUT, url, what)
            .with_body(artifact.manifest.clone(), Artifact::MANIFEST_TYPE);
        let created = [StatusCode::CREATED, StatusCode::OK];
        self.expect(&request, &created, Access::Push).await?;
        Ok(artifact.digest())
    }

    /// Uploads a content in one piece (OCI distribution 1.1, "POST then PUT"), unless the registry has it.
    async fn upload(&mut self, digest: Digest, content: Bytes) -> Result<(), OciError> {
        let what = format!("upload to {}", self.reference);
        let place = self.below(&["blobs", &digest.to_string()]);
        let asked = Request::new(Method::HEAD, place, &*what);
        if self.authorized(&asked, Access::Push).await?.status() == StatusCode::OK {
            return Ok(());
        }
        // With an empty last segment, because the path ends with a slash.
        let start = Request::new(Method::POST, self.below(&["blobs", "uploads", ""]), &*what);
        let accepted = [StatusCode::ACCEPTED];
        let response = self.expect(&start, &accepted, Access::Push).await?;
        let place = start.location(response.headers());
        let refused = |place: String| OciError::Redirect {
            what: what.clone(),
            place,
        };
        let mut place = place.ok_or_else(|| refused("no place".to_owned()))?;
        if place.origin().ascii_serialization() != self.url.origin() {
            return Err(refused(place.origin().ascii_serialization()));
        }
        place
            .query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        let url = HttpUrl::try_from(String::from(place)).map_err(refused)?;
        let request =
            Request::new(Method::PUT, url, &*what).with_body(content, "application/octet-stream");
        let created = [StatusCode::CREATED, StatusCode::OK];
        self.expect(&request, &created, Access::Push).await?;
        Ok(())
    }

    /// Returns an address below that of the repository.
    fn below(&self, segments: &[&str]) -> HttpUrl {
        let repository = self.reference.repository().split('/');
        let path = ["v2"].into_iter().chain(repository);
        let path: Vec<&str> = path.chain(segments.iter().copied()).collect();
        self.url.below(&path)
    }

    async fn expect(
        &mut self,
        request: &Request,
        expected: &[StatusCode],
        access: Access,
    ) -> Result<HttpResponse, OciError> {
        let response = self.authorized(request, access).await?;
        match expected.contains(&response.status()) {
            true => Ok(response),
            false => Err(request.refused(response).await),
        }
    }

    /// Sends a request. If the registry asks for credentials, sends it once more with them.
    async fn authorized(
        &mut self,
        request: &Request,
        access: Access,
    ) -> Result<HttpResponse, OciError> {
        let response = self.send(request, self.authorization.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let Some(authorization) = self.answer(response.headers(), access).await? else {
            return Ok(response);
        };
        self.authorization = Some(authorization);
        self.send(request, self.authorization.as_ref()).await
    }

    /// Answers a challenge. Returns `None` if there is no credential that could answer it.
    async fn answer(
        &self,
        headers: &HeaderMap,
        access: Access,
    ) -> Result<Option<HeaderValue>, OciError> {
        let challenge = |source| OciError::Challenge {
            registry: self.reference.registry().to_owned(),
            source,
        };
        let headers = headers.get_all(WWW_AUTHENTICATE).iter();
        let headers = headers.filter_map(|header| header.to_str().ok());
        let asked = Challenge::parse(headers).map_err(challenge)?;
        let credential = match &self.access.credentials {
            Some(source) => source.find(&self.reference).await?,
            None => self.credential_in_file()?,
        };
        let value = match (asked, credential) {
            (_, Some(Credential::Token(token))) => Some(format!("Bearer {token}")),
            (Challenge::Basic, None) => None,
            (Challenge::Basic, Some(credential)) => {
                let basic = credential.basic();
                Some(
                    basic
                        .ok_or_else(|| challenge(step_observer_oci::ChallengeError::Credential))?,
                )
            }
            (Challenge::Bearer { realm, service }, credential) => {
                let request = TokenRequest::new(
                    (&realm, service.as_deref()),
                    &self.reference,
                    access,
                    credential.as_ref(),
                    self.access.plain_http,
                    &self.access.token_hosts,
                );
                let token = self.token(request.map_err(challenge)?).await?;
                Some(format!("Bearer {token}"))
            }
        };
        // A credential that no header can hold cannot be sent.
        let sensitive = |value: String| {
            let mut header = HeaderValue::from_str(&value).ok()?;
            header.set_sensitive(true);
            Some(header)
        };
        Ok(value.and_then(sensitive))
    }

    async fn token(&self, asked: TokenRequest) -> Result<String, OciError> {
        let what = format!("the token for {}", self.reference);
        let unusable = |reason: String| OciError::Unreachable {
            what: what.clone(),
            reason,
        };
        let url = HttpUrl::try_from(String::from(asked.url)).map_err(unusable)?;
        let request = match asked.form {
            None => Request::new(Method::GET, url, &*what),
            Some(form) => Request::new(Method::POST, url, &*what)
                .with_body(form, "application/x-www-form-urlencoded"),
        };
        let basic = asked.basic.and_then(|credential| credential.basic());
        let basic = basic.and_then(|value| HeaderValue::from_str(&value).ok());
        let response = self.send(&request, basic.as_ref()).await?;
        if response.status() != StatusCode::OK {
            return Err(request.refused(response).await);
        }
        let answer = response.read(MAX_TOKEN_ANSWER).await;
        token(&answer).map_err(|source| OciError::Challenge {
            registry: self.reference.registry().to_owned(),
            source,
        })
    }

    /// Reads the credential for the repository from Docker's `config.json`.
    fn credential_in_file(&self) -> Result<Option<Credential>, OciError> {
        let Some(path) = &self.access.docker_config else {
            return Ok(None);
        };
        let path = match path.is_dir() {
            true => path.join(CONFIG_FILE),
            false => path.clone(),
        };
        let shown = || path.display().to_string();
        let unreadable = |source| OciError::CredentialsFile {
            path: shown(),
            source,
        };
        let config = bounded_file::read(&path, MAX_CREDENTIALS_BYTES).map_err(unreadable)?;
        if config.len() as u64 > MAX_CREDENTIALS_BYTES {
            let problem = format!("it has more than {MAX_CREDENTIALS_BYTES} bytes");
            return Err(unreadable(std::io::Error::other(problem)));
        }
        find_credential(&config, &self.reference).map_err(|source| OciError::Credentials {
            path: shown(),
            source,
        })
    }

    async fn send(
        &self,
        request: &Request,
        authorization: Option<&HeaderValue>,
    ) -> Result<HttpResponse, OciError> {
        let mut headers = request.headers.clone();
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, value.clone());
        }
        let body = request.body.clone().map(RequestBody::from);
        let method = request.method.clone();
        let sent = self.client.send(method, &request.url, headers, body).await;
        sent.map_err(|reason| OciError::Unreachable {
            what: request.what.clone(),
            reason,
        })
    }
}
