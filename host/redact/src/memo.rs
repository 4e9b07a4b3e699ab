//! Answers about parts of a text, which are remembered: the same names and values stand in a text
//! again and again.

use crate::word_table::hash;
use std::cell::RefCell;

/// Number of answers that are remembered, a power of two. Each stands in one of two places side by side, and
/// a later one takes that of the earlier one of both.
const PLACES: usize = 128;

/// A question about a part of a text, whose answer depends on the bytes of the part alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// How surely it names a secret.
    Name,
    /// Where the first sign stands that is neither ASCII nor a letter.
    FirstSign,
    /// Where the last such sign ends.
    AfterLastSign,
    /// Whether no field is behind a name in it.
    NoField,
    /// Whether it is a secret under a name of a strength, in a style.
    Secret(u8, u8),
    /// Whether it has at least so many bytes and looks random.
    Random(u8),
    /// Which secrets are in it if it is decoded, after so many times.
    Decoded(usize),
    /// How the kind of an index matches at its beginning.
    Match(usize),
    /// How the kind of an index matches before a keyword.
    MatchBefore(usize),
}

impl Question {
    /// Returns a number by which most questions differ.
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
    /// Returns the answer to a question about a part. It is asked for if it is not remembered.
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
        /// What is remembered is what is answered, for each question. These two have the same places.
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
