//! Functions on texts, as cel-go's extension `strings` defines them (cel-go, ext/strings.go). Positions
//! count characters, not bytes.
//!
//! Each function takes the steps for the text that it reads before it reads it, and those for the text that
//! it writes before it writes it.

use crate::budget::Budget;
use crate::evaluate::Evaluated;
use crate::failure::{Failure, FailureKind};
use crate::value::{List, Text, Value};
use memchr::memmem;

/// A call of a function on a text.
pub(crate) struct Call<'t, 'a> {
    pub(crate) text: &'t Text<'a>,
    pub(crate) budget: &'t Budget,
    pub(crate) at: usize,
}

pub(crate) fn size<'a>(value: &Value<'a>, budget: &Budget, at: usize) -> Evaluated<'a> {
    let size = match value {
        Value::Text(text) => {
            budget.take_bytes(text.len(), at)?;
            text.chars().count()
        }
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        other => return Err(Failure::wrong_type(at, "size", other.word())),
    };
    Ok(position(size))
}

pub(crate) fn join<'a>(
    list: &List<'a>,
    separator: &str,
    budget: &Budget,
    at: usize,
) -> Evaluated<'a> {
    let mut joined = String::new();
    for (index, element) in list.iter().enumerate() {
        let Value::Text(part) = element else {
            return Err(Failure::wrong_type(at, "join", element.word()));
        };
        budget.take(1, at)?;
        budget.take_bytes(part.len() + separator.len(), at)?;
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(&part);
    }
    Ok(Value::Text(Text::made(joined)))
}

/// Returns a number of characters as a value. No text of an event has more than 2^63.
fn position<'a>(position: usize) -> Value<'a> {
    Value::Int(i64::try_from(position).unwrap_or(i64::MAX))
}

impl<'a> Call<'_, 'a> {
    fn take(&self, bytes: usize) -> Result<(), Failure> {
        self.budget.take_bytes(bytes, self.at)
    }

    fn out_of_range(&self) -> Failure {
        Failure::new(self.at, FailureKind::OutOfRange)
    }

    /// Returns a part of the text, without a copy if the text is not made.
    fn part(&self, start: usize, end: usize) -> Result<Text<'a>, Failure> {
        match self.text {
            Text::Borrowed(text) => Ok(Text::Borrowed(text.get(start..end).unwrap_or_default())),
            Text::Made(text) => {
                let part = text.get(start..end).unwrap_or_default();
                self.take(part.len())?;
                Ok(Text::Made(part.into()))
            }
        }
    }

    /// Returns the offset in bytes of a character, `None` if the text is shorter. The end is an offset, too.
    fn offset(&self, character: i64) -> Option<usize> {
        let character = usize::try_from(character).ok()?;
        let offsets = self.text.char_indices().map(|(offset, _)| offset);
        offsets.chain([self.text.len()]).nth(character)
    }

    pub(crate) fn mapped(&self, map: impl FnOnce(&str) -> String) -> Evaluated<'a> {
        self.take(self.text.len())?;
        Ok(Value::Text(Text::made(map(self.text))))
    }

    pub(crate) fn trim(&self) -> Evaluated<'a> {
        self.take(self.text.len())?;
        let start = self.text.len() - self.text.trim_start().len();
        let end = start + self.text.trim().len();
        self.part(start, end).map(Value::Text)
    }

    pub(crate) fn contains(&self, part: &str) -> Evaluated<'a> {
        self.take(self.text.len() + part.len())?;
        let found = memmem::find(self.text.as_bytes(), part.as_bytes());
        Ok(Value::Bool(found.is_some()))
    }

    pub(crate) fn starts_with(&self, part: &str) -> Evaluated<'a> {
        self.take(part.len().min(self.text.len()))?;
        Ok(Value::Bool(self.text.starts_with(part)))
    }

    pub(crate) fn ends_with(&self, part: &str) -> Evaluated<'a> {
        self.take(part.len().min(self.text.len()))?;
        Ok(Value::Bool(self.text.ends_with(part)))
    }

    pub(crate) fn char_at(&self, index: i64) -> Evaluated<'a> {
        self.take(self.text.len())?;
        let start = self.offset(index).ok_or_else(|| self.out_of_range())?;
        let rest = self.text.get(start..).unwrap_or_default();
        let length = rest.chars().next().map_or(0, char::len_utf8);
        self.part(start, start + length).map(Value::Text)
    }

    pub(crate) fn substring(&self, start: i64, end: Option<i64>) -> Evaluated<'a> {
        self.take(2 * self.text.len())?;
        let start = self.offset(start);
        let end = end.map_or(Some(self.text.len()), |end| self.offset(end));
        match (start, end) {
            (Some(start), Some(end)) if start <= end => self.part(start, end).map(Value::Text),
            _ => Err(self.out_of_range()),
        }
    }

    pub(crate) fn index_of(&self, part: &str, from: Option<i64>) -> Evaluated<'a> {
        self.take(2 * (self.text.len() + part.len()))?;
        let start = match self.search_range(part, from)? {
            Ok(start) => start,
            Err(decided) => return Ok(decided),
        };
        let rest = self.text.get(start..).unwrap_or_default();
        let found = memmem::find(rest.as_bytes(), part.as_bytes());
        Ok(self.found(found.map(|found| start + found)))
    }

    pub(crate) fn last_index_of(&self, part: &str, from: Option<i64>) -> Evaluated<'a> {
        self.take(2 * (self.text.len() + part.len()))?;
        let last = match from {
            None => self.text.len(),
            Some(_) => match self.search_range(part, from)? {
                Ok(start) => start + part.len(),
                Err(decided) => return Ok(decided),
            },
        };
        let bytes = self.text.as_bytes();
        let searched = bytes.get(..last).unwrap_or(bytes);
        Ok(self.found(memmem::rfind(searched, part.as_bytes())))
    }

    /// Returns the offset in bytes where a search starts, or the result if it is decided already.
    fn search_range(
        &self,
        part: &str,
        from: Option<i64>,
    ) -> Result<Result<usize, Value<'a>>, Failure> {
        let Some(from) = from else {
            return Ok(Ok(0));
        };
        if from < 0 {
            return Err(self.out_of_range());
        }
        let start = self.offset(from);
        if part.is_empty() {
            let characters = || position(self.text.chars().count());
            return Ok(Err(start.map_or_else(characters, |_| Value::Int(from))));
        }
        match start {
            Some(start) if start < self.text.len() => Ok(Ok(start)),
            _ => Err(self.out_of_range()),
        }
    }

    /// Returns the number of characters before an offset, −1 if there is none.
    fn found(&self, offset: Option<usize>) -> Value<'a> {
        let before = offset.and_then(|offset| self.text.get(..offset));
        before.map_or(Value::Int(-1), |before| position(before.chars().count()))
    }

    pub(crate) fn replace(&self, from: &str, to: &str, limit: i64) -> Evaluated<'a> {
        self.take(self.text.len())?;
        // A negative limit is none.
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        // Between all characters, if `from` is empty.
        let replaced = self.text.matches(from).take(limit).count();
        let longer = replaced.saturating_mul(to.len());
        self.budget.take(replaced, self.at)?;
        self.take(longer.saturating_add(self.text.len()))?;
        Ok(Value::Text(Text::made(self.text.replacen(from, to, limit))))
    }

    pub(crate) fn split(&self, separator: &str, limit: i64) -> Evaluated<'a> {
        self.take(self.text.len())?;
        // A negative limit is none.
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut parts = Vec::new();
        let mut start = 0;
        while parts.len() < limit {
            let rest = self.text.get(start..).unwrap_or_default();
            let is_last = parts.len() + 1 == limit;
            let (length, skipped) = match separator.is_empty() {
                _ if is_last => (rest.len(), None),
                true => match rest.chars().next() {
                    // An empty text has no characters.
                    None => break,
                    Some(character) => {
                        let length = character.len_utf8();
                        (length, (length < rest.len()).then_some(0))
                    }
                },
                false => match memmem::find(rest.as_bytes(), separator.as_bytes()) {
                    Some(found) => (found, Some(separator.len())),
                    None => (rest.len(), None),
                },
            };
            self.budget.take(1, self.at)?;
            parts.push(Value::Text(self.part(start, start + length)?));
            match skipped {
                Some(skipped) => start += length + skipped,
                None => break,
            }
        }
        Ok(Value::List(List::made(parts)))
    }
}
