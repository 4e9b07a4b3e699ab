//! Keeps only failed steps. Reads the header from the host; log and data stay there.

use step_observer_guest::{Event, Plugin, Verdict, export_plugin};

struct OnlyFailures;

impl Plugin for OnlyFailures {
    type Config = ();

    fn configure((): ()) -> Result<Self, String> {
        Ok(Self)
    }

    fn process(&self, event: &dyn Event) -> Result<Verdict, String> {
        if event.header().type_.ends_with(".failed.v1") {
            Ok(Verdict::Keep)
        } else {
            Ok(Verdict::Drop("not a failure".to_owned()))
        }
    }
}

export_plugin!(OnlyFailures);
