//! Events above `event.maxBytes`: what is left out of them, and how that is marked.
//!
//! The log is cut first; then whole members go: the script, the arguments, results, other members of the step, what
//! plugins added to the data, labels. Half of a script could show half of a secret, which no plugin would recognise.
//! What says who and how stays, and so do all attributes: receivers route by them.

mod cutting;

use super::encode::EncodeError;
use super::encoded::{Binding, Encoded};
use cutting::Cutting;

/// An event that was above the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oversize {
    /// Its size before, in bytes.
    pub before: usize,
    /// Its size after something was left out.
    pub after: usize,
    /// It is within the bound now.
    pub fits: bool,
}

impl Encoded {
    /// Leaves out of an event what is above the bound, if a sink adds so many bytes to it. The size is that of its JSON
    /// format, or of binary mode over HTTP if that is larger; without compression.
    ///
    /// # Errors
    ///
    /// It is no event.
    pub fn bounded(
        self,
        max_bytes: usize,
        added: usize,
    ) -> Result<(Self, Option<Oversize>), EncodeError> {
        // No header takes more than three times what it takes in JSON.
        if self.size().saturating_mul(3).saturating_add(added) <= max_bytes {
            return Ok((self, None));
        }
        let before = self.sent_size()? + added;
        if before <= max_bytes {
            return Ok((self, None));
        }
        let data = self.data_json()?.unwrap_or_default();
        let room = max_bytes.saturating_sub(before.saturating_sub(data.len()));
        let Some(cutting) = Cutting::new(&data, room) else {
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
        let cut = self.with_data(&serde_json::to_vec(&cutting.cut()?)?)?;
        let after = cut.sent_size()? + added;
        let fits = after <= max_bytes;
        Ok((
            cut,
            Some(Oversize {
                before,
                after,
                fits,
            }),
        ))
    }

    /// The larger one of its sizes in JSON format and in binary mode over HTTP.
    fn sent_size(&self) -> Result<usize, EncodeError> {
        let binary = self.binary(Binding::HTTP)?;
        let headers = binary.headers.iter();
        let headers: usize = headers
            .map(|(name, value)| header_size(name, value.len()))
            .sum();
        Ok(self.size().max(headers + binary.body.len()))
    }
}

/// What a further attribute with this name and value adds to an event.
#[must_use]
pub fn attribute_size(name: &str, value: &str) -> usize {
    let header = Binding::HTTP
        .encode(value)
        .map_or(value.len(), |value| value.len());
    let header = header_size(name, header) + "ce-".len();
    header.max(quoted(name) + quoted(value) + ":,".len())
}

fn header_size(name: &str, value: usize) -> usize {
    name.len() + ": ".len() + value + "\r\n".len()
}

/// What a text takes in JSON.
fn quoted(text: &str) -> usize {
    escaped(text) + 2
}

fn escaped(text: &str) -> usize {
    text.chars().map(cost).sum()
}

/// What a character takes within a text in JSON, as `serde_json` writes it.
fn cost(char: char) -> usize {
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
                quoted(&text),
                serde_json::to_string(&text).unwrap().len(),
                "{code:x}"
            );
        }
    }
}
