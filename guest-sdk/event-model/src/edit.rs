//! The changes that a plugin requests during one call. They are checked and limited when they are
//! recorded, and applied together after the call has succeeded.

use crate::{attribute, field, pointer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Most parts of the data that one call may set.
const MAX_DATA_EDITS: usize = 1024;

/// Maximum number of attributes that one call may set or remove. It is limited because receivers
/// copy attributes to HTTP headers.
const MAX_ATTRIBUTE_EDITS: usize = 64;

/// Cost of a recorded change in bytes, in addition to its text. It also limits a plugin that makes
/// very small changes in a loop.
const EDIT_OVERHEAD: usize = 64;

/// Approximate ratio of the memory of a parsed JSON value to the bytes of its text.
const PARSED_FACTOR: usize = 4;

/// Why a change was refused: the variant `edit-error` of the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditError {
    /// No plugin may change this part of an event.
    ReadOnly(String),
    /// Not a valid name, value, pointer or range.
    Invalid(String),
    /// The changes of this call are larger than the plugin's limit.
    TooLarge,
}

/// The changes of one call.
#[derive(Debug, Default)]
pub struct Edits {
    attributes: BTreeMap<String, Option<String>>,
    data: Vec<(String, Option<Value>)>,
    log: Option<LogEdit>,
    /// Bytes that further changes may take.
    budget: usize,
    /// Memory that the changes take, in bytes.
    held: usize,
}

#[derive(Debug)]
enum LogEdit {
    /// The new text.
    Text(String),
    /// Replacements of ranges in bytes, in order.
    Ranges(Vec<(usize, usize, String)>),
}

// === impl EditError ===

impl fmt::Display for EditError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadOnly(why) | Self::Invalid(why) => formatter.write_str(why),
            Self::TooLarge => formatter
                .write_str("the changes are larger than the plugin's limit (limits.outputBytes)"),
        }
    }
}

impl std::error::Error for EditError {}

impl From<attribute::AttributeError> for EditError {
    fn from(error: attribute::AttributeError) -> Self {
        match error {
            attribute::AttributeError::ReadOnly(_) => Self::ReadOnly(error.to_string()),
            attribute::AttributeError::Name(_) | attribute::AttributeError::Value(_) => {
                Self::Invalid(error.to_string())
            }
        }
    }
}

// === impl Edits ===

impl Edits {
    /// Returns an empty list of changes that may take `budget` bytes.
    #[must_use]
    pub fn new(budget: usize) -> Self {
        Self {
            budget,
            ..Self::default()
        }
    }

    /// Returns the bytes that further changes may take.
    #[must_use]
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// Returns the memory that the changes take, in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Returns whether the log or the data is changed.
    #[must_use]
    pub fn change_content(&self) -> bool {
        !self.data.is_empty() || self.log.is_some()
    }

    /// Subtracts the cost of one more change, with `bytes` bytes, from the budget.
    ///
    /// # Errors
    ///
    /// The budget is spent.
    pub fn spend(&mut self, bytes: usize) -> Result<(), EditError> {
        let cost = bytes.saturating_add(EDIT_OVERHEAD);
        self.budget = self.budget.checked_sub(cost).ok_or(EditError::TooLarge)?;
        self.held = self.held.saturating_add(cost);
        Ok(())
    }

    /// Records that an attribute is set or removed.
    ///
    /// # Errors
    ///
    /// A plugin may not change the attribute in this way, or the changes exceed a limit.
    pub fn set_attribute(&mut self, name: &str, value: Option<&str>) -> Result<(), EditError> {
        attribute::check_change(name, value)?;
        self.spend(name.len() + value.map_or(0, str::len))?;
        if self.attributes.len() >= MAX_ATTRIBUTE_EDITS {
            return Err(EditError::TooLarge);
        }
        self.attributes
            .insert(name.to_owned(), value.map(str::to_owned));
        Ok(())
    }

    /// Records that a part of the data is set or removed.
    ///
    /// # Errors
    ///
    /// A plugin may not set this part, the pointer or the JSON is not valid, or the changes exceed
    /// a limit.
    pub fn set(&mut self, place: &str, json: Option<&str>) -> Result<(), EditError> {
        pointer::check(place).map_err(EditError::Invalid)?;
        if let Some(field) = field::forbids_set(place) {
            return Err(EditError::ReadOnly(format!(
                "`{}` cannot be set: it says what the event is about, or has functions of its own",
                field.pointer
            )));
        }
        if self.data.len() >= MAX_DATA_EDITS {
            return Err(EditError::TooLarge);
        }
        let length = json.map_or(0, str::len);
        self.spend(place.len() + length.saturating_mul(PARSED_FACTOR))?;
        self.held = self.held.saturating_add(json.map_or(0, size_in_memory));
        let value = json.map(serde_json::from_str).transpose();
        let value = value.map_err(|error| EditError::Invalid(format!("not JSON: {error}")))?;
        self.data.push((place.to_owned(), value));
        Ok(())
    }

    /// Records a new text for the whole log. It replaces earlier changes of the log.
    ///
    /// # Errors
    ///
    /// The text is too long.
    pub fn set_log(&mut self, text: String) -> Result<(), EditError> {
        self.spend(text.len())?;
        self.log = Some(LogEdit::Text(text));
        Ok(())
    }

    /// Records new texts for ranges of the log. A range is given as its first byte, the first byte
    /// after it, and the new text.
    ///
    /// # Errors
    ///
    /// The log was changed before in this call, a range is not valid, or the new texts are too
    /// long.
    pub fn edit_log(&mut self, log: &str, edits: Vec<(u64, u64, String)>) -> Result<(), EditError> {
        if self.log.is_some() {
            return Err(EditError::Invalid(
                "the log was changed in this call already".to_owned(),
            ));
        }
        let costs = edits.iter().map(|(_, _, text)| text.len() + EDIT_OVERHEAD);
        self.spend(costs.sum())?;
        let mut ranges: Vec<(usize, usize, String)> = Vec::with_capacity(edits.len());
        for (start, end, text) in edits {
            let before = ranges.last().map_or(0, |(_, end, _)| *end);
            let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
            match range {
                Some((start, end)) if start >= before && log.get(start..end).is_some() => {
                    ranges.push((start, end, text));
                }
                _ => {
                    return Err(EditError::Invalid(format!(
                        "range {start}..{end} is not inside the log, not on characters, or not after the one before"
                    )));
                }
            }
        }
        self.log = Some(LogEdit::Ranges(ranges));
        Ok(())
    }

    /// Applies the changes of the log and of the data. Returns the changes of the attributes, which
    /// the caller applies.
    pub fn apply(
        self,
        log: &mut Option<String>,
        data: &mut Value,
    ) -> BTreeMap<String, Option<String>> {
        for (place, value) in self.data {
            pointer::set(data, &place, value);
        }
        match self.log {
            None => {}
            Some(LogEdit::Text(text)) => *log = Some(text),
            Some(LogEdit::Ranges(ranges)) => {
                *log = log.take().map(|log| replace_ranges(&log, &ranges));
            }
        }
        self.attributes
    }
}

/// Estimates the memory that the parsed values of a JSON text take, in addition to the bytes of the
/// text. Counts the values, because a value may have only two bytes of text, as in a list of zeros.
#[must_use]
pub fn size_in_memory(json: &str) -> usize {
    let values = json.bytes().filter(|byte| b",[{:".contains(byte)).count();
    values
        .saturating_add(1)
        .saturating_mul(2 * size_of::<Value>())
}

fn replace_ranges(log: &str, ranges: &[(usize, usize, String)]) -> String {
    let mut replaced = String::with_capacity(log.len());
    let mut done = 0;
    for (start, end, text) in ranges {
        replaced.push_str(log.get(done..*start).unwrap_or_default());
        replaced.push_str(text);
        done = *end;
    }
    replaced.push_str(log.get(done..).unwrap_or_default());
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn changes_are_applied_together() {
        let mut edits = Edits::new(10_000);
        let (mut log, mut data) = (Some("größe 1".to_owned()), json!({"a": 1}));
        assert_eq!(edits.set_attribute("team", Some("shop")), Ok(()));
        assert_eq!(edits.set("/b/c", Some("[true]")), Ok(()));
        assert_eq!(edits.set("/a", None), Ok(()));
        let ranges = vec![(0, 0, "<".to_owned()), (8, 9, "2>".to_owned())];
        assert_eq!(
            edits.edit_log(log.as_deref().unwrap_or_default(), ranges),
            Ok(())
        );
        let attributes = edits.apply(&mut log, &mut data);
        assert_eq!(
            attributes.get("team").cloned(),
            Some(Some("shop".to_owned()))
        );
        assert_eq!(data, json!({"b": {"c": [true]}}));
        assert_eq!(log.as_deref(), Some("<größe 2>"));
    }

    #[test]
    fn ranges_are_in_the_log_in_order_and_between_characters() {
        let log = "größe";
        for wrong in [
            vec![(0, 9, String::new())],
            vec![(3, 4, String::new())],
            vec![(2, 1, String::new())],
            vec![(1, 2, String::new()), (0, 1, String::new())],
        ] {
            let edited = Edits::new(10_000).edit_log(log, wrong.clone());
            assert!(matches!(edited, Err(EditError::Invalid(_))), "{wrong:?}");
        }
        let mut edits = Edits::new(10_000);
        assert_eq!(edits.set_log(String::new()), Ok(()));
        assert!(edits.edit_log(log, Vec::new()).is_err());
    }

    #[test]
    fn a_call_cannot_change_more_than_its_budget() {
        let mut edits = Edits::new(200);
        assert_eq!(edits.set("/a", Some("1")), Ok(()));
        assert_eq!(edits.held(), 200 - edits.budget() + size_in_memory("1"));
        assert_eq!(edits.set_log("x".repeat(100)), Err(EditError::TooLarge));
        let mut edits = Edits::new(usize::MAX);
        for index in 0..MAX_ATTRIBUTE_EDITS {
            assert_eq!(edits.set_attribute(&format!("a{index}"), None), Ok(()));
        }
        assert_eq!(edits.set_attribute("one", None), Err(EditError::TooLarge));
    }
}
