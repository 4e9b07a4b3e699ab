//! Keeps only one copy of each text that many runs share: names of labels, images, containers,
//! specs of steps.

use std::collections::HashSet;
use std::sync::Arc;

/// Number of texts below which nothing is purged.
const PURGE_MIN: usize = 4096;

/// Returns the same `Arc` for the same text. Each time the number of texts has doubled, it purges
/// the texts without another owner.
#[derive(Debug, Default)]
pub(super) struct Interner {
    texts: HashSet<Arc<str>>,
    /// Bytes of all texts, including those without another owner.
    bytes: usize,
    purge_at: usize,
}

impl Interner {
    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        match self.texts.get(text) {
            Some(known) => known.clone(),
            None => self.add(text.into()),
        }
    }

    /// Does the same as [`Interner::text`], but keeps this `Arc` if the text is new, so that it has
    /// one copy together with the owner of the `Arc`.
    pub(super) fn share(&mut self, text: &Arc<str>) -> Arc<str> {
        match self.texts.get(text) {
            Some(known) => known.clone(),
            None => self.add(text.clone()),
        }
    }

    fn add(&mut self, new: Arc<str>) -> Arc<str> {
        if self.texts.len() >= self.purge_at.max(PURGE_MIN) {
            self.purge();
        }
        self.bytes += new.len();
        self.texts.insert(new.clone());
        new
    }

    /// Returns the bytes of all texts, including those without another owner.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Removes the texts without another owner.
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
        assert!(Arc::ptr_eq(&kept, &interner.share(&"kept".into())));
        let own: Arc<str> = "own".into();
        assert!(Arc::ptr_eq(&own, &interner.share(&own)));
        assert!(Arc::ptr_eq(&own, &interner.text("own")));
        drop(own);
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
