//! Finds the name that a mistyped one is most like.

/// Returns the known name that differs from `name` by at most two characters, or by letter case only.
pub(crate) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    const MOST: usize = 2;
    if name.len() > 64 {
        return None;
    }
    let distances = known.into_iter().map(|known| {
        let distance = match known.eq_ignore_ascii_case(name) {
            true => 0,
            false => strsim::levenshtein(name, known),
        };
        (distance, known)
    });
    let (distance, nearest) = distances.min_by_key(|(distance, _)| *distance)?;
    // A short name is like every other short name.
    (distance <= MOST && distance * 2 < nearest.len()).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_mistake_leads_to_the_name() {
        let known = ["exitCode", "reason", "labels", "log"];
        assert_eq!(nearest("exitcode", known), Some("exitCode"));
        assert_eq!(nearest("lables", known), Some("labels"));
        assert_eq!(nearest("raeson", known), Some("reason"));
        assert_eq!(nearest("x", known), None);
        assert_eq!(nearest("something", known), None);
        assert_eq!(strsim::levenshtein("kitten", "sitting"), 3);
    }
}
