//! Comparison and calculation of numbers of different types.

use std::cmp::Ordering;

/// 2 to the power of 63, the first number above `i64`.
const ABOVE_INT: f64 = 9_223_372_036_854_775_808.0;
/// 2 to the power of 64, the first number above `u64`.
const ABOVE_UINT: f64 = 18_446_744_073_709_551_616.0;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Int(i64),
    UInt(u64),
    Double(f64),
}

impl Number {
    /// Compares the exact values. `None` if one of them is not a number.
    pub(crate) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Double(left), Self::Double(right)) => left.partial_cmp(&right),
            (Self::Double(left), right) => right.compare_double(left).map(Ordering::reverse),
            (left, Self::Double(right)) => left.compare_double(right),
            (left, right) => Some(left.whole()?.cmp(&right.whole()?)),
        }
    }

    fn compare_double(self, double: f64) -> Option<Ordering> {
        if double.is_nan() {
            return None;
        }
        if double >= ABOVE_UINT {
            return Some(Ordering::Less);
        }
        if double < -ABOVE_INT {
            return Some(Ordering::Greater);
        }
        let below = double.floor();
        let whole = self.whole()?;
        // Equal whole parts differ by the fraction.
        let is_fraction = below < double;
        Some(whole.cmp(&truncated(below)).then(match is_fraction {
            true => Ordering::Less,
            false => Ordering::Equal,
        }))
    }

    /// Returns the value of an integer.
    fn whole(self) -> Option<i128> {
        match self {
            Self::Int(value) => Some(value.into()),
            Self::UInt(value) => Some(value.into()),
            Self::Double(_) => None,
        }
    }

    pub(crate) fn to_int(self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(value),
            Self::UInt(value) => i64::try_from(value).ok(),
            Self::Double(value) => {
                let is_inside = value > -ABOVE_INT && value < ABOVE_INT;
                is_inside
                    .then(|| i64::try_from(truncated(value)).ok())
                    .flatten()
            }
        }
    }

    pub(crate) fn to_uint(self) -> Option<u64> {
        match self {
            Self::Int(value) => u64::try_from(value).ok(),
            Self::UInt(value) => Some(value),
            Self::Double(value) => {
                let is_inside = (0.0..ABOVE_UINT).contains(&value);
                is_inside
                    .then(|| u64::try_from(truncated(value)).ok())
                    .flatten()
            }
        }
    }

    /// Rounds to the nearest number, as the conversion of CEL does.
    pub(crate) fn to_double(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::UInt(value) => value as f64,
            Self::Double(value) => value,
        }
    }
}

/// Removes the fraction of a number within the range of `i128`. The language has no other conversion.
fn truncated(value: f64) -> i128 {
    value as i128
}

#[cfg(test)]
mod tests {
    use super::*;
    use Number::{Double, Int, UInt};

    #[test]
    fn numbers_of_different_types_compare_by_their_exact_values() {
        let cases = [
            (Int(1), Double(1.0), Ordering::Equal),
            (Int(1), Double(1.5), Ordering::Less),
            (Int(-1), Double(-1.5), Ordering::Greater),
            (UInt(u64::MAX), Double(ABOVE_UINT), Ordering::Less),
            (Int(i64::MAX), Double(ABOVE_INT), Ordering::Less),
            (Int(i64::MIN), Double(-ABOVE_INT), Ordering::Equal),
            (Int(-1), UInt(u64::MAX), Ordering::Less),
            (
                Int((1 << 53) + 1),
                Double(9_007_199_254_740_992.0),
                Ordering::Greater,
            ),
            (Int(0), Double(f64::INFINITY), Ordering::Less),
            (Int(0), Double(f64::NEG_INFINITY), Ordering::Greater),
        ];
        for (left, right, expected) in cases {
            assert_eq!(left.compare(right), Some(expected), "{left:?} {right:?}");
            assert_eq!(
                right.compare(left),
                Some(expected.reverse()),
                "{right:?} {left:?}"
            );
        }
        assert_eq!(Int(0).compare(Double(f64::NAN)), None);
    }

    #[test]
    fn conversions_refuse_what_does_not_fit() {
        assert_eq!(Double(1.9).to_int(), Some(1));
        assert_eq!(Double(-1.9).to_int(), Some(-1));
        assert_eq!(Double(ABOVE_INT).to_int(), None);
        assert_eq!(Double(f64::NAN).to_int(), None);
        assert_eq!(Int(-1).to_uint(), None);
        assert_eq!(Double(-0.5).to_uint(), None);
        assert_eq!(UInt(u64::MAX).to_int(), None);
    }
}
