//! Checks a plugin's file. A digest proves that the file is unchanged; a signature proves who made
//! it. Both cover the file as it is delivered, compressed or not.

use super::error::LoadError;
use minisign_verify::Signature;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Public keys whose signatures on plugins are trusted. Bundled plugins need no signature.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TrustConfig {
    /// Refuse every plugin that no key of `publicKeys` has signed.
    pub require_signature: bool,
    /// Public keys of minisign: the second line of a `.pub` file.
    #[schemars(with = "Vec<String>")]
    pub public_keys: Vec<PublicKey>,
}

/// A public key of minisign (ed25519).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(String);

impl TryFrom<String> for PublicKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // The text may be a whole `.pub` file: a comment line, then the key. So the last line is
        // read.
        let line = text
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or_default();
        match minisign_verify::PublicKey::from_base64(line.trim()) {
            Ok(_) => Ok(Self(line.trim().to_owned())),
            Err(error) => Err(format!(
                "not a public key of minisign ({error}): write the second line of its .pub file"
            )),
        }
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.0
    }
}

/// SHA-256 of a file in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct FileDigest(String);

impl FileDigest {
    /// Computes the digest of a file's content.
    #[must_use]
    pub fn compute(bytes: &[u8]) -> Self {
        Self(format!("{:x}", Sha256::digest(bytes)))
    }

    /// Returns the 64 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FileDigest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.strip_prefix("sha256:").unwrap_or(&text);
        if digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(Self(digits.to_ascii_lowercase()))
        } else {
            Err("not a SHA-256: write 64 hexadecimal digits, as `sha256sum FILE` prints".to_owned())
        }
    }
}

impl From<FileDigest> for String {
    fn from(digest: FileDigest) -> Self {
        digest.0
    }
}

/// Checks the digest and signature of a file before any of its content is parsed.
///
/// # Errors
///
/// The digest differs from the pinned one, or no trusted key has signed the file.
pub(crate) fn check(
    bytes: &[u8],
    pin: Option<&FileDigest>,
    signature: Option<&str>,
    trust: &TrustConfig,
) -> Result<(), LoadError> {
    let digest = FileDigest::compute(bytes);
    if let Some(pin) = pin.filter(|pin| **pin != digest) {
        return Err(LoadError::Digest {
            pinned: pin.as_str().to_owned(),
            found: digest.0,
        });
    }
    let Some(text) = signature else {
        return match trust.require_signature {
            true => Err(LoadError::Unsigned),
            false => Ok(()),
        };
    };
    if trust.public_keys.is_empty() && !trust.require_signature {
        return Ok(());
    }
    let signature = Signature::decode(text)
        .map_err(|error| LoadError::Signature(format!("it is no minisign signature: {error}")))?;
    let signed = |key: &PublicKey| {
        let key = minisign_verify::PublicKey::from_base64(&key.0);
        key.is_ok_and(|key| key.verify(bytes, &signature, false).is_ok())
    };
    if trust.public_keys.iter().any(signed) {
        Ok(())
    } else {
        Err(LoadError::Signature(
            "none of trust.publicKeys made it over this file".to_owned(),
        ))
    }
}
