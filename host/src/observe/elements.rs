//! Reads JSON lists element by element, so that bounds are checked before a whole list is in
//! memory.

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt::{self, Formatter};
use std::marker::PhantomData;

/// Bounds the containers of a Pod and the steps of a TaskRun. A Pod with more containers is refused as
/// unreadable; further steps of a TaskRun are omitted.
pub(super) const MAX_CONTAINERS: usize = 256;

/// Deserializes a list and folds it: calls `add` for each element, beginning with the accumulator
/// `start`. `null` counts as an empty list. `expected` describes the list in an error message.
///
/// # Errors
///
/// The value is not a list of `T`, or `add` refuses an element.
pub(super) fn fold<'de, D, T, A>(
    deserializer: D,
    expected: &'static str,
    start: A,
    add: impl FnMut(&mut A, T) -> Result<(), String>,
) -> Result<A, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(Fold {
        expected,
        result: start,
        add,
        element: PhantomData,
    })
}

/// Reads the containers of a Pod, or their statuses.
///
/// # Errors
///
/// The value is not such a list, or has more than [`MAX_CONTAINERS`] elements.
pub(super) fn containers<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    fold(
        deserializer,
        "a list of containers",
        Vec::new(),
        |containers: &mut Vec<T>, container| {
            if containers.len() == MAX_CONTAINERS {
                return Err(format!("a pod has more than {MAX_CONTAINERS} containers"));
            }
            containers.push(container);
            Ok(())
        },
    )
}

struct Fold<A, F, T> {
    expected: &'static str,
    result: A,
    add: F,
    element: PhantomData<T>,
}

impl<'de, A, F, T> Visitor<'de> for Fold<A, F, T>
where
    F: FnMut(&mut A, T) -> Result<(), String>,
    T: Deserialize<'de>,
{
    type Value = A;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.expected)
    }

    fn visit_unit<E>(self) -> Result<A, E> {
        Ok(self.result)
    }

    fn visit_seq<S: SeqAccess<'de>>(mut self, mut elements: S) -> Result<A, S::Error> {
        while let Some(element) = elements.next_element()? {
            (self.add)(&mut self.result, element).map_err(S::Error::custom)?;
        }
        Ok(self.result)
    }
}
