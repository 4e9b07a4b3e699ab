//! Makes events fit `event.maxBytes`.
//!
//! The log loses its middle first. Then whole members are omitted: the script, the arguments,
//! results, other members of the step, members that plugins added to the data, labels. A member is
//! never truncated: half of a script could show half of a secret, which no plugin would recognise.
//! The members that identify the step and its end are kept, and so are all attributes, because
//! receivers route by them.

mod omission;

use super::encode::EncodeError;
use super::encoded::{Binding, Encoded};
use omission::Omission;

/// Sizes of an event that exceeded the bound, before and after parts of it were omitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oversize {
    /// Size before anything was omitted, in bytes.
    pub before: usize,
    /// Size afterwards, in bytes.
    pub after: usize,
    /// Whether it is within the bound now.
    pub fits: bool,
}

impl Encoded {
    /// Omits parts of the event until its size, with `added` bytes that a sink adds, is at most
    /// `max_bytes`. The size is the larger of those in JSON format and in binary mode over HTTP,
    /// without compression.
    ///
    /// # Errors
    ///
    /// The bytes are not an event.
    pub fn bounded(
        self,
        max_bytes: usize,
        added: usize,
    ) -> Result<(Self, Option<Oversize>), EncodeError> {
        // A header takes at most three times the bytes that it takes in JSON.
        if self.size().saturating_mul(3).saturating_add(added) <= max_bytes {
            return Ok((self, None));
        }
        let before = self.largest_size()? + added;
        if before <= max_bytes {
            return Ok((self, None));
        }
        let data = self.data_json()?.unwrap_or_default();
        let room = max_bytes.saturating_sub(before.saturating_sub(data.len()));
        let Some(omission) = Omission::new(&data, room) else {
            let (after, fits) = (before, false);
            return Ok((
                self,
                Some(Oversize {
                    before,
                    after,
                    fits,
                }),
            ));
        };
        let bounded = self.with_data(&serde_json::to_vec(&omission.apply()?)?)?;
        let after = bounded.largest_size()? + added;
        let fits = after <= max_bytes;
        Ok((
            bounded,
            Some(Oversize {
                before,
                after,
                fits,
            }),
        ))
    }

    /// Returns the size of the event in JSON format or in binary mode over HTTP, whichever is
    /// larger.
    fn largest_size(&self) -> Result<usize, EncodeError> {
        let binary = self.binary(Binding::HTTP)?;
        let headers = binary.headers.iter();
        let headers: usize = headers
            .map(|(name, value)| header_size(name, value.len()))
            .sum();
        Ok(self.size().max(headers + binary.body.len()))
    }
}

/// Returns the bytes that one more attribute with this name and value adds to an event.
#[must_use]
pub fn attribute_size(name: &str, value: &str) -> usize {
    let header = Binding::HTTP
        .encode(value)
        .map_or(value.len(), |value| value.len());
    let header = header_size(name, header) + "ce-".len();
    header.max(quoted_size(name) + quoted_size(value) + ":,".len())
}

fn header_size(name: &str, value: usize) -> usize {
    name.len() + ": ".len() + value + "\r\n".len()
}

/// Returns the bytes that a text takes in JSON, with its quotes.
fn quoted_size(text: &str) -> usize {
    escaped_size(text) + 2
}

fn escaped_size(text: &str) -> usize {
    text.chars().map(char_size).sum()
}

/// Returns the bytes that a character takes in a JSON string that `serde_json` writes.
fn char_size(char: char) -> usize {
    match char {
        '"' | '\\' | '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => 2,
        '\0'..='\x1f' => 6,
        char => char.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_text_is_its_size_in_json() {
        for code in (0..0x3000).chain([0xffff, 0x1f980]) {
            let Some(char) = char::from_u32(code) else {
                continue;
            };
            let text = char.to_string();
            assert_eq!(
                quoted_size(&text),
                serde_json::to_string(&text).unwrap().len(),
                "{code:x}"
            );
        }
    }
}
