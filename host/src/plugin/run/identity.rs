//! The identity of a loaded plugin.

use crate::plugin::load::FileDigest;
use std::sync::Arc;

/// Names one version of a plugin.
#[derive(Clone, Debug)]
pub struct PluginIdentity {
    /// The operator's name for the plugin.
    pub name: Arc<str>,
    /// The version that the plugin declares. Empty if it could not be loaded.
    pub version: String,
    /// SHA-256 of its file. `None` if it could not be loaded.
    pub digest: Option<FileDigest>,
}
