//! Answers about parts of a text, which are remembered: the same names and values stand in a text
//! again and again.

use crate::word_table::hash;
use std::cell::RefCell;

/// Number of answers that are remembered, a power of two. Each stands in one of two places side by side, and
/// a later one takes that of the earlier one of both.
const PLACES: usize = 128;

/// An answer about a part.
#[derive(Clone, Copy, Debug)]
struct Answer<'t, A> {
    part: &'t [u8],
    question: u16,
    answer: A,
}

/// Answers to questions about parts of one text.
#[derive(Debug)]
pub(crate) struct Memo<'t, A>(RefCell<Vec<Option<Answer<'t, A>>>>);

impl<A> Default for Memo<'_, A> {
    fn default() -> Self {
        Self(RefCell::new(Vec::new()))
    }
}

impl<'t, A: Copy> Memo<'t, A> {
    /// Returns the answer to a question about a part, which must depend on the bytes of the part alone.
    pub(crate) fn recall(&self, question: u16, part: &'t [u8], answer: impl FnOnce() -> A) -> A {
        let mixed = hash(part) ^ usize::from(question).wrapping_mul(31);
        let at = (mixed % PLACES) & !1;
        let known = self.0.borrow();
        for place in [at, at + 1] {
            if let Some(Some(known)) = known.get(place)
                && known.question == question
                && known.part == part
            {
                return known.answer;
            }
        }
        drop(known);
        // It may ask about other parts.
        let answer = answer();
        let mut answers = self.0.borrow_mut();
        if answers.is_empty() {
            answers.resize(PLACES, None);
        }
        answers.swap(at, at + 1);
        if let Some(place) = answers.get_mut(at) {
            *place = Some(Answer {
                part,
                question,
                answer,
            });
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What is remembered is what is answered, for each question.
        #[test]
        fn remembered_answers_are_those_that_were_given(
            asked in prop::collection::vec(("[ab]{0,3}", 0_u16..3), 1..200),
        ) {
            let memo = Memo::default();
            let right = |part: &str, question: u16| {
                let number = part.bytes().fold(1_u8, |sum, byte| sum.wrapping_mul(3).wrapping_add(byte));
                number.wrapping_add(u8::try_from(question).unwrap_or_default())
            };
            for (part, question) in &asked {
                let answer = memo.recall(*question, part.as_bytes(), || right(part, *question));
                prop_assert_eq!(answer, right(part, *question));
            }
        }
    }

    #[test]
    fn an_answer_is_asked_for_once() {
        let memo = Memo::default();
        let text = "one two one";
        let mut asked = 0;
        for part in text.split(' ') {
            memo.recall(1, part.as_bytes(), || {
                asked += 1;
                0
            });
        }
        assert_eq!(asked, 2);
    }
}
