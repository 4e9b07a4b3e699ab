//! The arguments of `record`.

use super::values::{parse_duration, parse_plugin};
use std::path::PathBuf;
use step_observer::bounded::{Bounded, namespace_name};
use step_observer::config::ConfigDuration;
use step_observer::plugin::PluginConfig;

#[derive(Debug, clap::Args)]
pub(crate) struct RecordArgs {
    /// Folder for the recording: an empty one, or a new one
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Record only this namespace. Repeatable; the default is all
    #[arg(long = "namespace", short = 'n', value_name = "NAME", value_parser = namespace_name)]
    pub(crate) namespaces: Vec<String>,
    /// Record only objects with these labels
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,
    /// End after this time, such as 10m
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) duration: Option<ConfigDuration>,
    /// End when at least one TaskRun was seen, all TaskRuns have ended, and nothing has changed for
    /// this time, such as 30s
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) until_idle: Option<ConfigDuration>,
    /// Omit TaskRuns that ended longer ago
    #[arg(long, default_value = "10m", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) look_back: ConfigDuration,
    /// Mask with the rules of this plugin: a file or bundled:NAME, optionally with its
    /// configuration as a JSON file
    #[arg(long, default_value = "bundled:redact-secrets", value_name = "FILE[=CONFIG.json]", value_parser = parse_plugin)]
    pub(crate) redact: PluginConfig,
    /// Mask nothing: the recording contains the secrets of logs and objects
    #[arg(long, conflicts_with = "redact")]
    pub(crate) no_redact: bool,
    /// Bound of a log in bytes; of a longer log, only head and tail are kept
    #[arg(long, default_value = "1048576", value_name = "BYTES")]
    pub(crate) max_log_bytes: Bounded<256, 10_485_760, usize>,
    /// Bound of the recording in bytes; the recording ends there, with an error
    #[arg(long, default_value_t = 1_073_741_824, value_name = "BYTES")]
    pub(crate) max_bytes: u64,
}
