//! Converts the files of a ConfigMap or folder into a plugin that can be loaded.

use super::fetch::FetchedModule;
use super::manifest::{PartNumber, PluginManifest};
use crate::plugin::load::{
    FileDigest, MAX_SIGNATURE_BYTES, PluginSource, PluginSpec, SIGNATURE_SUFFIX, TrustConfig,
};
use crate::yaml::Mistakes;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use step_observer_oci::{Reference, RegistryScope};

/// Largest number of ConfigMaps and files with plugins. It is bounded because each may hold a
/// module in memory.
pub(super) const MAX_PACKAGES: usize = 256;
/// Name of the settings file.
const MANIFEST_FILE: &str = "plugin.yaml";
/// Largest settings file in bytes, equal to the largest ConfigMap.
const MAX_MANIFEST_BYTES: usize = 1024 * 1024;
/// Suffixes of module names.
const MODULE_SUFFIXES: [&str; 4] = [".wasm", ".wasm.gz", ".wasm.zst", ".wat"];

/// Contents of files by name.
pub type PackageFiles = BTreeMap<String, Vec<u8>>;

/// The place of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// The configuration of the host.
    Configuration,
    /// A ConfigMap.
    ConfigMap {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Files in a folder, identified by a path whose last component is the plugin's name.
    Folder(String),
}

impl Origin {
    /// Returns the name of the plugin at this place, if the plugin is not split into parts.
    pub(super) fn plugin_name(&self) -> String {
        match self {
            Self::Configuration => String::new(),
            Self::ConfigMap { name, .. } => name.clone(),
            Self::Folder(path) => path.rsplit('/').next().unwrap_or_default().to_owned(),
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Configuration => write!(f, "the configuration"),
            Self::ConfigMap { namespace, name } => write!(f, "ConfigMap {namespace}/{name}"),
            Self::Folder(path) => write!(f, "{path}"),
        }
    }
}

/// Why files form no plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// The settings are invalid.
    #[error("{}; `step-observer config schema plugin` prints what is allowed", .0.first_line())]
    Manifest(#[from] Mistakes),
    /// The settings are not UTF-8, or too large.
    #[error("plugin.yaml is no text in UTF-8, or larger than 1 MiB")]
    NotText,
    /// There is no module.
    #[error(
        "there is no module: add it as plugin.wasm, plugin.wasm.gz, plugin.wasm.zst or plugin.wat \
         (kubectl create configmap NAME --from-file=plugin.wasm), or name it in plugin.yaml (from: {{oci: …}})"
    )]
    NoModule,
    /// There are several modules.
    #[error("there are several modules ({0}): keep one")]
    SeveralModules(String),
    /// There is a module, and the settings name another.
    #[error("`from` names a module in a registry, and {0} is another: keep one")]
    TwoSources(String),
    /// A part names a module in a registry.
    #[error("`from` names a whole module, so it cannot be in a part: remove `part`")]
    FromInPart,
    /// The operator does not permit plugins from there.
    #[error(
        "plugins must not come from {registry}/{repository}: the operator lists registries in dropIn.registries"
    )]
    UnlistedRegistry {
        /// Host and port.
        registry: String,
        /// The repository.
        repository: String,
    },
    /// A part lacks the name or digest of its plugin.
    #[error("part {0}: `plugin` (its name) and `sha256` (of the whole module) are needed, too")]
    UnnamedPart(String),
    /// A part other than the first has settings.
    #[error("part {0}: settings other than plugin, part and sha256 belong into part 1")]
    SettingsInPart(String),
    /// Parts are missing.
    #[error("it is not complete: {found} of {total} parts with this sha256 are there")]
    Incomplete {
        /// Number of parts that exist.
        found: usize,
        /// Number of all parts.
        total: usize,
    },
    /// The parts contradict each other.
    #[error("its parts do not fit together: {0}")]
    MismatchedParts(String),
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// A file that would be ignored.
    #[error(
        "`{0}` is no file of a plugin: settings are plugin.yaml, a signature is the module's name with .minisig"
    )]
    UnknownFile(String),
    /// There are too many packages.
    #[error("there are {MAX_PACKAGES} ConfigMaps and files with plugins already")]
    TooManyPackages,
    /// Two plugins have the same name.
    #[error("another plugin has this name already: {0}")]
    NameTaken(Origin),
}

/// The files of one plugin, or of one part of a plugin.
#[derive(Clone, Debug)]
pub(super) struct Package {
    pub(super) manifest: PluginManifest,
    /// Empty if `manifest` names an artifact.
    module: Arc<[u8]>,
    signature: Option<Arc<str>>,
}

/// Identifies the content of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fingerprint([u8; 32]);

/// Combines the fingerprints of all parts of a plugin.
pub(super) fn combined_digest<'a>(files: impl Iterator<Item = &'a Fingerprint>) -> [u8; 32] {
    let mut hash = Sha256::new();
    files.for_each(|Fingerprint(files)| hash.update(files));
    hash.finalize().into()
}

/// Digest of a text.
pub(super) fn text_fingerprint(text: &str) -> Fingerprint {
    Fingerprint(Sha256::digest(text).into())
}

/// Digest of files.
pub(super) fn fingerprint(files: &PackageFiles) -> Fingerprint {
    let mut hash = Sha256::new();
    for (name, content) in files {
        for text in [name.as_bytes(), content] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
    }
    Fingerprint(hash.finalize().into())
}

impl Package {
    /// Parses the files.
    pub(super) fn from_files(files: PackageFiles) -> Result<Self, PackageError> {
        let mut files = files;
        let manifest = match files.remove(MANIFEST_FILE) {
            None => PluginManifest::default(),
            Some(text) if text.len() <= MAX_MANIFEST_BYTES => {
                let text = String::from_utf8(text).map_err(|_| PackageError::NotText)?;
                PluginManifest::parse(MANIFEST_FILE, &text)?
            }
            Some(_) => return Err(PackageError::NotText),
        };
        let modules: Vec<String> = files
            .keys()
            .filter(|name| is_module(name))
            .cloned()
            .collect();
        let module = match (modules.as_slice(), manifest.artifact()) {
            ([], None) => return Err(PackageError::NoModule),
            // The signature is in the artifact.
            ([], Some(_)) => None,
            ([name], None) => Some(name),
            ([name], Some(_)) => return Err(PackageError::TwoSources(name.clone())),
            _ => return Err(PackageError::SeveralModules(modules.join(", "))),
        };
        let signature = module
            .and_then(|module| files.remove(&format!("{module}{SIGNATURE_SUFFIX}")))
            .filter(|text| text.len() as u64 <= MAX_SIGNATURE_BYTES)
            .map(|text| String::from_utf8_lossy(&text).into());
        let module = module.and_then(|module| files.remove(module));
        let module = module.unwrap_or_default().into();
        // Refuses other package files: their author would believe that they have an effect.
        if let Some(name) = files.into_keys().find(|name| is_package_file(name)) {
            return Err(PackageError::UnknownFile(name));
        }
        let package = Self {
            manifest,
            module,
            signature,
        };
        package.check_part()?;
        Ok(package)
    }

    /// Returns the name of the plugin to which this part belongs, `None` if the package is a whole
    /// plugin.
    pub(super) fn piece_of(&self) -> Option<&str> {
        let PluginManifest { part, plugin, .. } = &self.manifest;
        part.and(plugin.as_deref())
    }

    fn check_part(&self) -> Result<(), PackageError> {
        let PluginManifest {
            part,
            plugin,
            sha256,
            ..
        } = &self.manifest;
        match part {
            None => Ok(()),
            Some(_) if self.artifact().is_some() => Err(PackageError::FromInPart),
            Some(part) if plugin.is_none() || sha256.is_none() => {
                Err(PackageError::UnnamedPart(String::from(*part)))
            }
            Some(part) if part.number > 1 && !self.manifest.is_bare() => {
                Err(PackageError::SettingsInPart(String::from(*part)))
            }
            Some(_) => Ok(()),
        }
    }

    /// Returns the artifact that holds the module; `None` if the module is among the files.
    pub(super) fn artifact(&self) -> Option<&Reference> {
        self.manifest.artifact()
    }

    /// Refuses a plugin from a registry that is not in the operator's list.
    pub(super) fn permitted(self, registries: &[RegistryScope]) -> Result<Self, PackageError> {
        match self.artifact() {
            Some(artifact) if !registries.iter().any(|scope| scope.contains(artifact)) => {
                Err(PackageError::UnlistedRegistry {
                    registry: artifact.registry().to_owned(),
                    repository: artifact.repository().to_owned(),
                })
            }
            _ => Ok(self),
        }
    }

    /// Returns the plugin to load. `fetched` is what the registry has, if the module is in one and was fetched.
    pub(super) fn spec(
        &self,
        name: &str,
        trust: &Arc<TrustConfig>,
        fetched: Option<&FetchedModule>,
    ) -> PluginSpec {
        let source = match (self.artifact(), fetched) {
            (Some(artifact), None) => PluginSource::Registry(artifact.clone()),
            (Some(_), Some(FetchedModule { module, signature })) => PluginSource::Bytes {
                module: module.clone(),
                signature: signature.clone(),
            },
            (None, _) => PluginSource::Bytes {
                module: self.module.clone(),
                signature: self.signature.clone(),
            },
        };
        PluginSpec {
            settings: self.manifest.clone().into(),
            trust: trust.clone(),
            artifact: self.artifact().cloned(),
            ..PluginSpec::new(name, source)
        }
    }
}

/// Returns the name of a module without its suffix, `None` for other files.
pub(super) fn module_stem(name: &str) -> Option<&str> {
    MODULE_SUFFIXES
        .iter()
        .find_map(|end| name.strip_suffix(end))
}

/// Returns whether a file is a module.
pub(super) fn is_module(name: &str) -> bool {
    module_stem(name).is_some()
}

/// Returns whether a file may belong to a plugin, judged by the end of its name.
pub(super) fn is_package_file(name: &str) -> bool {
    is_module(name)
        || [".yaml", ".yml", SIGNATURE_SUFFIX]
            .iter()
            .any(|end| name.ends_with(end))
}

/// Joins all parts to one package.
pub(super) fn assemble<'a>(
    pieces: impl IntoIterator<Item = Result<&'a Package, &'a PackageError>>,
) -> Result<Package, PackageError> {
    let mut found: BTreeMap<usize, &Package> = BTreeMap::new();
    let mut whole: Option<(usize, &FileDigest)> = None;
    for piece in pieces {
        let piece = piece.map_err(|error| {
            PackageError::MismatchedParts(format!("one of them is refused: {error}"))
        })?;
        let manifest = &piece.manifest;
        let (Some(PartNumber { number, total }), Some(digest)) = (manifest.part, &manifest.sha256)
        else {
            return Err(PackageError::MismatchedParts(
                "one of them is a whole plugin".to_owned(),
            ));
        };
        let (total_before, digest_before) = *whole.get_or_insert((total, digest));
        if total_before != total {
            let text = format!("one says that there are {total_before}, one {total}");
            return Err(PackageError::MismatchedParts(text));
        }
        if digest_before != digest {
            let text = "they are of different modules (sha256); is an update under way?";
            return Err(PackageError::MismatchedParts(text.to_owned()));
        }
        if found.insert(number, piece).is_some() {
            return Err(PackageError::MismatchedParts(format!(
                "part {number} is there twice"
            )));
        }
    }
    let total = whole.map_or(0, |(total, _)| total);
    let first = found.get(&1).copied();
    match first {
        Some(first) if found.len() == total => Ok(Package {
            manifest: PluginManifest {
                part: None,
                ..first.manifest.clone()
            },
            module: found
                .values()
                .flat_map(|piece| piece.module.iter().copied())
                .collect(),
            signature: first.signature.clone(),
        }),
        _ => Err(PackageError::Incomplete {
            found: found.len(),
            total,
        }),
    }
}
