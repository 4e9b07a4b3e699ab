//! Choices in the settings of a plugin.

use serde::{Deserialize, Serialize};

/// Consequence of a failed plugin call for the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnError {
    /// The event is held and tried again. Nothing is lost; later events of the same run wait. If 64
    /// events are held, all other events wait, too.
    Block,
    /// The event is dropped.
    Drop,
    /// The event continues without its log and other free text. The default for plugins that
    /// redact.
    Strip,
    /// The event continues as it was before the call. The default for all other plugins.
    Pass,
}

/// Access of a plugin to WASI. Plugins in Rust and C need none.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Wasi {
    /// Plugins that import WASI are refused.
    #[default]
    Refused,
    /// The plugin gets an empty WASI, for toolchains that always import it: no files, no network,
    /// no environment; time and randomness are zero.
    Denied,
}
