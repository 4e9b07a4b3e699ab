//! Choices that the settings of a plugin make.

use serde::{Deserialize, Serialize};

/// What happens to an event when a plugin fails on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnError {
    /// It is held and tried again: nothing is lost, later events of its run wait. Where 64 events
    /// are held, all others wait, too.
    Block,
    /// It ends here.
    Drop,
    /// It goes on without its log and other free text. What redacting plugins default to.
    Strip,
    /// It goes on as it was before the plugin. What all others default to.
    Pass,
}

/// What a plugin gets of WASI. Plugins in Rust and C need none.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Wasi {
    /// Plugins that import it are refused.
    #[default]
    Refused,
    /// An empty one, for toolchains that import it in any case: no files, no network, no
    /// environment, zero as time and as randomness.
    Denied,
}
