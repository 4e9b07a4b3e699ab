//! What is asked for: a plugin with its settings, before it is loaded.

use super::error::LoadError;
use super::module::MAX_FILE_BYTES;
use super::trust::{FileDigest, TrustConfig};
use crate::event::EventMatch;
use crate::plugin::policy::{OnError, Wasi};
use crate::plugin::sandbox::Limits;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a plugin comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginSource {
    /// A file. A signature is the file beside it with `.minisig` at the end of its name.
    File(PathBuf),
    /// One that is part of this program, by name.
    Bundled(String),
    /// The bytes of a file, and its signature where it has one.
    Bytes {
        /// The file.
        module: Arc<[u8]>,
        /// Signature of minisign.
        signature: Option<Arc<str>>,
    },
}

impl PluginSource {
    /// The bytes of a file, without signature.
    #[must_use]
    pub fn bytes(module: impl Into<Arc<[u8]>>) -> Self {
        Self::Bytes {
            module: module.into(),
            signature: None,
        }
    }
}

/// A plugin to load.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginSpec {
    /// The operator's name for it.
    pub name: String,
    /// Where it is.
    pub source: PluginSource,
    /// Its configuration.
    pub config: serde_json::Value,
    /// Which events it gets; all others pass by it.
    pub select: EventMatch,
    /// What to do when it fails; the default depends on whether it redacts.
    pub on_error: Option<OnError>,
    /// What it may use.
    pub limits: Limits,
    /// What it gets of WASI.
    pub wasi: Wasi,
    /// The only file that it may be.
    pub sha256: Option<FileDigest>,
    /// Who may have signed it.
    pub trust: Arc<TrustConfig>,
    /// Configure once and start every event from there. Only benchmarks say no.
    pub snapshot: bool,
}

impl PluginSpec {
    /// A plugin with everything at its default.
    #[must_use]
    pub fn new(name: impl Into<String>, source: PluginSource) -> Self {
        Self {
            name: name.into(),
            source,
            config: serde_json::Value::Null,
            select: EventMatch::default(),
            on_error: None,
            limits: Limits::default(),
            wasi: Wasi::default(),
            sha256: None,
            trust: Arc::default(),
            snapshot: true,
        }
    }

    /// The file, once it is the one that it should be.
    ///
    /// # Errors
    ///
    /// It cannot be read, is another one, or is not signed as it must be.
    pub fn read(&self) -> Result<Vec<u8>, LoadError> {
        let (bytes, signature) = match &self.source {
            PluginSource::Bundled(name) => {
                let found = super::bundled::find(name).ok_or_else(|| LoadError::NotBundled {
                    name: name.clone(),
                    known: super::bundled::known(name),
                })?;
                super::trust::check(found, self.sha256.as_ref(), None, &TrustConfig::default())?;
                return Ok(found.to_vec());
            }
            PluginSource::File(path) => (read(path, MAX_FILE_BYTES)?, signature(path)?),
            PluginSource::Bytes { module, signature } => (module.to_vec(), signature.clone()),
        };
        super::trust::check(
            &bytes,
            self.sha256.as_ref(),
            signature.as_deref(),
            &self.trust,
        )?;
        Ok(bytes)
    }
}

/// Reads a file whole.
pub(crate) fn read(path: &Path, max: u64) -> Result<Vec<u8>, LoadError> {
    use std::io::Read as _;
    // A pipe or a device would keep whoever reads it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no regular file").into());
    }
    // Not its size first and then its bytes: it may grow between the two.
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(max + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(LoadError::TooLarge(max));
    }
    Ok(bytes)
}

/// What the name of a signature ends with.
pub(crate) const SIGNATURE_SUFFIX: &str = ".minisig";
/// Largest signature with its comments.
pub(crate) const MAX_SIGNATURE_BYTES: u64 = 16 * 1024;

fn signature(path: &Path) -> Result<Option<Arc<str>>, LoadError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(SIGNATURE_SUFFIX);
    match read(Path::new(&beside), MAX_SIGNATURE_BYTES) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into())),
        Err(LoadError::Read(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
