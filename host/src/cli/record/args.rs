//! The arguments of `record`.

use crate::cli::args::parse_plugin;
use std::path::PathBuf;
use step_observer::bounded::Bounded;
use step_observer::config::{ConfigDuration, PluginConfig};

#[derive(Debug, clap::Args)]
pub(crate) struct RecordArgs {
    /// Folder for the recording: empty, or made
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// Record only this namespace. Repeatable; the default is all
    #[arg(long = "namespace", short = 'n', value_name = "NAME", value_parser = parse_namespace)]
    pub(super) namespaces: Vec<String>,
    /// Record only what has these labels
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    pub(super) selector: Option<String>,
    /// End after so long, such as 10m
    #[arg(long = "for", value_name = "TIME", value_parser = parse_span)]
    pub(super) duration: Option<ConfigDuration>,
    /// End once there were TaskRuns, all have ended, and nothing has changed for so long, such as 30s
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    pub(super) until_idle: Option<ConfigDuration>,
    /// Leave out TaskRuns that ended longer ago
    #[arg(long, default_value = "10m", value_name = "TIME", value_parser = parse_span)]
    pub(super) look_back: ConfigDuration,
    /// Mask with the rules of this plugin: a file or bundled:NAME, and its configuration as a JSON file
    #[arg(long, default_value = "bundled:redact-secrets", value_name = "FILE[=CONFIG.json]", value_parser = parse_plugin)]
    pub(super) redact: PluginConfig,
    /// Mask nothing: the recording holds whatever secrets are in logs and objects
    #[arg(long, conflicts_with = "redact")]
    pub(super) no_redact: bool,
    /// Most of a log in bytes; head and tail are kept
    #[arg(long, default_value = "1048576", value_name = "BYTES")]
    pub(super) max_log_bytes: Bounded<256, 10_485_760, usize>,
    /// Most bytes of the recording; it ends there, with an error
    #[arg(long, default_value_t = 1_073_741_824, value_name = "BYTES")]
    pub(super) max_bytes: u64,
}

/// A label of RFC 1123, which becomes a part of paths.
fn parse_namespace(text: &str) -> Result<String, String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let is_label = matches!(bytes.len(), 1..=63)
        && bytes.iter().all(|byte| inner(*byte) || *byte == b'-')
        && bytes
            .first()
            .zip(bytes.last())
            .is_some_and(|(first, last)| inner(*first) && inner(*last));
    match is_label {
        true => Ok(text.to_owned()),
        false => Err(
            "a namespace has 1 to 63 of a-z, 0-9 and -, and begins and ends with a letter or digit"
                .to_owned(),
        ),
    }
}

fn parse_span(text: &str) -> Result<ConfigDuration, String> {
    ConfigDuration::try_from(text.to_owned())
}
