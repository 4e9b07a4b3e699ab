//! Deserializes a type and omits the fields that have mistakes. Wraps another deserializer and
//! tracks the path of the value that it reads.

use super::path::{FieldPath, Segment};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IgnoredAny, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;

/// State of one read: the fields that it omits, and its failure.
#[derive(Debug, Default)]
pub(super) struct ReadState {
    /// Fields and items that are read as if they were absent.
    pub(super) omitted: HashSet<FieldPath>,
    /// Values that are added to mappings in place of missing fields, so that the other fields of
    /// these mappings can be read.
    pub(super) added: HashMap<FieldPath, Vec<(String, Value)>>,
    /// The field at which the read failed.
    pub(super) failed: Option<FailedAt>,
    path: FieldPath,
}

/// The field at which a read failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FailedAt {
    pub(super) path: FieldPath,
    /// True if the name of the field is wrong, false if its value is wrong.
    pub(super) is_name: bool,
}

impl ReadState {
    /// Resets the state for the next read. The omitted fields and added values stay.
    pub(super) fn restart(&mut self) {
        self.failed = None;
        self.path = FieldPath::default();
    }
}

/// Wraps a deserializer, visitor or similar type of serde, and tracks the path of the value that it
/// reads.
pub(super) struct WithPath<'a, X> {
    inner: X,
    reading: &'a RefCell<ReadState>,
}

impl<'a, X> WithPath<'a, X> {
    pub(super) fn new(inner: X, reading: &'a RefCell<ReadState>) -> Self {
        Self { inner, reading }
    }

    fn wrap<Y>(&self, inner: Y) -> WithPath<'a, Y> {
        WithPath::new(inner, self.reading)
    }

    /// Reads a child of the current value. Records only the first failure, because failures of the
    /// parents are its consequences.
    fn read_child<T, E>(
        &self,
        segment: Segment,
        is_name: bool,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.reading.borrow_mut().path.0.push(segment);
        let read = read();
        let mut reading = self.reading.borrow_mut();
        if read.is_err() && reading.failed.is_none() {
            let path = reading.path.clone();
            reading.failed = Some(FailedAt { path, is_name });
        }
        reading.path.0.pop();
        read
    }

    fn is_omitted(&self, segment: Segment) -> bool {
        let mut reading = self.reading.borrow_mut();
        if reading.omitted.is_empty() {
            return false;
        }
        reading.path.0.push(segment);
        let omitted = reading.omitted.contains(&reading.path);
        reading.path.0.pop();
        omitted
    }
}

macro_rules! forward {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {
        $(fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, Self::Error> {
            self.inner.$method($($argument,)* WithPath::new(visitor, self.reading))
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for WithPath<'_, D> {
    type Error = D::Error;

    forward! {
        deserialize_any() deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64()
        deserialize_i128() deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_char() deserialize_str() deserialize_string()
        deserialize_bytes() deserialize_byte_buf() deserialize_option() deserialize_unit() deserialize_seq()
        deserialize_map() deserialize_identifier() deserialize_ignored_any()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! visit {
    ($($method:ident($type:ty))*) => {
        $(fn $method<E: serde::de::Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for WithPath<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    visit! {
        visit_bool(bool) visit_i8(i8) visit_i16(i16) visit_i32(i32) visit_i64(i64) visit_i128(i128) visit_u8(u8)
        visit_u16(u16) visit_u32(u32) visit_u64(u64) visit_u128(u128) visit_f32(f32) visit_f64(f64) visit_char(char)
        visit_str(&str) visit_borrowed_str(&'de str) visit_string(String) visit_bytes(&[u8])
        visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.inner
            .visit_some(WithPath::new(deserializer, self.reading))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<V::Value, D::Error> {
        self.inner
            .visit_newtype_struct(WithPath::new(deserializer, self.reading))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        let (tracked, index) = (WithPath::new(items, self.reading), 0);
        self.inner.visit_seq(SequenceItems { tracked, index })
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        let added = {
            let reading = self.reading.borrow();
            reading.added.get(&reading.path).cloned()
        };
        self.inner.visit_map(MappingEntries {
            tracked: WithPath::new(entries, self.reading),
            added: added.unwrap_or_default(),
            next: None,
        })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(WithPath::new(data, self.reading))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for WithPath<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.inner
            .deserialize(WithPath::new(deserializer, self.reading))
    }
}

struct SequenceItems<'a, A> {
    tracked: WithPath<'a, A>,
    index: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for SequenceItems<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        while self.tracked.is_omitted(Segment::Index(self.index)) {
            if self.tracked.inner.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
            self.index += 1;
        }
        let segment = Segment::Index(self.index);
        self.index += 1;
        let (reading, seed) = (self.tracked.reading, self.tracked.wrap(seed));
        let items = &mut self.tracked.inner;
        WithPath::new((), reading).read_child(segment, false, || items.next_element_seed(seed))
    }
}

struct MappingEntries<'a, A> {
    tracked: WithPath<'a, A>,
    added: Vec<(String, Value)>,
    /// Key of the entry whose value is read next. Also holds the value if the entry was added.
    next: Option<(String, Option<Value>)>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for MappingEntries<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let (key, value) = loop {
            match self.tracked.inner.next_key::<String>()? {
                Some(key) if self.tracked.is_omitted(Segment::Key(key.clone())) => {
                    self.tracked.inner.next_value::<IgnoredAny>()?;
                }
                Some(key) => break (key, None),
                None => match self.added.pop() {
                    Some((key, value)) => break (key, Some(value)),
                    None => return Ok(None),
                },
            }
        };
        let segment = Segment::Key(key.clone());
        let read = self.tracked.read_child(segment, true, || {
            seed.deserialize(key.clone().into_deserializer())
        });
        self.next = Some((key, value));
        read.map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let (key, added) = self.next.take().unwrap_or_default();
        if let Some(added) = added {
            return seed.deserialize(added).map_err(A::Error::custom);
        }
        let (reading, seed) = (self.tracked.reading, self.tracked.wrap(seed));
        let entries = &mut self.tracked.inner;
        WithPath::new((), reading)
            .read_child(Segment::Key(key), false, || entries.next_value_seed(seed))
    }
}

impl<'a, 'de, A: EnumAccess<'de>> EnumAccess<'de> for WithPath<'a, A> {
    type Error = A::Error;
    type Variant = VariantContent<'a, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (name, content): (String, _) = self.inner.variant()?;
        let segment = Segment::Variant(name.clone());
        let value = WithPath::new((), self.reading).read_child(segment, true, || {
            seed.deserialize(name.clone().into_deserializer())
        })?;
        let tracked = WithPath::new(content, self.reading);
        Ok((value, VariantContent { tracked, name }))
    }
}

/// The content of a variant.
pub(super) struct VariantContent<'a, A> {
    tracked: WithPath<'a, A>,
    name: String,
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for VariantContent<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.tracked.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let (at, seed) = (self.tracked.wrap(()), self.tracked.wrap(seed));
        at.read_child(Segment::Variant(self.name), false, || {
            self.tracked.inner.newtype_variant_seed(seed)
        })
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let (at, visitor) = (self.tracked.wrap(()), self.tracked.wrap(visitor));
        at.read_child(Segment::Variant(self.name), false, || {
            self.tracked.inner.tuple_variant(len, visitor)
        })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let (at, visitor) = (self.tracked.wrap(()), self.tracked.wrap(visitor));
        at.read_child(Segment::Variant(self.name), false, || {
            self.tracked.inner.struct_variant(fields, visitor)
        })
    }
}
