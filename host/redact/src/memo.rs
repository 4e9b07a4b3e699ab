//! Remembered answers to questions about parts of a text. The same names and values often occur
//! many times.

use crate::word_table::hash;
use std::cell::RefCell;

/// Number of answers that are remembered, a power of two. Each answer belongs to a pair of
/// neighbouring places. A new answer replaces the older one of its pair.
const PLACES: usize = 128;

/// A question about a part of a text, whose answer depends on the bytes of the part alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// How surely it names a secret.
    Name,
    /// Place of the first character outside ASCII that is not a letter.
    FirstSign,
    /// Where the last such sign ends.
    AfterLastSign,
    /// Whether no field follows a name in the part.
    NoField,
    /// Whether the part is a secret under a name of this strength, in this style.
    Secret(u8, u8),
    /// Whether the part has at least this number of bytes and looks random.
    Random(u8),
    /// Secrets in the decoded part, after this number of earlier decodings.
    Decoded(usize),
    /// Match of the kind with this index, at the beginning of the part.
    Match(usize),
    /// Match of the kind with this index, before a keyword in the part.
    MatchBefore(usize),
}

impl Question {
    /// Returns a number that differs between most questions.
    fn number(self) -> usize {
        match self {
            Self::Name => 1,
            Self::FirstSign => 2,
            Self::AfterLastSign => 3,
            Self::NoField => 4,
            Self::Secret(strength, style) => 64 + 8 * usize::from(strength) + usize::from(style),
            Self::Random(least) => 256 + usize::from(least),
            Self::Decoded(depth) => 8 + depth,
            Self::Match(kind) => 512 + kind,
            Self::MatchBefore(kind) => 1024 + kind,
        }
    }
}

/// An answer about a part.
#[derive(Clone, Debug)]
struct Answer<'t, A> {
    part: &'t [u8],
    question: Question,
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

impl<'t, A: Clone> Memo<'t, A> {
    /// Returns the remembered answer to a question about a part. Calls `answer` if there is none.
    pub(crate) fn recall(
        &self,
        question: Question,
        part: &'t [u8],
        answer: impl FnOnce() -> A,
    ) -> A {
        let mixed = hash(part) ^ question.number().wrapping_mul(31);
        let at = (mixed % PLACES) & !1;
        let known = self.0.borrow();
        for place in [at, at + 1] {
            if let Some(Some(known)) = known.get(place)
                && known.question == question
                && known.part == part
            {
                return known.answer.clone();
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
                answer: answer.clone(),
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
        /// A remembered answer is the same as a new one. The two questions of this test share their
        /// places.
        #[test]
        fn remembered_answers_are_those_that_were_given(
            asked in prop::collection::vec(("[ab]{0,3}", prop::sample::select(vec![0_u8, 128])), 1..200),
        ) {
            let memo = Memo::default();
            let right = |part: &str, least: u8| {
                let add = |sum: u8, byte| sum.wrapping_mul(3).wrapping_add(byte);
                part.bytes().fold(least + 1, add)
            };
            for (part, least) in &asked {
                let question = Question::Random(*least);
                let answer = memo.recall(question, part.as_bytes(), || right(part, *least));
                prop_assert_eq!(answer, right(part, *least));
            }
        }
    }

    #[test]
    fn an_answer_is_asked_for_once() {
        let memo = Memo::default();
        let text = "one two one";
        let mut asked = 0;
        for part in text.split(' ') {
            memo.recall(Question::Name, part.as_bytes(), || asked += 1);
        }
        assert_eq!(asked, 2);
    }
}
