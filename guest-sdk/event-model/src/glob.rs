//! Patterns in which `*` stands for any characters.

/// Returns whether a pattern fits the whole text. `*` stands for any characters, or none.
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

/// Returns whether at least one of the patterns matches the text. An empty list matches every text,
/// because it means that there is no condition.
#[must_use]
pub fn matches_any(patterns: &[String], text: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| glob(pattern, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, expected) in [
            ("ci", "ci", true),
            ("ci", "ci2", false),
            ("ci-*", "ci-shop", true),
            ("*-prod", "shop-prod", true),
            ("*", "", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxcyyb", false),
            ("*aa*aa", "aaa", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn an_empty_list_is_no_condition() {
        assert!(matches_any(&[], "ci"));
        let patterns = ["a".to_owned(), "b*".to_owned()];
        assert!(matches_any(&patterns, "bc"));
        assert!(!matches_any(&patterns, "ab"));
    }
}
