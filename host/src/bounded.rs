//! Numbers of a configuration that lie between bounds: checked where they are read, so that the error
//! names the place.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Reads a number from `MIN` to `MAX`.
pub(crate) fn between<'de, const MIN: u64, const MAX: u64, D, T>(
    deserializer: D,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let not_whole = |_| D::Error::custom(format!("write a whole number from {MIN} to {MAX}"));
    let number = u64::deserialize(deserializer).map_err(not_whole)?;
    let inside = (MIN..=MAX).contains(&number);
    let read = if inside {
        T::try_from(number).ok()
    } else {
        None
    };
    read.ok_or_else(|| D::Error::custom(format!("{number} is not between {MIN} and {MAX}")))
}

/// The same where the number may be left out.
pub(crate) fn optional<'de, const MIN: u64, const MAX: u64, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    between::<MIN, MAX, D, u64>(deserializer).map(Some)
}

/// Reads a list of 1 to `MAX`.
pub(crate) fn some<'de, const MAX: usize, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let items: Vec<T> = Vec::deserialize(deserializer)?;
    match (1..=MAX).contains(&items.len()) {
        true => Ok(items),
        false => Err(D::Error::custom(format!("list 1 to {MAX} of them"))),
    }
}

/// Reads a text that is not empty, not longer than 200 bytes and without control characters.
pub(crate) fn line<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() || text.len() > 200 || text.chars().any(char::is_control) {
        return Err(D::Error::custom(
            "write 1 to 200 bytes without control characters",
        ));
    }
    Ok(text)
}
