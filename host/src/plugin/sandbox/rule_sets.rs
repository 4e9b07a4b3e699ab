//! The rule sets that a plugin declares.

use crate::redact::Scanner;

/// Rule sets with their names. They are compiled once per load of the plugin.
pub(crate) type RuleSets = Vec<(String, Scanner)>;
