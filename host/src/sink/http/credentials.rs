//! What an HTTP receiver is told of us, as far as it comes from files and the environment: it may
//! change while the observer runs.

use super::super::secret_file;
use super::super::{ExtraRoots, SinkError};
use super::config::{Header, HttpAuth, HttpConfig};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

/// Headers that say where a request ends and what it is.
const FRAMING: [&str; 9] = [
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Certificates and keys, as they stand in their files.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Tls {
    ca: Option<String>,
    /// Certificate and key.
    identity: Option<String>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// Names the file, never its content.
    pub(super) fn read_from(config: &HttpConfig) -> Result<Self, SinkError> {
        let Some(tls) = &config.tls else {
            return Ok(Self::default());
        };
        let identity = match (&tls.certificate_file, &tls.key_file) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                let (certificate, key) = (secret_file::read(certificate), secret_file::read(key));
                let together = certificate
                    .and_then(|certificate| key.map(|key| format!("{certificate}\n{key}")));
                Some(together.map_err(SinkError::Tls)?)
            }
            _ => {
                let problem = "certificateFile and keyFile belong together";
                return Err(SinkError::Tls(problem.to_owned()));
            }
        };
        let ca = tls.ca_file.as_deref().map(secret_file::read).transpose();
        Ok(Self {
            ca: ca.map_err(SinkError::Tls)?,
            identity,
        })
    }

    /// Has a client trust and show them; `roots` beside the system's, if there is no `caFile`.
    pub(super) fn apply(
        &self,
        mut builder: reqwest::ClientBuilder,
        roots: &ExtraRoots,
    ) -> Result<reqwest::ClientBuilder, SinkError> {
        let not_pem = |what: &str| SinkError::Tls(format!("{what} is no PEM that can be used"));
        if let Some(ca) = &self.ca {
            let certificates = reqwest::Certificate::from_pem_bundle(ca.as_bytes());
            let certificates = certificates.map_err(|_| not_pem("caFile"))?;
            if certificates.is_empty() {
                return Err(SinkError::Tls("caFile holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_only(certificates);
        } else {
            let roots: Result<Vec<_>, _> =
                roots.iter().map(reqwest::Certificate::from_der).collect();
            let roots = roots.map_err(|error| SinkError::Tls(error.to_string()))?;
            builder = builder.tls_certs_merge(roots);
        }
        if let Some(identity) = &self.identity {
            let identity = reqwest::Identity::from_pem(identity.as_bytes());
            builder =
                builder.identity(identity.map_err(|_| not_pem("certificateFile or keyFile"))?);
        }
        Ok(builder)
    }
}

/// What cannot be, whatever stands in the files: the path of each field, and what is wrong with it. Names the header, never
/// its value.
pub(super) fn problems(config: &HttpConfig) -> Vec<(String, SinkError)> {
    let mut problems = Vec::new();
    for (index, header) in config.headers.iter().enumerate() {
        let sources = [
            header.value.is_some(),
            header.from_env.is_some(),
            header.from_file.is_some(),
        ];
        if let Err(problem) = name(config, header) {
            problems.push((format!("headers[{index}].name"), problem));
        }
        if sources.into_iter().filter(|given| *given).count() != 1 {
            let problem = problem(&header.name)(ONE_SOURCE.to_owned());
            problems.push((format!("headers[{index}]"), problem));
        } else if header.value.is_some()
            && let Err(reason) = value(header)
        {
            let problem = problem(&header.name)(reason);
            problems.push((format!("headers[{index}].value"), problem));
        }
    }
    if let Some(HttpAuth::Basic { user, .. }) = &config.auth
        && user.contains(':')
    {
        let problem = problem("Authorization")(NO_COLON.to_owned());
        problems.push(("auth.basic.user".to_owned(), problem));
    }
    if let Some(tls) = &config.tls
        && let Err(problem) = tls.check()
    {
        problems.push(("tls".to_owned(), problem));
    }
    problems
}

const ONE_SOURCE: &str = "give exactly one of value, fromEnv and fromFile";
const NO_COLON: &str = "a user's name must not hold a colon";

fn problem(name: &str) -> impl Fn(String) -> SinkError {
    move |reason| SinkError::Header {
        name: name.to_owned(),
        reason,
    }
}

fn name(config: &HttpConfig, header: &Header) -> Result<HeaderName, SinkError> {
    let problem = problem(&header.name);
    let name: HeaderName = header
        .name
        .parse()
        .map_err(|_| problem("not a header name".to_owned()))?;
    if name.as_str().starts_with("ce-") || name == "content-type" {
        return Err(problem("it belongs to the event".to_owned()));
    }
    if FRAMING.contains(&name.as_str()) {
        return Err(problem("it is for HTTP to say".to_owned()));
    }
    let webhook = config.signing.is_some() || config.handshake.is_some();
    if webhook && name.as_str().starts_with("webhook-") {
        return Err(problem("`signing` and `handshake` give these".to_owned()));
    }
    if name == AUTHORIZATION && config.auth.is_some() {
        return Err(problem("`auth` gives it already".to_owned()));
    }
    Ok(name)
}

/// All headers that do not come from the event.
///
/// # Errors
///
/// Names the header or file, never its content.
pub(super) fn headers(config: &HttpConfig) -> Result<HeaderMap, SinkError> {
    let mut headers = HeaderMap::new();
    for header in &config.headers {
        let (name, problem) = (name(config, header)?, problem(&header.name));
        let text = value(header).map_err(&problem)?;
        headers.append(name, sensitive(&text).map_err(&problem)?);
    }
    if let Some(auth) = &config.auth {
        let problem = problem("Authorization");
        let text = authorization(auth).map_err(&problem)?;
        headers.insert(AUTHORIZATION, sensitive(&text).map_err(&problem)?);
    }
    Ok(headers)
}

fn sensitive(text: &str) -> Result<HeaderValue, String> {
    let value = HeaderValue::from_str(text.trim_end());
    let mut value = value.map_err(|_| "its value has characters that a header cannot have")?;
    value.set_sensitive(true);
    Ok(value)
}

fn authorization(auth: &HttpAuth) -> Result<String, String> {
    match auth {
        HttpAuth::Bearer { token_file } => {
            secret_file::read_token(token_file).map(|token| format!("Bearer {token}"))
        }
        HttpAuth::Basic { user, .. } if user.contains(':') => Err(NO_COLON.to_owned()),
        HttpAuth::Basic {
            user,
            password_file,
        } => {
            let pair = format!("{user}:{}", secret_file::read_password(password_file)?);
            Ok(format!("Basic {}", STANDARD.encode(pair)))
        }
    }
}

fn value(header: &Header) -> Result<String, String> {
    let secret = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "x-api-key",
    ];
    match (&header.value, &header.from_env, &header.from_file) {
        (Some(_), None, None) if secret.contains(&header.name.to_ascii_lowercase().as_str()) => {
            Err("secrets do not belong in the configuration: use fromEnv or fromFile".to_owned())
        }
        (Some(value), None, None) => Ok(value.clone()),
        #[expect(
            clippy::disallowed_methods,
            reason = "configuration names the variable"
        )]
        (None, Some(variable), None) => std::env::var(variable)
            .map_err(|_| format!("the environment variable {variable} is not set")),
        (None, None, Some(path)) => secret_file::read(path),
        _ => Err(ONE_SOURCE.to_owned()),
    }
}
