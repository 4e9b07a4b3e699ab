//! Plugins in ConfigMaps and folders, which can be added, changed and removed while the observer
//! runs: from their files to their place in the chain.

mod catalog;
mod config;
mod fetch;
mod fetching;
mod folder;
mod job;
mod manifest;
mod metrics;
mod package;
mod slot;
mod status;

pub use catalog::{Catalog, SourceChange};
pub use config::DropInConfig;
pub use fetch::FetchedModule;
pub use fetching::{FetchJob, FetchResult, MAX_ARTIFACT_BYTES};
pub use folder::{FolderScan, PluginFolder};
pub use job::{LoadJob, LoadResult};
pub use manifest::{DropInFrom, MAX_PARTS, PartNumber, PinnedReference, PluginManifest};
pub(crate) use metrics::condition_errors;
pub use metrics::register_metrics;
pub use package::{Origin, PackageError, PackageFiles};
pub use status::{
    LoadedStatus, Notice, PluginEntry, PluginState, PluginStatus, Refusal, Roster, SetStatus,
};
