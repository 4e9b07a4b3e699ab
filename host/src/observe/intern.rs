//! Texts that many runs share, kept once: names of labels, images, containers, the steps of a Task.

use std::collections::HashSet;
use std::sync::Arc;

/// Below this many texts nothing is thrown away.
const PURGE_MIN: usize = 4096;

/// Gives the same `Arc` for the same text. Texts that nobody else holds any more are thrown away
/// each time their number has doubled.
#[derive(Debug, Default)]
pub(super) struct Interner {
    texts: HashSet<Arc<str>>,
    /// Of all texts, those that nobody else holds any more included.
    bytes: usize,
    purge_at: usize,
}

impl Interner {
    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        if self.texts.len() >= self.purge_at.max(PURGE_MIN) {
            self.purge();
        }
        let new: Arc<str> = text.into();
        self.bytes += new.len();
        self.texts.insert(new.clone());
        new
    }

    /// Bytes of all texts, those that nobody else holds any more included.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Throws away the texts that nobody else holds.
    pub(super) fn purge(&mut self) {
        self.texts.retain(|text| Arc::strong_count(text) > 1);
        self.texts.shrink_to(self.texts.len() * 2);
        self.purge_at = self.texts.len() * 2;
        self.bytes = self.texts.iter().map(|text| text.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_shared_and_forgotten() {
        let mut interner = Interner::default();
        let kept = interner.text("kept");
        assert!(Arc::ptr_eq(&kept, &interner.text("kept")));
        for number in 0..10 * PURGE_MIN {
            interner.text(&number.to_string());
        }
        assert!(
            interner.texts.len() <= 2 * PURGE_MIN,
            "{}",
            interner.texts.len()
        );
        assert!(Arc::ptr_eq(&kept, &interner.text("kept")));
        interner.purge();
        assert_eq!(interner.bytes(), "kept".len());
    }
}
