//! Keeps the events of one of n runs. All events of a run have the same decision, in every observer and after every restart, because it
//! depends on the run alone.

use serde::Deserialize;
use step_observer_guest::{Event, EventExt, Phase, Plugin, Verdict, export_plugin};

/// The configuration.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sample {
    /// Keeps the events of one of this number of runs.
    #[cfg_attr(test, schemars(range(min = 1)))]
    one_of: u32,
    /// Keeps the events of failed steps of all runs.
    #[serde(default = "yes")]
    keep_failed: bool,
    /// Another text selects other runs. Observers with the same text select the same runs.
    #[serde(default)]
    salt: String,
}

/// Extension of CloudEvents for sampled events (CloudEvents, `extensions/sampledrate.md`): the number of events for which a kept event
/// stands.
const SAMPLED_RATE: &str = "sampledrate";

fn yes() -> bool {
    true
}

impl Plugin for Sample {
    type Config = Self;

    fn configure(config: Self) -> Result<Self, String> {
        match config.one_of {
            0 => Err("oneOf: it is 0: 1 keeps all runs, 10 keeps one of ten".to_owned()),
            _ => Ok(config),
        }
    }

    fn process(&self, event: &dyn Event) -> Result<Verdict, String> {
        if self.keep_failed && event.step().phase == Phase::Failed {
            // It stands for itself alone, in every run.
            return Ok(Verdict::Keep);
        }
        if !hash(&self.salt, &run(event)).is_multiple_of(u64::from(self.one_of)) {
            return Ok(Verdict::Drop(format!("not one of {}", self.one_of)));
        }
        // The rates of several samplers multiply, as the extension requires.
        let before = event.attribute(SAMPLED_RATE);
        let before = before.and_then(|rate| rate.parse().ok()).unwrap_or(1_u32);
        let rate = before.saturating_mul(self.one_of).min(MAX_INTEGER);
        event.set_attribute(SAMPLED_RATE, Some(&rate.to_string()))?;
        Ok(Verdict::Keep)
    }
}

/// Largest Integer of CloudEvents (CloudEvents 1.0 §3.1).
const MAX_INTEGER: u32 = 2_147_483_647;

/// Returns what identifies the run: the UID of the PipelineRun, so that all its TaskRuns have the same decision. If no UID is known, the
/// name of the PipelineRun; without PipelineRun the UID of the TaskRun, and the name if there is no UID.
fn run(event: &dyn Event) -> String {
    let run = event.run();
    let known = |uid: &String| !uid.is_empty();
    let uid = event.get::<String>("/pipelineRunUID").filter(known);
    match (uid, run.pipeline_run) {
        (Some(uid), _) => uid,
        (None, Some(name)) => format!("{}/{name}", run.namespace),
        (None, None) if run.uid.is_empty() => format!("{}/{}", run.namespace, run.task_run),
        (None, None) => run.uid,
    }
}

/// FNV-1a with 64 bits over the salt, a zero byte and the run, and then the finalizer of MurmurHash3 (`fmix64`), because the last bits of
/// FNV-1a alone depend on few bits of the text. Not a hash against attackers: who chooses names of runs can choose whether they are kept.
fn hash(salt: &str, run: &str) -> u64 {
    let bytes = salt.bytes().chain([0]).chain(run.bytes());
    let fnv = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut mixed = fnv ^ (fnv >> 33);
    mixed = mixed.wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^= mixed >> 33;
    mixed = mixed.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

export_plugin!(Sample, config_schema = "../config.schema.json");

#[cfg(test)]
mod tests;
