//! The secrets of the recorded pipeline `leaky`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The secrets that the recorded pipeline `leaky` prints.
pub const SECRETS: [&str; 10] = [
    "ghp_0123456789abcdefABCDEF0123456789abcd",
    "npm_9z8y7x6w5v4u3t2s1r0qponmlkjihgfedcba",
    "s3cr3t-Passw0rd",
    "AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjaS1ib3QifQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "MHcCAQEEIFakeFakeFakeFakeFakeFakeFakeFakeFakeFakeFakeoAoGCCqGSM49",
    "AwEHoUQDQgAEFakeFakeFakeFakeFakeFakeFakeFakeFakeFakeFakeFakeFake",
    "Tr0ub4dor&3-registry",
    "Y2ktYm90OlRyMHViNGRvciYzLXJlZ2lzdHJ5",
];

/// Returns each secret in plain text, and in base64 at each of the three alignments. A base64 form
/// is only the part that does not depend on the bytes around the secret.
fn forms() -> Vec<String> {
    let mut forms = Vec::new();
    for secret in SECRETS {
        forms.push(secret.to_owned());
        for shift in 0..3 {
            let encoded = STANDARD.encode([vec![b' '; shift], secret.as_bytes().to_vec()].concat());
            let core = encoded.trim_end_matches('=');
            forms.push(core[(shift * 8).div_ceil(6)..core.len() - 2].to_owned());
        }
    }
    forms
}

/// Returns whether bytes contain a secret.
#[must_use]
pub fn leaks(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    forms().iter().any(|form| text.contains(form))
}

/// Asserts that bytes contain no secret.
pub fn assert_clean(place: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for form in forms() {
        assert!(!text.contains(&form), "{place} holds {form}");
    }
}
