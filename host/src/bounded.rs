//! Values of a configuration that have bounds. They are checked when they are read, so that an
//! error names line and field.

mod namespace;

pub use namespace::namespace_name;
pub(crate) use namespace::namespace_names;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A whole number from `MIN` to `MAX`. Its JSON Schema states the same bounds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Bounded<const MIN: u64, const MAX: u64, T = u64>(T);

impl<const MIN: u64, const MAX: u64, T: Copy> Bounded<MIN, MAX, T> {
    /// Returns the number.
    pub const fn get(self) -> T {
        self.0
    }

    /// Bounds a number that the program itself chooses, such as a default.
    ///
    /// # Panics
    ///
    /// The number is outside the bounds.
    #[must_use]
    pub fn new(number: T) -> Self
    where
        T: TryInto<u64>,
    {
        let is_inside = |number: u64| (MIN..=MAX).contains(&number);
        assert!(
            number.try_into().is_ok_and(is_inside),
            "outside {MIN} to {MAX}"
        );
        Self(number)
    }

    /// Makes a number without a check of its bounds, so that tests can use smaller limits.
    #[cfg(test)]
    pub(crate) const fn unchecked(number: T) -> Self {
        Self(number)
    }
}

impl<const MIN: u64, const MAX: u64> Bounded<MIN, MAX> {
    /// Returns the number, or the nearest bound.
    #[must_use]
    pub fn clamped(number: u64) -> Self {
        Self(number.clamp(MIN, MAX))
    }
}

impl<const MIN: u64, const MAX: u64, T: TryFrom<u64>> Bounded<MIN, MAX, T> {
    fn from_u64(number: u64) -> Result<Self, String> {
        let is_inside = (MIN..=MAX).contains(&number);
        let inside = is_inside.then(|| T::try_from(number).ok()).flatten();
        inside
            .map(Self)
            .ok_or_else(|| format!("{number} is not between {MIN} and {MAX}"))
    }

    fn not_whole<E>(_: E) -> String {
        format!("write a whole number from {MIN} to {MAX}")
    }
}

impl<const MIN: u64, const MAX: u64, T: TryFrom<u64>> FromStr for Bounded<MIN, MAX, T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::from_u64(text.parse().map_err(Self::not_whole)?)
    }
}

impl<const MIN: u64, const MAX: u64, T: fmt::Debug> fmt::Debug for Bounded<MIN, MAX, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de, const MIN: u64, const MAX: u64, T: TryFrom<u64>> Deserialize<'de>
    for Bounded<MIN, MAX, T>
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer).map_err(Self::not_whole);
        number.and_then(Self::from_u64).map_err(D::Error::custom)
    }
}

impl<const MIN: u64, const MAX: u64, T: JsonSchema> JsonSchema for Bounded<MIN, MAX, T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}From{MIN}To{MAX}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = T::json_schema(generator);
        schema.insert("minimum".to_owned(), MIN.into());
        schema.insert("maximum".to_owned(), MAX.into());
        schema
    }
}

/// Reads an optional value that may be absent but not `null`: serde alone would read `null` as
/// absent.
pub(crate) fn not_null<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Reads a list of 1 to `MAX` items.
pub(crate) fn list<'de, const MAX: usize, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
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

/// Reads a list of at most `MAX` items.
pub(crate) fn at_most<'de, const MAX: usize, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let items: Vec<T> = Vec::deserialize(deserializer)?;
    match items.len() <= MAX {
        true => Ok(items),
        false => Err(D::Error::custom(format!("list at most {MAX} of them"))),
    }
}

/// Reads a text of 1 to 200 bytes without control characters.
pub(crate) fn short_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() || text.len() > 200 || text.chars().any(char::is_control) {
        return Err(D::Error::custom(
            "write 1 to 200 bytes without control characters",
        ));
    }
    Ok(text)
}

/// Reads the name of a plugin or sink.
pub(crate) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > 63 || !name.bytes().all(allowed) {
        return Err(D::Error::custom(
            "a name is 1 to 63 letters, digits, `-`, `_` and `.`",
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Port = Bounded<1, 65535, u32>;

    #[test]
    fn a_number_outside_its_bounds_is_refused_with_the_bounds() {
        let read = |text: &str| serde_json::from_str::<Port>(text);
        assert_eq!(read("1").unwrap(), Port::new(1));
        assert_eq!(read("65535").unwrap().get(), 65535);
        assert_eq!("7".parse(), Ok(Port::new(7)));
        for (text, expected) in [
            ("0", "0 is not between 1 and 65535"),
            ("65536", "65536 is not between 1 and 65535"),
            ("-1", "write a whole number from 1 to 65535"),
            ("\"1\"", "write a whole number from 1 to 65535"),
            ("null", "write a whole number from 1 to 65535"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
            if !text.starts_with('"') {
                assert_eq!(text.parse::<Port>().unwrap_err(), expected);
            }
        }
    }

    #[test]
    fn the_schema_states_the_bounds_of_the_type() {
        let schema = schemars::schema_for!(Port).to_value();
        assert_eq!(schema["type"], "integer");
        assert_eq!(schema["format"], "uint32");
        assert_eq!(
            (&schema["minimum"], &schema["maximum"]),
            (&1.into(), &65535.into())
        );
        assert_eq!(serde_json::to_string(&Port::new(7)).unwrap(), "7");
        assert_eq!(format!("{:?}", Port::new(7)), "7");
    }
}
