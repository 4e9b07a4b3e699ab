//! An engine that searches nothing but known values.

use crate::redact::{Engine, KnownValues, Options, VALUE_RULE};
use std::sync::{Arc, OnceLock};

/// Returns an engine that searches several sets of values in one pass, so that overlapping values of
/// different sets are masked as a whole. `None` if there is nothing to search.
pub(crate) fn value_engine(sets: &[Arc<KnownValues>]) -> Option<Arc<Engine>> {
    static EMPTY: OnceLock<Option<Engine>> = OnceLock::new();
    if sets.iter().all(|set| set.is_empty()) {
        return None;
    }
    let empty = EMPTY.get_or_init(|| {
        let options = Options {
            // Selects no kind of the catalogue, because none has this id.
            only: vec![VALUE_RULE.to_owned()],
            forms: false,
            ..Options::default()
        };
        Engine::new(&options).ok()
    });
    empty
        .as_ref()
        .map(|empty| Arc::new(empty.with_values(sets)))
}
