//! Plugins that come and go while the observer runs: from ConfigMaps and folders into the chain.

mod catalog;
mod folder;
mod job;
mod manifest;
mod package;
mod slot;
mod status;

pub use catalog::{Catalog, Change, Notice};
pub use folder::{Look, PluginFolder};
pub use job::{Done, Job};
pub use manifest::{Part, PluginManifest};
pub use package::{Files, MAX_PARTS, Origin, PackageError};
pub use status::{LoadedStatus, PluginEntry, PluginState, PluginStatus, Refused, Roster};
