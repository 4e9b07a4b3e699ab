//! Keeps every event unchanged: the smallest plugin, and the reference for the benchmarks.

use step_observer_guest::{Plugin, export_plugin};

/// Does nothing.
#[derive(Debug)]
pub struct Passthrough;

impl Plugin for Passthrough {
    type Config = ();

    fn configure((): ()) -> Result<Self, String> {
        Ok(Self)
    }
}

export_plugin!(Passthrough);

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        step_observer_guest::testing::check_cases::<super::Passthrough>("cases");
    }
}
