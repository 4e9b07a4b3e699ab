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
            false => distance(name, known),
        };
        (distance, known)
    });
    let (distance, nearest) = distances.min_by_key(|(distance, _)| *distance)?;
    // A short name is like every other short name.
    (distance <= MOST && distance * 2 < nearest.len()).then_some(nearest)
}

/// Returns the number of insertions, removals and replacements that lead from one text to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, from) in from.chars().enumerate() {
        let mut next = vec![index + 1];
        let pairs = row.iter().zip(row.iter().skip(1));
        for ((diagonal, above), to) in pairs.zip(&to) {
            let left = next.last().copied().unwrap_or_default();
            let replaced = diagonal + usize::from(from != *to);
            next.push(replaced.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
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
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
