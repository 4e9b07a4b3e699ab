//! Keeps the memory of the process out of core dumps.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use tracing::warn;

/// Forbids core dumps of this process, and forbids other processes of the same user from reading
/// its memory. A size limit alone is not enough, because it does not apply if the system passes
/// dumps to a program.
pub(super) fn forbid() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let forbidden = setrlimit(Resource::Core, none)
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable));
    if let Err(error) = forbidden {
        warn!(%error, "core dumps cannot be forbidden: a dump of this process would hold known secrets");
    }
}
