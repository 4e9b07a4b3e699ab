//! `tap`: shows the transitions of steps while they happen, of a running observer or straight from a cluster.

mod cluster;
mod filter;
mod line;
mod observer;
mod output;

use super::args::tap::TapArgs;
use super::outcome::{CommandError, CommandOutcome};

pub(super) async fn tap(args: TapArgs) -> Result<CommandOutcome, CommandError> {
    match args.observers.is_empty() {
        true => cluster::tap(args).await,
        false => observer::tap(args).await,
    }
}
