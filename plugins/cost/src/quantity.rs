//! Quantities of Kubernetes (`k8s.io/apimachinery/pkg/api/resource`): a number with a suffix, or with an exponent.

/// Longest quantity that is read.
const MAX_BYTES: usize = 32;

/// Largest quantity. Larger ones, which Kubernetes caps at 2^63-1, are no requests of a step.
const MAX: f64 = 1e18;

/// Reads a quantity; `None` if it is none, or is negative or too large.
pub(crate) fn read(text: &str) -> Option<f64> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, suffix) = text.split_at_checked(end.unwrap_or(text.len()))?;
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => super::GIB,
        "Ti" => super::GIB * 1024.0,
        "Pi" => super::GIB * 1_048_576.0,
        "Ei" => super::GIB * super::GIB,
        exponent => {
            let exponent = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            10_f64.powi(exponent)
        }
    };
    let quantity = number.parse::<f64>().ok()? * factor;
    (0.0..=MAX).contains(&quantity).then_some(quantity)
}

#[cfg(test)]
mod tests {
    use super::read;
    use proptest::prelude::*;

    #[test]
    fn quantities_of_kubernetes_are_read() {
        for (text, expected) in [
            ("500m", Some(0.5)),
            ("2", Some(2.0)),
            ("0.1", Some(0.1)),
            ("128Mi", Some(134_217_728.0)),
            ("1Gi", Some(1_073_741_824.0)),
            ("1G", Some(1e9)),
            ("1e3", Some(1000.0)),
            ("12E2", Some(1200.0)),
            ("1E", Some(1e18)),
            ("", None),
            ("m", None),
            ("-1", None),
            ("1 Gi", None),
            ("1.2.3", None),
            ("1e999999999", None),
            ("1e99999999999", None),
            ("8Ei", None),
            ("NaN", None),
            ("inf", None),
            ("é", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_an_odd_number(text in "[0-9.eEkKMGTiPmnu+-]{0,40}|\\PC{0,20}") {
            if let Some(quantity) = read(&text) {
                prop_assert!((0.0..=1e18).contains(&quantity));
            }
        }
    }
}
