//! Reads members of JSON objects that plugins may have changed: a member of another type counts as
//! missing, and does not make the whole event unreadable.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// Texts by name, such as labels.
pub(crate) type Texts<'a> = BTreeMap<Cow<'a, str>, Cow<'a, str>>;

/// Reads a text; `None` for any other value.
pub(crate) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    from.deserialize_any(Lenient::<Text>(PhantomData))
}

/// Reads an integer; `None` for any other value.
pub(crate) fn integer<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    from.deserialize_any(Lenient::<Integer>(PhantomData))
}

/// Reads an object; the default for any other value.
pub(crate) fn object<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(object_or_none(from)?.unwrap_or_default())
}

/// Reads an object; `None` for any other value. A derived `Deserialize` alone would take an array, too.
pub(crate) fn object_or_none<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    from.deserialize_any(Lenient::<Object<T>>(PhantomData))
}

/// Reads those members of an object that are texts; nothing of any other value.
pub(crate) fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<Texts<'de>, D::Error> {
    let texts = from.deserialize_any(Lenient::<TextsOnly>(PhantomData))?;
    Ok(texts.unwrap_or_default())
}

/// The type that a member should have. Each method returns `None` unless it is of that type.
trait Expected<'de> {
    type Value;

    fn text(_text: Cow<'de, str>) -> Option<Self::Value> {
        None
    }

    fn integer(_number: i64) -> Option<Self::Value> {
        None
    }

    fn object<A: MapAccess<'de>>(mut members: A) -> Result<Option<Self::Value>, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

struct Text;

impl<'de> Expected<'de> for Text {
    type Value = Cow<'de, str>;

    fn text(text: Cow<'de, str>) -> Option<Self::Value> {
        Some(text)
    }
}

struct Integer;

impl Expected<'_> for Integer {
    type Value = i64;

    fn integer(number: i64) -> Option<i64> {
        Some(number)
    }
}

struct Object<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Expected<'de> for Object<T> {
    type Value = T;

    fn object<A: MapAccess<'de>>(members: A) -> Result<Option<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Some)
    }
}

struct TextsOnly;

impl<'de> Expected<'de> for TextsOnly {
    type Value = Texts<'de>;

    fn object<A: MapAccess<'de>>(mut members: A) -> Result<Option<Self::Value>, A::Error> {
        let mut texts = Texts::new();
        while let Some((MaybeText(name), MaybeText(value))) = members.next_entry()? {
            if let (Some(name), Some(value)) = (name, value) {
                texts.insert(name, value);
            }
        }
        Ok(Some(texts))
    }
}

/// A text, or `None` for any other value.
struct MaybeText<'a>(Option<Cow<'a, str>>);

impl<'de> Deserialize<'de> for MaybeText<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        text(from).map(Self)
    }
}

struct Lenient<E>(PhantomData<E>);

impl<'de, E: Expected<'de>> Visitor<'de> for Lenient<E> {
    type Value = Option<E::Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_bool<F: Error>(self, _: bool) -> Result<Self::Value, F> {
        Ok(None)
    }

    fn visit_i64<F: Error>(self, number: i64) -> Result<Self::Value, F> {
        Ok(E::integer(number))
    }

    fn visit_u64<F: Error>(self, number: u64) -> Result<Self::Value, F> {
        Ok(i64::try_from(number).ok().and_then(E::integer))
    }

    fn visit_f64<F: Error>(self, _: f64) -> Result<Self::Value, F> {
        Ok(None)
    }

    fn visit_borrowed_str<F: Error>(self, text: &'de str) -> Result<Self::Value, F> {
        Ok(E::text(Cow::Borrowed(text)))
    }

    fn visit_str<F: Error>(self, text: &str) -> Result<Self::Value, F> {
        Ok(E::text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<F: Error>(self, text: String) -> Result<Self::Value, F> {
        Ok(E::text(Cow::Owned(text)))
    }

    fn visit_unit<F: Error>(self) -> Result<Self::Value, F> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        E::object(members)
    }
}
