//! Searches the output of a program for parts of secrets, also in encoded form.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Number of consecutive bytes of a secret that must not remain.
pub const PART: usize = 8;

/// Number of encoded characters that depend only on [`PART`] bytes of a secret: in base64, then in
/// hexadecimal.
const BASE64_PART: usize = 10;
const HEX_PART: usize = 2 * PART;

/// Size in bits of the filter. It is queried before the tables of parts, because most positions of
/// a text begin no part.
const FILTER_BITS: usize = 1 << 23;

/// Secrets that must not be found, as their parts.
#[derive(Debug)]
pub struct Needles {
    /// For each length of a part: the parts, with the secret that each belongs to.
    parts: [(usize, HashMap<u128, Vec<usize>>); 3],
    filter: Vec<u64>,
    names: Vec<String>,
}

impl Default for Needles {
    fn default() -> Self {
        Self {
            parts: [PART, BASE64_PART, HEX_PART].map(|length| (length, HashMap::new())),
            filter: vec![0; FILTER_BITS / 64],
            names: Vec::new(),
        }
    }
}

fn number(part: &[u8]) -> u128 {
    part.iter()
        .fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// Returns word and bit of a number in the filter.
fn place_in_filter(number: u128) -> (usize, u64) {
    let hash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835) >> (128 - 23);
    let hash = usize::try_from(hash).unwrap();
    (hash / 64, 1 << (hash % 64))
}

impl Needles {
    /// Adds a secret. `is_public` gets the position and the bytes of a part, and returns true if
    /// the part may be shown.
    ///
    /// # Panics
    ///
    /// If every part may be shown: a search would then prove nothing.
    pub fn add(&mut self, name: &str, secret: &str, is_public: impl Fn(usize, &[u8]) -> bool) {
        let id = self.names.len();
        self.names.push(name.to_owned());
        let bytes = secret.as_bytes();
        let parts = bytes.windows(PART).enumerate();
        let parts: Vec<(usize, &[u8])> = parts
            .filter(|(place, part)| !is_public(*place, part))
            .collect();
        assert!(!parts.is_empty(), "{name}: nothing of it is secret");
        for (place, part) in parts {
            if part.iter().all(u8::is_ascii_hexdigit) {
                // Eight hexadecimal digits may also occur by chance, in ids and times. So a longer
                // part is searched.
                if let Some(part) = bytes.get(place..place + HEX_PART) {
                    self.add_part(2, part, id);
                }
            } else {
                self.add_part(0, part, id);
            }
            for shift in 0..3_usize {
                let shifted = [&vec![b' '; shift], part].concat();
                let start = (8 * shift).div_ceil(6);
                let (plain, of_url) = (STANDARD.encode(&shifted), URL_SAFE.encode(&shifted));
                self.add_part(1, &plain.as_bytes()[start..start + BASE64_PART], id);
                if of_url != plain {
                    self.add_part(1, &of_url.as_bytes()[start..start + BASE64_PART], id);
                }
            }
            let hex: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
            self.add_part(2, hex.as_bytes(), id);
            self.add_part(2, hex.to_uppercase().as_bytes(), id);
        }
    }

    fn add_part(&mut self, table: usize, part: &[u8], id: usize) {
        let number = number(part);
        let (word, bit) = place_in_filter(number);
        self.filter[word] |= bit;
        self.parts[table].1.entry(number).or_default().push(id);
    }

    /// Returns the number of secrets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns true if there is no secret.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns the names of all secrets that have a part in the bytes, each with the first such
    /// part and the text before it. Also searches the bytes without the escapes of JSON and URLs.
    #[must_use]
    pub fn found_in(&self, bytes: &[u8]) -> BTreeMap<&str, String> {
        let mut found = BTreeMap::new();
        self.search(bytes, &mut found);
        if bytes.contains(&b'\\') {
            let plain: Vec<u8> = bytes
                .iter()
                .copied()
                .filter(|byte| *byte != b'\\')
                .collect();
            self.search(&plain, &mut found);
        }
        if bytes.contains(&b'%') {
            self.search(&percent_decoded(bytes), &mut found);
        }
        found
    }

    fn search<'n>(&'n self, bytes: &[u8], found: &mut BTreeMap<&'n str, String>) {
        let mut window = 0_u128;
        for (place, byte) in bytes.iter().enumerate() {
            window = window << 8 | u128::from(*byte);
            for (length, parts) in &self.parts {
                let part = match length {
                    16 => window,
                    _ => window & ((1 << (8 * length)) - 1),
                };
                let (word, bit) = place_in_filter(part);
                if self.filter[word] & bit == 0 {
                    continue;
                }
                for id in parts.get(&part).into_iter().flatten() {
                    let start = place.saturating_sub(60);
                    let seen = String::from_utf8_lossy(&bytes[start..=place]);
                    let seen = || seen.escape_debug().to_string();
                    found.entry(&self.names[*id]).or_insert_with(seen);
                }
            }
        }
    }

    /// Returns the names of the secrets that were found in none of the texts.
    #[must_use]
    pub fn missing<'n>(&'n self, texts: &[Vec<u8>]) -> Vec<&'n str> {
        let seen: BTreeSet<&str> = texts
            .iter()
            .flat_map(|text| self.found_in(text).into_keys())
            .collect();
        let names = self.names.iter().map(String::as_str);
        names.filter(|name| !seen.contains(name)).collect()
    }
}

fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let digit = |place: usize| {
        let digit = char::from(*bytes.get(place)?).to_digit(16)?;
        u8::try_from(digit).ok()
    };
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(byte) = bytes.get(place) {
        let pair = (*byte == b'%').then(|| Some((digit(place + 1)?, digit(place + 2)?)));
        match pair.flatten() {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                place += 3;
            }
            None => {
                decoded.push(*byte);
                place += 1;
            }
        }
    }
    decoded
}
