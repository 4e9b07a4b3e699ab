//! Titles of rules.

use std::collections::HashMap;
use step_observer::redact::{Options, VALUE_RULE, catalog, forms};

/// Returns the titles of the rules of the catalogue, by id. A user's own rule has no title, even if
/// its id is in the catalogue.
pub(super) fn titles(options: &Options) -> HashMap<String, &'static str> {
    let kinds = catalog::kinds().map(|kind| (kind.id, kind.title));
    let forms = forms::forms().into_iter().map(|form| (form.id, form.title));
    let is_own = |id: &str| options.rules.iter().any(|rule| rule.id == id);
    kinds
        .chain(forms)
        .chain([(VALUE_RULE, "known value")])
        .filter(|(id, _)| !is_own(id))
        .map(|(id, title)| (id.to_owned(), title))
        .collect()
}
