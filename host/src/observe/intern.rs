//! Keeps only one copy of each text that many runs share: names of labels, images, containers,
//! specs of steps.

use std::collections::HashSet;
use std::sync::Arc;

/// Number of texts below which nothing is purged.
const PURGE_MIN: usize = 4096;
/// Number of released runs after which the texts are purged, if there are few texts.
const PURGE_RELEASED_MIN: usize = 64;
/// Number of texts for which one more run must be released: a purge looks at all texts.
const TEXTS_PER_RELEASED: usize = 16;

/// Returns the same `Arc` for the same text. It purges the texts without another owner each time the
/// number of texts has doubled, and each time enough runs were released.
#[derive(Debug, Default)]
pub(super) struct Interner {
    texts: HashSet<Arc<str>>,
    /// Bytes of all texts, including those without another owner.
    bytes: usize,
    purge_at: usize,
    /// Runs that were released since the last purge.
    released: usize,
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

    /// Records that a run has dropped its texts. Otherwise the texts of a burst would stay until as many
    /// texts come again.
    pub(super) fn note_released_run(&mut self) {
        self.released += 1;
        if self.released >= PURGE_RELEASED_MIN.max(self.texts.len() / TEXTS_PER_RELEASED) {
            self.purge();
        }
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
        self.released = 0;
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
    #[test]
    fn the_texts_of_a_burst_go_with_its_runs() {
        const TEXTS_PER_RUN: usize = 10;
        for runs in [1, 100, 1000, 5000] {
            let mut interner = Interner::default();
            let kept = interner.text("kept");
            let text = |run: usize, text: usize| format!("text {text} of run {run}");
            let mut held: Vec<Vec<Arc<str>>> = Vec::new();
            for run in 0..runs {
                let texts = (0..TEXTS_PER_RUN).map(|number| interner.text(&text(run, number)));
                held.push(texts.collect());
            }
            assert_eq!(interner.texts.len(), runs * TEXTS_PER_RUN + 1);
            while held.pop().is_some() {
                interner.note_released_run();
            }
            let left = interner.texts.len();
            assert!(
                left <= PURGE_RELEASED_MIN * TEXTS_PER_RUN,
                "{left} of {runs}"
            );
            assert!(interner.texts.capacity() <= 4 * left.max(PURGE_RELEASED_MIN));
            assert!(Arc::ptr_eq(&kept, &interner.text("kept")));
        }
    }
}
