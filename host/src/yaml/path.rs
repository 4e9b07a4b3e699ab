//! Paths of fields, such as `sinks[1].to.http.url`.

use std::fmt;

/// One part of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A field of a mapping.
    Key(String),
    /// The field that names the variant of an enum, such as `http` in `to: {http: …}`.
    Variant(String),
    /// An item of a sequence, from 0.
    Index(usize),
}

/// Path of a field. An empty path means the whole text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldPath(pub Vec<Segment>);

impl FieldPath {
    /// Splits a text such as `rules[0].pattern: it is empty` into a path and the rest. `None` if
    /// the text does not begin with a path.
    #[must_use]
    pub fn split_prefix(text: &str) -> Option<(Self, &str)> {
        let (path, rest) = text.split_once(": ")?;
        Some((Self::parse(path)?, rest))
    }

    /// Parses a path. `None` if the text is not a path.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let mut segments = Vec::new();
        for part in path.split('.') {
            let (key, indices) = part.split_at(part.find('[').unwrap_or(part.len()));
            let is_name = |c: char| c.is_alphanumeric() || "-_/".contains(c);
            if key.is_empty() || !key.chars().all(is_name) {
                return None;
            }
            segments.push(Segment::Key(key.to_owned()));
            for index in indices.split_inclusive(']') {
                let index = index.strip_prefix('[')?.strip_suffix(']')?;
                segments.push(Segment::Index(index.parse().ok()?));
            }
        }
        Some(Self(segments))
    }

    /// Returns the path of a field below this one.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.child(Segment::Key(key.to_owned()))
    }

    /// Returns the path of an item below this one.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.child(Segment::Index(index))
    }

    /// Returns this path followed by the relative path `other`.
    #[must_use]
    pub fn join(&self, other: Self) -> Self {
        let mut joined = self.clone();
        joined.0.extend(other.0);
        joined
    }

    /// Returns whether `other` is this field or a field below it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        let same = |(one, other): (&Segment, &Segment)| one.name() == other.name();
        self.0.len() <= other.0.len() && self.0.iter().zip(&other.0).all(same)
    }

    fn child(&self, segment: Segment) -> Self {
        let mut child = self.clone();
        child.0.push(segment);
        child
    }
}

impl Segment {
    /// Returns the name of a key or variant; both are fields of the text. Returns the index of an
    /// item as `Err`.
    pub(super) fn name(&self) -> Result<&str, usize> {
        match self {
            Self::Key(name) | Self::Variant(name) => Ok(name),
            Self::Index(index) => Err(*index),
        }
    }
}

/// Limits of a displayed path: bytes of a field name, and number of segments.
const MAX_NAME: usize = 64;
const MAX_SEGMENTS: usize = 24;

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            if position == MAX_SEGMENTS {
                return f.write_str("…");
            }
            match segment.name() {
                Ok(name) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    let shown = name
                        .get(..name.floor_char_boundary(MAX_NAME))
                        .unwrap_or_default();
                    f.write_str(&shown.escape_debug().to_string())?;
                    if shown.len() < name.len() {
                        f.write_str("…")?;
                    }
                }
                Err(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_prefix_is_a_path_only_if_it_looks_like_one() {
        let path = |text| FieldPath::split_prefix(text).map(|(path, _)| path.to_string());
        assert_eq!(path("without[1]: no").as_deref(), Some("without[1]"));
        assert_eq!(
            path("rules[0].pattern: no").as_deref(),
            Some("rules[0].pattern")
        );
        assert_eq!(path("a[0][12].b: no").as_deref(), Some("a[0][12].b"));
        for none in [
            "",
            "no path",
            "it is wrong: really",
            "a[: b",
            "a[x]: b",
            ".a: b",
            "[0]: b",
            "a]: b",
        ] {
            assert_eq!(path(none), None, "{none}");
        }
    }
}
