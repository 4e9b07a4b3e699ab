//! A plugin with its settings, before it is loaded.

use super::error::LoadError;
use super::module::MAX_FILE_BYTES;
use super::settings::PluginSettings;
use super::trust::TrustConfig;
use crate::bounded_file;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use step_observer_oci::Reference;

/// The source of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginSource {
    /// A file. Its signature is in the file with the same name plus `.minisig`.
    File(PathBuf),
    /// A plugin that is part of this program, by name.
    Bundled(String),
    /// A plugin in a registry that was not pulled. It cannot be loaded.
    Registry(Reference),
    /// The content of a file, and its signature if there is one.
    Bytes {
        /// The content of the file.
        module: Arc<[u8]>,
        /// A minisign signature.
        signature: Option<Arc<str>>,
    },
}

impl PluginSource {
    /// Makes a source from the content of a file, without a signature.
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
    /// Its source.
    pub source: PluginSource,
    /// Its settings.
    pub settings: PluginSettings,
    /// The keys whose signatures are trusted.
    pub trust: Arc<TrustConfig>,
    /// The name in its registry, with the digest of the manifest, if `source` was pulled from one.
    pub artifact: Option<Reference>,
    /// True if the plugin is configured once and every event starts from the configured memory.
    /// Only benchmarks set it to false.
    pub snapshot: bool,
}

impl PluginSpec {
    /// Returns a plugin with default settings.
    #[must_use]
    pub fn new(name: impl Into<String>, source: PluginSource) -> Self {
        Self {
            name: name.into(),
            source,
            settings: PluginSettings::default(),
            trust: Arc::default(),
            artifact: None,
            snapshot: true,
        }
    }

    /// Changes the settings.
    #[must_use]
    pub fn with_settings(mut self, change: impl FnOnce(&mut PluginSettings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Reads the file, and checks its digest and signature.
    ///
    /// # Errors
    ///
    /// The file cannot be read, has another digest, or is not signed as required.
    pub fn read(&self) -> Result<Vec<u8>, LoadError> {
        let (bytes, signature) = match &self.source {
            PluginSource::Bundled(name) => {
                let found = super::bundled::find(name).ok_or_else(|| LoadError::NotBundled {
                    name: name.clone(),
                    known: super::bundled::known(name),
                })?;
                super::trust::check(
                    found,
                    self.settings.sha256.as_ref(),
                    None,
                    &TrustConfig::default(),
                )?;
                return Ok(found.to_vec());
            }
            PluginSource::File(path) => (read(path, MAX_FILE_BYTES)?, read_signature(path)?),
            PluginSource::Registry(reference) => {
                return Err(LoadError::NotPulled(reference.to_string()));
            }
            PluginSource::Bytes { module, signature } => (module.to_vec(), signature.clone()),
        };
        super::trust::check(
            &bytes,
            self.settings.sha256.as_ref(),
            signature.as_deref(),
            &self.trust,
        )?;
        Ok(bytes)
    }
}

/// Reads a whole file of at most `max` bytes.
pub(crate) fn read(path: &Path, max: u64) -> Result<Vec<u8>, LoadError> {
    let bytes = bounded_file::read(path, max)?;
    if bytes.len() as u64 > max {
        return Err(LoadError::TooLarge(max));
    }
    Ok(bytes)
}

/// Suffix of the name of a signature.
pub(crate) const SIGNATURE_SUFFIX: &str = ".minisig";
/// Largest signature in bytes, with its comments.
pub(crate) const MAX_SIGNATURE_BYTES: u64 = 16 * 1024;

/// Reads the signature beside the file of a plugin, `FILE.minisig`. Returns `None` if there is none.
///
/// # Errors
///
/// The signature cannot be read, or is too large for one.
pub fn read_signature(path: &Path) -> Result<Option<Arc<str>>, LoadError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(SIGNATURE_SUFFIX);
    match read(Path::new(&beside), MAX_SIGNATURE_BYTES) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into())),
        Err(LoadError::Read(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
