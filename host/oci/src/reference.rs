//! Names of artifacts in registries (OCI distribution 1.1, "Pulling manifests").

use crate::{Digest, DigestError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use url::Url;

/// Name of an artifact: `registry/repository:tag@sha256:…`, with a tag, a digest, or both. `oci://` before it is accepted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text names no artifact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The name does not begin with a host.
    #[error(
        "`{0}` is no host of a registry; write registry.example/repository:tag (there is no default registry)"
    )]
    Registry(String),
    /// The name of the repository breaks the rules.
    #[error(
        "`{0}` is no name of a repository: it has lower-case letters, digits, and `.`, `_`, `-` and `/` between them"
    )]
    Repository(String),
    /// The tag breaks the rules.
    #[error(
        "`{0}` is no tag: it has up to 128 letters, digits, `_`, `.` and `-`, and begins with none of the last two"
    )]
    Tag(String),
    /// The digest breaks the rules.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// Neither a tag nor a digest says which version is meant.
    #[error("the version is missing: add a digest (`@sha256:…`) or a tag (`:1.0`)")]
    Version,
    /// Credentials are in the name.
    #[error("a reference holds no user and password: write them into Docker's config.json")]
    User,
    /// The text is longer than any reference.
    #[error("a reference has at most {MAX_BYTES} bytes")]
    Length,
}

/// Longest reference, in bytes. Registries bound host and repository together to 255.
const MAX_BYTES: usize = 512;

/// Scheme before a reference.
const SCHEME: &str = "oci://";

impl Reference {
    /// Returns host and port.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the name of the repository.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest of the manifest.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Returns the same artifact with the digest of its manifest, which a tag that moves does not change.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self {
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// Returns what a request for the manifest names: the digest, else the tag.
    #[must_use]
    pub fn version(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.clone().unwrap_or_default(),
        }
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.len() > MAX_BYTES {
            return Err(ReferenceError::Length);
        }
        let text = text.strip_prefix(SCHEME).unwrap_or(text);
        let (name, digest) = match text.split_once('@') {
            Some((user, _)) if !user.contains('/') => return Err(ReferenceError::User),
            Some((name, digest)) => (name, Some(digest.parse()?)),
            None => (text, None),
        };
        let Some((host, path)) = name.split_once('/') else {
            return Err(ReferenceError::Registry(name.to_owned()));
        };
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        let registry = registry(host).ok_or_else(|| ReferenceError::Registry(host.to_owned()))?;
        if !is_repository(repository) {
            return Err(ReferenceError::Repository(repository.to_owned()));
        }
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(ReferenceError::Tag(tag.to_owned()));
        }
        if tag.is_none() && digest.is_none() {
            return Err(ReferenceError::Version);
        }
        Ok(Self {
            registry,
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

/// Returns a host with its port as URLs write it. A name without a dot and a port could also be the first part of a repository, so it is
/// refused, but for `localhost`.
pub(crate) fn registry(host: &str) -> Option<String> {
    let url = Url::parse(&format!("https://{host}")).ok()?;
    let name = url.host_str()?;
    let is_only_host = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let is_anonymous = url.username().is_empty() && url.password().is_none();
    // A backslash is a slash in a URL, and tabs are removed from it.
    let is_clean = host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    let is_host = host.contains(['.', ':']) || name == "localhost";
    if !(is_only_host && is_anonymous && is_clean && is_host) {
        return None;
    }
    // An IPv6 address has colons within its brackets.
    match host.rsplit(']').next()?.split_once(':') {
        Some((_, port)) => Some(format!("{name}:{}", port.parse::<u16>().ok()?)),
        None => Some(name.to_owned()),
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`
pub(crate) fn is_repository(name: &str) -> bool {
    name.split('/').all(|part| {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let separators = part.split(is_word).filter(|between| !between.is_empty());
        part.starts_with(is_word)
            && part.ends_with(is_word)
            && separators
                .into_iter()
                .all(|of| matches!(of, "." | "_" | "__") || of.bytes().all(|byte| byte == b'-'))
    })
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&tag.len())
        && tag.bytes().next().is_some_and(is_word)
        && tag
            .bytes()
            .all(|byte| is_word(byte) || b".-".contains(&byte))
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Result<Reference, ReferenceError> {
        text.parse()
    }

    #[test]
    fn a_reference_has_a_host_a_repository_and_a_version() {
        let digest = Digest::of(b"");
        for (text, registry, repository, tag) in [
            (
                "registry.example/redact:1.0",
                "registry.example",
                "redact",
                Some("1.0"),
            ),
            (
                "oci://localhost/a/b_c/d__e:x",
                "localhost",
                "a/b_c/d__e",
                Some("x"),
            ),
            (
                "localhost:5000/a---b:_",
                "localhost:5000",
                "a---b",
                Some("_"),
            ),
            ("127.0.0.1:5000/a.b:V1", "127.0.0.1:5000", "a.b", Some("V1")),
            ("[::1]:5000/a:1", "[::1]:5000", "a", Some("1")),
            (
                "Registry.Example:443/a:1",
                "registry.example:443",
                "a",
                Some("1"),
            ),
        ] {
            let found = parsed(text).unwrap();
            assert_eq!(
                (
                    found.registry(),
                    found.repository(),
                    found.tag(),
                    found.digest()
                ),
                (registry, repository, tag, None),
                "{text}"
            );
            assert_eq!(found.version(), tag.unwrap_or_default());
            let pinned = parsed(&format!("{text}@{digest}")).unwrap();
            assert_eq!(pinned, found.pinned(digest));
            assert_eq!(pinned.version(), digest.to_string());
            assert_eq!(parsed(&pinned.to_string()), Ok(pinned));
        }
        let alone = parsed(&format!("registry.example/a@{digest}")).unwrap();
        assert_eq!((alone.tag(), alone.digest()), (None, Some(digest)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let part = |error: ReferenceError| match error {
            ReferenceError::Registry(part) => format!("registry {part}"),
            ReferenceError::Repository(part) => format!("repository {part}"),
            ReferenceError::Tag(part) => format!("tag {part}"),
            other => other.to_string(),
        };
        for (text, expected) in [
            ("", "registry "),
            ("redact:1.0", "registry redact:1.0"),
            ("team/redact:1.0", "registry team"),
            (
                "user:password@registry.example/a:1",
                "a reference holds no user and password: write them into Docker's config.json",
            ),
            ("https://registry.example/a:1", "registry https:"),
            (
                "registry.example\\evil/a:1",
                "registry registry.example\\evil",
            ),
            ("registry.example?x/a:1", "registry registry.example?x"),
            (
                "registry.example:99999/a:1",
                "registry registry.example:99999",
            ),
            ("registry.example/A:1", "repository A"),
            ("registry.example/../a:1", "repository ../a"),
            ("registry.example/a//b:1", "repository a//b"),
            ("registry.example/a___b:1", "repository a___b"),
            ("registry.example/a-:1", "repository a-"),
            ("registry.example/a:.x", "tag .x"),
            ("registry.example/a:", "tag "),
            ("registry.example/a:1:2", "tag 1:2"),
            (
                "registry.example/a",
                "the version is missing: add a digest (`@sha256:…`) or a tag (`:1.0`)",
            ),
            (
                "registry.example/a@sha256:0",
                "a digest is `sha256:` and 64 digits 0 to 9 and a to f",
            ),
        ] {
            assert_eq!(part(parsed(text).unwrap_err()), expected, "{text}");
        }
        let long = format!("registry.example/{}:1", "a".repeat(600));
        assert_eq!(parsed(&long), Err(ReferenceError::Length));
    }

    proptest! {
        #[test]
        fn a_reference_that_is_read_stays_the_same(text in "[a-zA-Z0-9.:/@_\\[\\]-]{0,40}") {
            if let Ok(found) = parsed(&text) {
                prop_assert_eq!(parsed(&found.to_string()), Ok(found));
            }
        }
    }
}
