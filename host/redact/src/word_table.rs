//! Tables that find a word by its hash. To compare a word with each of a hundred others would take
//! longer than all other checks of a value.

/// Words with what they mean.
#[derive(Debug)]
pub(crate) struct WordTable<V> {
    /// A word stands at its hash or in the places after it, up to a place that is empty.
    places: Vec<Option<(&'static str, V)>>,
    /// For each length, the first letters of the words, as bits. Most other words fail this check
    /// and need no hash.
    begins: Vec<u32>,
}

/// Longest word that is looked up without regard to case, in bytes.
const LONGEST: usize = 32;

impl<V: Copy> WordTable<V> {
    /// Makes a table. Of words that are equal, the last one counts.
    pub(crate) fn new(words: impl IntoIterator<Item = (&'static str, V)>) -> Self {
        let words: Vec<_> = words.into_iter().collect();
        let longest = words.iter().map(|(word, _)| word.len()).max();
        let mut table = Self {
            places: vec![None; 4 * words.len().next_power_of_two()],
            begins: vec![0; longest.map_or(0, |longest| longest + 1)],
        };
        for (word, value) in words {
            if let Some(begins) = table.begins.get_mut(word.len()) {
                *begins |= bit(word.as_bytes());
            }
            let at = table.find(word.as_bytes());
            if let Some(place) = table.places.get_mut(at) {
                *place = Some((word, value));
            }
        }
        table
    }

    /// Returns the place of a word, or the empty place where it would stand.
    fn find(&self, word: &[u8]) -> usize {
        let mask = self.places.len() - 1;
        let mut at = hash(word) & mask;
        while let Some(Some((known, _))) = self.places.get(at)
            && known.as_bytes() != word
        {
            at = (at + 1) & mask;
        }
        at
    }

    /// Returns what a word means.
    pub(crate) fn get(&self, word: &[u8]) -> Option<V> {
        if !self.may_have(word) {
            return None;
        }
        let (_, value) = self.places.get(self.find(word))?.as_ref()?;
        Some(*value)
    }

    /// Returns the meaning of a word of at most 32 bytes, whatever the case of its letters. The
    /// words of the table must be in lower case.
    pub(crate) fn get_any_case(&self, word: &[u8]) -> Option<V> {
        if !self.may_have(word) {
            return None;
        }
        let mut lower = [0; LONGEST];
        let lower = lower.get_mut(..word.len())?;
        lower.copy_from_slice(word);
        lower.make_ascii_lowercase();
        self.get(lower)
    }

    fn may_have(&self, word: &[u8]) -> bool {
        let begins = self.begins.get(word.len());
        begins.is_some_and(|begins| begins & bit(word) != 0)
    }
}

/// Returns a number with the bit of the first letter of a word, the same for both cases.
fn bit(word: &[u8]) -> u32 {
    1 << (word.first().copied().unwrap_or(0) & 31)
}

/// Returns a hash of the length of a text and of its first and last bytes, which distinguish words
/// well. The hash resists no attack: only fixed tables and small caches use it.
pub(crate) fn hash(text: &[u8]) -> usize {
    let number = |chunk: Option<&[u8; 8]>| chunk.map(|chunk| u64::from_le_bytes(*chunk));
    let (head, tail) = match (number(text.first_chunk()), number(text.last_chunk())) {
        (Some(head), Some(tail)) => (head, tail),
        _ => match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
            (Some(head), Some(tail)) => (
                u64::from(u32::from_le_bytes(*head)),
                u64::from(u32::from_le_bytes(*tail)),
            ),
            _ => {
                let byte = |at: usize| text.get(at).copied().map_or(0, u64::from);
                (byte(0) | byte(1) << 8, byte(2))
            }
        },
    };
    let mixed =
        (head ^ tail.rotate_left(23) ^ text.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    usize::try_from(mixed >> 40).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_and_others_are_not() {
        let words = [
            "",
            "a",
            "ab",
            "abc",
            "abcd",
            "password",
            "passwords",
            "contraseña",
            "пароль",
        ];
        let table = WordTable::new(words.iter().zip(0..).map(|(word, value)| (*word, value)));
        for (word, value) in words.iter().zip(0..) {
            assert_eq!(table.get(word.as_bytes()), Some(value), "{word}");
        }
        for other in [
            "b",
            "abd",
            "abcde",
            "passwort",
            "a longer one than all of the words",
        ] {
            assert_eq!(table.get(other.as_bytes()), None, "{other}");
        }
        assert_eq!(table.get_any_case(b"PassWord"), Some(5));
        assert_eq!(table.get_any_case("x".repeat(99).as_bytes()), None);
    }
}
