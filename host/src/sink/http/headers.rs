//! Headers that a sink adds to its requests: which names are allowed, and how the values are read.

use super::config::HttpConfig;
use crate::http::{Header, HttpError};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

/// Headers that control the framing of a request or describe its content. Only the HTTP client may
/// set them.
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

/// Returns the settings that are invalid for every content of the files and variables, each with
/// its path and the reason. A reason contains the name of the header, never its value.
pub(super) fn problems(config: &HttpConfig) -> Vec<(String, HttpError)> {
    let mut problems = Vec::new();
    for (index, header) in config.headers.iter().enumerate() {
        let path = format!("headers[{index}]");
        if let Err(problem) = name(config, header) {
            problems.push((format!("{path}.name"), problem));
        }
        if let Err((field, reason)) = header.check() {
            let path = match field {
                Some(field) => format!("{path}.{field}"),
                None => path,
            };
            problems.push((path, HttpError::header(&header.name)(reason)));
        }
    }
    if let Some(Err(reason)) = config.auth.as_ref().map(|auth| auth.check()) {
        let problem = HttpError::header("Authorization")(reason);
        problems.push(("auth.basic.user".to_owned(), problem));
    }
    problems
}

/// Returns the parsed name of a header, or an error if a sink may not add this header.
fn name(config: &HttpConfig, header: &Header) -> Result<HeaderName, HttpError> {
    let refuse = |reason: &str| Err(HttpError::header(&header.name)(reason.to_owned()));
    let Ok(name) = header.name.parse::<HeaderName>() else {
        return refuse("not a header name");
    };
    let is_webhook = config.signing.is_some() || config.handshake.is_some();
    match name.as_str() {
        event if event.starts_with("ce-") || event == "content-type" => {
            refuse("it belongs to the event")
        }
        framing if FRAMING.contains(&framing) => refuse("the HTTP client sets it itself"),
        webhook if is_webhook && webhook.starts_with("webhook-") => {
            refuse("`signing` and `handshake` set it already")
        }
        _ if name == AUTHORIZATION && config.auth.is_some() => refuse("`auth` sets it already"),
        _ => Ok(name),
    }
}

/// Reads all headers that do not come from the event.
///
/// # Errors
///
/// A value cannot be read or sent. The error names the header or the file, never the content.
pub(super) fn read(config: &HttpConfig) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::new();
    for header in &config.headers {
        let name = name(config, header)?;
        let value = header.read().map_err(HttpError::header(&header.name))?;
        headers.append(name, value);
    }
    if let Some(auth) = &config.auth {
        let value = auth.read().map_err(HttpError::header("Authorization"))?;
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}
