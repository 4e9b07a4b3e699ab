//! The recording of the demo: a real PipelineRun of a cluster. Its secrets are made up.

use super::outcome::CommandError;
use std::time::Duration;
use step_observer::app::Source;
use step_observer::observe::{RecordedLogs, Speed, player};

pub(super) const RECORDING: &[u8] = include_bytes!("../../../tests/recordings/leaky.jsonl");
const LOGS: &str = include_str!("../../../tests/recordings/leaky.logs.json");

/// The recording as a source.
pub(super) fn demo_recording(speed: Speed, hold_for: Duration) -> Result<Source, CommandError> {
    let name = "the recorded pipeline `leaky`".to_owned();
    Ok(Source::Recording {
        player: player(name, RECORDING, speed, false),
        logs: RecordedLogs::parse("leaky.logs.json", LOGS)?,
        live: false,
        hold_for,
    })
}
