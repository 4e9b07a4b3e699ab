//! Headers that may be secrets. They come from files and the environment, and may change while the observer runs.

use super::{read_password, read_secret, read_token};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How the observer identifies itself to the receiver. The files are read again every ten seconds, and when the receiver
/// answers 401.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum HttpAuth {
    /// `Authorization: Bearer` with a token, for example the token of a service account with an
    /// audience (a projected volume).
    #[serde(rename_all = "camelCase")]
    Bearer {
        /// File that holds the token.
        token_file: PathBuf,
    },
    /// `Authorization: Basic`.
    #[serde(rename_all = "camelCase")]
    Basic {
        /// Name of the user, without colon.
        user: String,
        /// File that holds the password.
        password_file: PathBuf,
    },
}

/// A header to send. Secrets come from the environment or from a file, which is read again every ten seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// Name of the header.
    pub name: String,
    /// Value of the header, if it is no secret.
    pub value: Option<String>,
    /// Environment variable that holds the value.
    pub from_env: Option<String>,
    /// File that holds the value.
    pub from_file: Option<PathBuf>,
}

/// Headers whose values are secrets. Such a value must come from a file or an environment variable,
/// not from the configuration itself.
const SECRET_HEADERS: [&str; 4] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
];

const ONE_SOURCE: &str = "give exactly one of value, fromEnv and fromFile";
const NO_COLON: &str = "a user's name must not hold a colon";

impl Header {
    /// Refuses settings that are invalid whatever the files and variables hold. The error holds the
    /// wrong field of the header (`None` if it is not a single field) and the reason. The reason
    /// does not quote the value.
    pub(crate) fn check(&self) -> Result<(), (Option<&'static str>, String)> {
        match (&self.value, &self.from_env, &self.from_file) {
            (Some(_), None, None) => match self.read_text() {
                Ok(_) => Ok(()),
                Err(reason) => Err((Some("value"), reason)),
            },
            (None, Some(_), None) | (None, None, Some(_)) => Ok(()),
            _ => Err((None, ONE_SOURCE.to_owned())),
        }
    }

    /// Returns whether the value comes from a file or variable, as secrets do.
    pub(crate) fn is_secret(&self) -> bool {
        self.value.is_none()
    }

    /// Reads the value.
    ///
    /// # Errors
    ///
    /// The value cannot be read or sent. The message never quotes it.
    pub(crate) fn read(&self) -> Result<HeaderValue, String> {
        sensitive(&self.read_text()?)
    }

    fn read_text(&self) -> Result<String, String> {
        let name = self.name.to_ascii_lowercase();
        match (&self.value, &self.from_env, &self.from_file) {
            (Some(_), None, None) if SECRET_HEADERS.contains(&name.as_str()) => Err(
                "secrets do not belong in the configuration: use fromEnv or fromFile".to_owned(),
            ),
            (Some(value), None, None) => Ok(value.clone()),
            #[expect(
                clippy::disallowed_methods,
                reason = "configuration names the variable"
            )]
            (None, Some(variable), None) => std::env::var(variable)
                .map_err(|_| format!("the environment variable {variable} is not set")),
            (None, None, Some(path)) => read_secret(path),
            _ => Err(ONE_SOURCE.to_owned()),
        }
    }
}

impl HttpAuth {
    /// Refuses a user name that `Authorization: Basic` cannot express.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::Basic { user, .. } if user.contains(':') => Err(NO_COLON.to_owned()),
            Self::Basic { .. } | Self::Bearer { .. } => Ok(()),
        }
    }

    /// Reads the files and returns the value of `Authorization`.
    ///
    /// # Errors
    ///
    /// A file cannot be read or used. The message names it, never its content.
    pub(crate) fn read(&self) -> Result<HeaderValue, String> {
        self.check()?;
        sensitive(&match self {
            Self::Bearer { token_file } => format!("Bearer {}", read_token(token_file)?),
            Self::Basic {
                user,
                password_file,
            } => {
                let pair = format!("{user}:{}", read_password(password_file)?);
                format!("Basic {}", STANDARD.encode(pair))
            }
        })
    }
}

/// Returns a value that debug output hides.
fn sensitive(text: &str) -> Result<HeaderValue, String> {
    let value = HeaderValue::from_str(text.trim_end());
    let mut value = value.map_err(|_| "its value has characters that a header cannot have")?;
    value.set_sensitive(true);
    Ok(value)
}
