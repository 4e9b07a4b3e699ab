//! Helpers of tests.

use crate::{Engine, RedactionCounts, ScanLimits};
use std::time::{Duration, Instant};

/// Returns limits that no test reaches.
pub(crate) fn limits() -> ScanLimits {
    ScanLimits {
        growth: 1 << 20,
        deadline: Instant::now() + Duration::from_secs(60),
    }
}

/// Masks a text.
pub(crate) fn mask(engine: &Engine, text: &str) -> String {
    let masked = engine.mask(text, &mut RedactionCounts::default(), limits());
    masked.unwrap().into_owned()
}
