//! Signatures by the convention of Standard Webhooks 1.0: HMAC-SHA256 over id, time and content.

use super::super::SinkError;
use super::config::Signing;
use crate::http::read_secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// Length of a secret, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Most secrets that sign at a time.
const MAX_SECRETS: usize = 4;

impl Signing {
    /// Checks the number of secret files, without reading any of them.
    pub(super) fn check(&self) -> Result<(), SinkError> {
        match self.secret_files.len() {
            1..=MAX_SECRETS => Ok(()),
            _ => Err(SinkError::Signing(format!(
                "give 1 to {MAX_SECRETS} secretFiles"
            ))),
        }
    }
}

/// Signs a message with each of its secrets.
#[derive(Clone, Default)]
pub(super) struct Signer(Vec<Hmac<Sha256>>);

impl Signer {
    /// Reads the secrets. Also returns the contents of the files, so that the caller can detect a
    /// change.
    ///
    /// # Errors
    ///
    /// A file cannot be read or contains no valid secret. The error contains the name of the file,
    /// never its content.
    pub(super) fn read(signing: &Signing) -> Result<(Self, Vec<String>), SinkError> {
        signing.check()?;
        let mut keys = Vec::new();
        let mut texts = Vec::new();
        for file in &signing.secret_files {
            let text = read_secret(file).map_err(SinkError::Signing)?;
            let encoded = text.trim();
            let encoded = encoded.strip_prefix("whsec_").unwrap_or(encoded);
            let key = STANDARD.decode(encoded).ok();
            let key = key.filter(|key| SECRET_BYTES.contains(&key.len()));
            let key = key.and_then(|key| Hmac::new_from_slice(&key).ok());
            keys.push(key.ok_or_else(|| {
                SinkError::Signing(format!(
                    "{} holds no secret: write `whsec_` and base64 of 24 to 64 bytes (`openssl rand -base64 32`)",
                    file.display()
                ))
            })?);
            texts.push(text);
        }
        Ok((Self(keys), texts))
    }

    /// Returns the headers of a message. `at` is the time of sending, in seconds since 1970.
    pub(super) fn headers(&self, id: &str, at: i64, content: &[u8]) -> [(&'static str, String); 3] {
        let signatures = self.0.iter().map(|key| {
            let mut mac = key.clone();
            mac.update(format!("{id}.{at}.").as_bytes());
            mac.update(content);
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        });
        let signatures: Vec<String> = signatures.collect();
        [
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", at.to_string()),
            ("webhook-signature", signatures.join(" ")),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(secrets: &[&str]) -> Result<Signer, SinkError> {
        let folder = tempfile::tempdir().unwrap();
        let write = |(number, secret): (usize, &&str)| {
            let file = folder.path().join(number.to_string());
            std::fs::write(&file, secret).unwrap();
            file
        };
        let secret_files = secrets.iter().enumerate().map(write).collect();
        Signer::read(&Signing { secret_files }).map(|(signer, _)| signer)
    }

    #[test]
    fn the_example_of_the_convention_is_reproduced() {
        let signer = signer(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"]).unwrap();
        let content = br#"{"test": 2432232314}"#;
        let headers = signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, content);
        assert_eq!(
            headers[2].1,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn while_a_secret_is_replaced_both_sign() {
        let (one, other) = (
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        );
        let both = signer(&[one, other]).unwrap().headers("id", 1, b"{}");
        let each = [one, other].map(|one| signer(&[one]).unwrap().headers("id", 1, b"{}"));
        assert_eq!(both[2].1, format!("{} {}", each[0][2].1, each[1][2].1));
    }

    #[test]
    fn an_invalid_secret_is_refused_and_not_repeated() {
        for wrong in ["", "whsec_c2hvcnQ=", "not base64 at all, but long enough"] {
            let error = signer(&[wrong]).err().unwrap().to_string();
            assert!(
                error.contains("holds no secret") && (wrong.is_empty() || !error.contains(wrong))
            );
        }
        assert!(signer(&[]).is_err());
    }
}
