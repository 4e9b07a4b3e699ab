//! Makes a callable plugin from a file: reads and checks the file, compiles it in a child process,
//! configures the plugin once, and keeps the configured memory.

mod bundled;
mod candidate;
mod compiler_process;
mod config;
mod config_source;
mod configure;
mod declared_sets;
mod error;
mod inspect;
mod module;
mod module_limits;
mod refusals;
mod settings;
mod snapshot;
mod spec;
mod trust;
mod world;

pub use bundled::{
    COMPLETE_BUILD, PluginAbout, bundled_plugins, missing_plugins, plugins_in_source,
};
pub use compiler_process::compile_for_parent;
pub(super) use compiler_process::{Compiled, Load, compile};
pub use config::{PluginConfig, PluginFrom, PluginMemoryConfig};
pub use config_source::ConfigSource;
pub(super) use configure::ConfiguredPlugin;
pub use declared_sets::SetSummary;
pub use error::LoadError;
pub use inspect::Inspection;
pub use module::{MAX_FILE_BYTES, MAX_MODULE_BYTES};
pub use refusals::Refusals;
pub(crate) use refusals::{omit_fields, original_path};
pub use settings::PluginSettings;
pub(super) use spec::{MAX_SIGNATURE_BYTES, SIGNATURE_SUFFIX};
pub use spec::{PluginSource, PluginSpec, read_signature};
pub use trust::{FileDigest, PublicKey, TrustConfig};
