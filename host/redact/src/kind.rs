//! Kinds of credentials that are recognised by their form, and how a form is matched.

use crate::text::Text;

/// A kind of credential. Kinds are data: tables of `const` values in [`crate::catalog`].
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its id, in lower case with hyphens: `github-app-user-token`.
    pub id: &'static str,
    /// What it is, in words.
    pub title: &'static str,
    /// Where the issuer documents the form, or the public rule list whose facts were used.
    pub source: &'static str,
    /// Regular expression of the credential: ASCII only, without `\b` and look-around, of finite
    /// length. If it has a group `secret`, only that is masked.
    pub pattern: &'static str,
    /// Every credential contains one of these keywords, at `lead` bytes from its beginning. The
    /// search ignores the case of ASCII letters, the pattern does not. If there are no keywords,
    /// the pattern is tried at the beginning of each long word.
    pub keywords: &'static [&'static str],
    /// Number of bytes that may stand before the keyword: least and most.
    pub lead: (usize, usize),
    /// True if no letter, digit or `_` may touch the credential. Escapes such as the `\n` of JSON do
    /// not count as letters.
    pub bounded: bool,
    /// True if no hyphen may touch the credential either, so that a part of a name such as
    /// `task-sk-learn` is no credential. A hyphen after a colon (`${TOKEN:-default}`) does not
    /// count.
    pub apart: bool,
    /// True if the credential does not begin within base64 either: directly before it, there is no
    /// `+`, and no `/` that follows base64. A `/` after the names of a path is allowed.
    pub outside_base64: bool,
    /// Minimum Shannon entropy of the secret, in bits per character. 0.0 allows any.
    pub entropy: f32,
    /// Words that no real credential contains; the case of ASCII letters is ignored.
    pub allow: &'static [&'static str],
    /// Checksum that the issuer defines. With a valid one, neither entropy nor words are checked.
    pub checksum: Option<Checksum>,
    /// Example as a template: `{a36}` stands for 36 characters of the class `a`
    /// ([`crate::catalog::example`]). At least one.
    pub examples: &'static [&'static str],
    /// Texts that look similar and are no credentials.
    pub look_alikes: &'static [&'static str],
}

/// A checksum within a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// The last 6 characters are the CRC-32 of what stands between prefix and checksum, in base 62.
    /// Used by GitHub and npm.
    Crc32Base62,
}

impl Kind {
    /// Returns a kind with an id, a title and a source.
    #[must_use]
    pub const fn new(id: &'static str, title: &'static str, source: &'static str) -> Self {
        Self {
            id,
            title,
            source,
            pattern: "",
            keywords: &[],
            lead: (0, 0),
            bounded: false,
            apart: false,
            outside_base64: false,
            entropy: 0.0,
            allow: &[],
            checksum: None,
            examples: &[],
            look_alikes: &[],
        }
    }

    /// Sets the pattern, and the keywords with which a credential begins.
    #[must_use]
    pub const fn pattern(
        mut self,
        pattern: &'static str,
        keywords: &'static [&'static str],
    ) -> Self {
        self.pattern = pattern;
        self.keywords = keywords;
        self
    }

    /// Sets how many bytes stand before the keyword: at least `least`, at most `most`.
    #[must_use]
    pub const fn lead(mut self, least: usize, most: usize) -> Self {
        self.lead = (least, most);
        self
    }

    /// Requires that no letter, digit or `_` touches the credential.
    #[must_use]
    pub const fn bounded(mut self) -> Self {
        self.bounded = true;
        self
    }

    /// Requires that no letter, digit, `_` or hyphen touches the credential. A pattern with hyphens
    /// in a long run of characters needs it. Otherwise a text of nested keywords would be read
    /// again from each keyword.
    #[must_use]
    pub const fn apart(mut self) -> Self {
        self.bounded = true;
        self.apart = true;
        self
    }

    /// Requires the same as [`Kind::apart`], and that the credential does not begin within base64.
    /// A pattern with `/` or `+` in a long run of characters needs it, for the same reason.
    #[must_use]
    pub const fn outside_base64(mut self) -> Self {
        self.outside_base64 = true;
        self.apart()
    }

    /// Sets the minimum entropy in bits per character.
    #[must_use]
    pub const fn entropy(mut self, bits: f32) -> Self {
        self.entropy = bits;
        self
    }

    /// Sets the words that no real credential contains.
    #[must_use]
    pub const fn allow(mut self, words: &'static [&'static str]) -> Self {
        self.allow = words;
        self
    }

    /// Sets the checksum.
    #[must_use]
    pub const fn checksum(mut self, checksum: Checksum) -> Self {
        self.checksum = Some(checksum);
        self
    }

    /// Sets the templates of examples.
    #[must_use]
    pub const fn examples(mut self, examples: &'static [&'static str]) -> Self {
        self.examples = examples;
        self
    }

    /// Sets texts that look similar and are no credentials.
    #[must_use]
    pub const fn look_alikes(mut self, look_alikes: &'static [&'static str]) -> Self {
        self.look_alikes = look_alikes;
        self
    }
}

/// Returns true if the four bytes at `at` occur four more times within the next 96 bytes. No
/// credential repeats its beginning so often. A text of nested keywords does, and would otherwise
/// be read again from each keyword.
pub(crate) fn repeats(text: &Text<'_>, at: usize) -> bool {
    let bytes = text.as_str().as_bytes();
    let (Some(start), Some(next)) = (bytes.get(at..at + 4), bytes.get(at + 4..)) else {
        return false;
    };
    let near = next.get(..96).unwrap_or(next);
    memchr::memmem::find_iter(near, start).nth(3).is_some()
}

/// Returns true if no letter, digit or `_` stands directly before `at`. The end of an escape
/// (`\n`, `\u0022`, `%3D`, a colour) does not count as a letter, and neither does the `_` after a
/// name in capitals (`TOKEN_ghp_…`).
pub(crate) fn is_free_before(text: &Text<'_>, at: usize) -> bool {
    let Some(before) = text.byte_before(at) else {
        return true;
    };
    if !is_word(before) {
        return true;
    }
    let back = |distance: usize| at.checked_sub(distance).and_then(|place| text.byte(place));
    match before {
        b'_' => back(2).is_some_and(|b| b.is_ascii_uppercase()),
        b'n' | b't' | b'r' | b'f' | b'b' | b'v' | b'e' | b'0' if back(2) == Some(b'\\') => true,
        // The end of a colour that is written as an escape: `\u001b[32m`, `\x1b[0m`, `\033[1;31m`.
        b'm' => {
            let mut place = at - 1;
            while place > 0
                && at - place < 16
                && text
                    .byte_before(place)
                    .is_some_and(|b| b.is_ascii_digit() || b == b';')
            {
                place -= 1;
            }
            text.byte_before(place) == Some(b'[')
        }
        _ if before.is_ascii_hexdigit() => {
            let percent = back(3) == Some(b'%') && back(2).is_some_and(|b| b.is_ascii_hexdigit());
            let json = back(6) == Some(b'\\') && back(5) == Some(b'u');
            let hex = back(4) == Some(b'\\') && back(3) == Some(b'x');
            percent || json || hex
        }
        _ => false,
    }
}

/// Returns true if a hyphen joins a name to what begins at `at`.
pub(crate) fn is_joined_before(text: &Text<'_>, at: usize) -> bool {
    text.byte_before(at) == Some(b'-') && text.byte_before(at - 1) != Some(b':')
}

/// Number of bytes before a credential that are read. A run of base64 of this length has capitals
/// and small letters.
pub(crate) const BEFORE: usize = 64;

/// Returns true if a `+` or `/` stands directly before `at` and belongs to base64, not to a path.
pub(crate) fn is_within_base64(text: &Text<'_>, at: usize) -> bool {
    match text.byte_before(at) {
        Some(b'+') => return true,
        Some(b'/') => {}
        _ => return false,
    }
    let start = at.saturating_sub(BEFORE);
    let bytes = text.as_str().as_bytes().get(start..at).unwrap_or_default();
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+' | b'\\');
    let from = bytes.iter().rposition(|byte| !is_base64(byte));
    let run = bytes
        .get(from.map_or(0, |last| last + 1)..)
        .unwrap_or_default();
    // The names of a path have one case, or a capital at their start: `Temp`.
    run.split(|byte| matches!(byte, b'/' | b'\\')).any(|word| {
        let has = |is: fn(&u8) -> bool| word.iter().any(is);
        let later_capital = word.iter().skip(1).any(u8::is_ascii_uppercase);
        has(|byte| *byte == b'+')
            || has(u8::is_ascii_lowercase)
                && (later_capital || has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase))
            || has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit)
    })
}

/// Returns true if a hyphen joins a name to what ends at `at`.
pub(crate) fn is_joined_after(text: &Text<'_>, at: usize) -> bool {
    text.byte(at) == Some(b'-') && text.byte(at + 1).is_some_and(is_word)
}

/// Returns the end of the escape (`\n`, `\x22`, `\u0022`, `%3D`, a colour) whose letters or digits begin at
/// `at`, directly after its sign.
pub(crate) fn escape_end(text: &Text<'_>, at: usize) -> Option<usize> {
    let digits = match (text.byte_before(at)?, text.byte(at)?) {
        (b'\\', b'n' | b't' | b'r' | b'f' | b'b') => return Some(at + 1),
        (b'\\', b'x') => at + 1..at + 3,
        (b'\\', b'u') => at + 1..at + 5,
        (b'%', _) => at..at + 2,
        // A colour: `[32m`, `[1;31m`.
        (b'[' | b';', b'0'..=b'9') => {
            let is_digit =
                |place: &usize| text.byte(*place).is_some_and(|byte| byte.is_ascii_digit());
            let end = at + (at..at + 3).take_while(is_digit).count();
            return (text.byte(end) == Some(b'm')).then_some(end + 1);
        }
        _ => return None,
    };
    let end = digits.end;
    let is_hex = |place| {
        text.byte(place)
            .is_some_and(|byte| byte.is_ascii_hexdigit())
    };
    digits.into_iter().all(is_hex).then_some(end)
}

/// Returns true if no letter, digit or `_` stands directly at `at`.
pub(crate) fn is_free_after(text: &Text<'_>, at: usize) -> bool {
    !text.byte(at).is_some_and(is_word)
}

/// Returns true for ASCII letters, digits and `_`.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Returns the Shannon entropy of a text, in bits per byte.
pub(crate) fn entropy(text: &str) -> f32 {
    let mut counts = [0_u32; 256];
    for byte in text.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let total = text.len() as f32;
    let parts = counts.iter().filter(|count| **count > 0).map(|count| {
        let share = *count as f32 / total;
        -share * share.log2()
    });
    parts.sum()
}

impl Checksum {
    /// Returns true if the checksum of a credential is right.
    pub(crate) fn is_valid(self, credential: &str) -> bool {
        match self {
            Self::Crc32Base62 => {
                let Some((_, rest)) = credential.rsplit_once('_') else {
                    return false;
                };
                let Some((random, sum)) = rest.split_at_checked(rest.len().saturating_sub(6))
                else {
                    return false;
                };
                base62(crc32fast::hash(random.as_bytes())) == sum
            }
        }
    }
}

/// Returns a number in base 62 with six digits (`0-9A-Za-z`).
fn base62(mut number: u32) -> String {
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = [b'0'; 6];
    for place in text.iter_mut().rev() {
        *place = digits.get((number % 62) as usize).copied().unwrap_or(b'0');
        number /= 62;
    }
    text.iter().map(|byte| char::from(*byte)).collect()
}
