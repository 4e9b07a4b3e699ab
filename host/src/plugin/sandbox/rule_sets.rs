//! The rule sets that a plugin declares.

use crate::redact::Scanner;

/// Rule sets by name, compiled once per load of the plugin.
pub(crate) type RuleSets = Vec<(String, Scanner)>;
