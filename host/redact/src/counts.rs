//! Numbers of matches.

/// The number of matches by rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedactionCounts(Vec<(String, u32)>);

impl RedactionCounts {
    /// Returns the rules with their numbers of matches.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.0.iter().map(|(rule, count)| (rule.as_str(), *count))
    }

    /// Returns the number of all matches.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// Adds the counts of another scan.
    pub fn merge(&mut self, other: &Self) {
        for (rule, count) in &other.0 {
            self.add_many(rule, *count);
        }
    }

    pub(crate) fn add(&mut self, rule: &str) {
        self.add_many(rule, 1);
    }

    fn add_many(&mut self, rule: &str, more: u32) {
        match self.0.iter_mut().find(|(known, _)| known == rule) {
            Some((_, count)) => *count = count.saturating_add(more),
            None => self.0.push((rule.to_owned(), more)),
        }
    }
}

impl FromIterator<(String, u32)> for RedactionCounts {
    fn from_iter<T: IntoIterator<Item = (String, u32)>>(counts: T) -> Self {
        let mut all = Self::default();
        for (rule, count) in counts {
            all.add_many(&rule, count);
        }
        all
    }
}
