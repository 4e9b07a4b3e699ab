//! Plugins that come and go while the observer runs: from ConfigMaps and folders into the chain.

mod catalog;
mod config;
mod folder;
mod job;
mod manifest;
mod package;
mod slot;
mod status;

pub use catalog::{Catalog, Notice, SourceChange};
pub use config::DropInConfig;
pub use folder::{FolderScan, PluginFolder};
pub use job::{LoadJob, LoadResult};
pub use manifest::{PartNumber, PluginManifest};
pub use package::{MAX_PARTS, Origin, PackageError, PackageFiles};
pub use status::{LoadedStatus, PluginEntry, PluginState, PluginStatus, Refusal, Roster};
