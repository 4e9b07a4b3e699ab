//! The texts of the table in one block of memory. Small blocks that live long, made between the large ones
//! of a burst, would each hold a page of memory.

/// A text in [`Texts`]. It is valid until it is removed or moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TextRef {
    start: u32,
    length: u32,
}

/// Texts that are added, removed and read through a [`TextRef`].
#[derive(Debug, Default)]
pub(super) struct Texts {
    all: String,
    /// Bytes of removed texts.
    removed: usize,
    /// See [`Texts::new`].
    max_removed: usize,
}

impl Texts {
    /// Creates it without texts. Removed texts take up to `max_removed` bytes, or half of all.
    pub(super) fn new(max_removed: usize) -> Self {
        Self {
            max_removed,
            ..Self::default()
        }
    }

    /// Adds a text. An empty one takes no room. All texts together are far below 4 GiB: the table
    /// bounds them.
    pub(super) fn add(&mut self, text: &str) -> TextRef {
        let place = (u32::try_from(self.all.len()), u32::try_from(text.len()));
        let (Ok(start), Ok(length)) = place else {
            return TextRef::default();
        };
        self.all.push_str(text);
        TextRef { start, length }
    }

    pub(super) fn get(&self, text: TextRef) -> &str {
        let place = |at: u32| usize::try_from(at).ok();
        let (start, length) = (place(text.start), place(text.length));
        let end = start.zip(length).map(|(start, length)| start + length);
        let range = start.zip(end).map(|(start, end)| start..end);
        range
            .and_then(|range| self.all.get(range))
            .unwrap_or_default()
    }

    /// Removes a text.
    pub(super) fn remove(&mut self, text: TextRef) {
        self.removed += usize::try_from(text.length).unwrap_or(0);
    }

    /// Replaces a text. Returns whether it changed.
    pub(super) fn replace(&mut self, old: &mut TextRef, new: &str) -> bool {
        if self.get(*old) == new {
            return false;
        }
        self.remove(*old);
        *old = self.add(new);
        true
    }

    /// Returns whether removed texts take more room than they may. Then the others should be moved; to
    /// move them after each removal would take too long.
    pub(super) fn wants_move(&self) -> bool {
        self.removed > self.max_removed.max(self.all.len() / 2)
    }

    /// Moves these texts into a block without removed ones. All others are removed.
    pub(super) fn keep<'a>(&mut self, texts: impl Iterator<Item = &'a mut TextRef>) {
        let old = std::mem::replace(self, Self::new(self.max_removed));
        self.all
            .reserve_exact(old.all.len().saturating_sub(old.removed));
        for text in texts {
            *text = self.add(old.get(*text));
        }
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.all.capacity()
    }
}
