//! Numbers and texts in the source (cel-spec, doc/langdef.md, "Syntax").

use crate::error::Mistake;
use crate::lexer::Token;

/// Returns the number at the beginning of a text and its length, if there is one.
pub(crate) fn number(rest: &str, at: usize) -> Result<Option<(Token, usize)>, Mistake> {
    let after_dot = rest.strip_prefix('.').unwrap_or(rest);
    if !after_dot.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(None);
    }
    let hexadecimal = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X"));
    let (token, length) = match hexadecimal {
        Some(digits) => {
            let length = count(digits, |digit| digit.is_ascii_hexdigit());
            let digits = digits.get(..length).unwrap_or_default();
            let value = u64::from_str_radix(digits, 16).map_err(|_| too_large(at))?;
            integer(rest, 2 + length, value)
        }
        None => decimal(rest, at)?,
    };
    let follows = rest.get(length..).unwrap_or_default();
    if follows.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_') {
        let place = at + length;
        return Err(Mistake::new(
            place,
            "a number is followed by a letter or digit",
            "separate them, or put a text in quotes",
        ));
    }
    Ok(Some((token, length)))
}

fn decimal(rest: &str, at: usize) -> Result<(Token, usize), Mistake> {
    let is_digit = |digit: char| digit.is_ascii_digit();
    let whole = count(rest, is_digit);
    let mut length = whole;
    let after = |length: usize| rest.get(length..).unwrap_or_default();
    if let Some(fraction) = after(length).strip_prefix('.') {
        let digits = count(fraction, is_digit);
        // Without a digit, the point begins a member.
        if digits > 0 {
            length += 1 + digits;
        }
    }
    if let Some(exponent) = after(length).strip_prefix(['e', 'E']) {
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let digits = count(unsigned, is_digit);
        if digits > 0 {
            length += 1 + (exponent.len() - unsigned.len()) + digits;
        }
    }
    let text = rest.get(..length).unwrap_or_default();
    if length == whole {
        let value = text.parse().map_err(|_| too_large(at))?;
        return Ok(integer(rest, length, value));
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok((Token::Double(value), length)),
        Ok(_) | Err(_) => Err(too_large(at)),
    }
}

fn integer(rest: &str, length: usize, value: u64) -> (Token, usize) {
    let suffix = rest.get(length..).unwrap_or_default();
    match suffix.starts_with(['u', 'U']) {
        true => (Token::UInt(value), length + 1),
        false => (Token::Int(value), length),
    }
}

fn too_large(at: usize) -> Mistake {
    Mistake::new(
        at,
        "the number cannot be represented",
        "integers have 64 bits",
    )
}

fn count(text: &str, is_part: impl Fn(char) -> bool) -> usize {
    text.find(|part| !is_part(part)).unwrap_or(text.len())
}

/// Returns the text in quotes at the beginning of a text and its length, if there is one.
pub(crate) fn text(rest: &str, at: usize) -> Result<Option<(Token, usize)>, Mistake> {
    let prefix = count(rest, |letter| matches!(letter, 'r' | 'R' | 'b' | 'B'));
    let (prefix, quoted) = rest.split_at_checked(prefix).unwrap_or_default();
    let is_raw = prefix.eq_ignore_ascii_case("r");
    let quotes = ["'''", "\"\"\"", "'", "\""];
    let Some(quote) = quotes.into_iter().find(|quote| quoted.starts_with(quote)) else {
        return Ok(None);
    };
    if !prefix.is_empty() && !is_raw {
        return Err(Mistake::new(
            at,
            "bytes are not supported",
            "write a text without the prefix `b`",
        ));
    }
    let start = prefix.len() + quote.len();
    let content = rest.get(start..).unwrap_or_default();
    let mut value = String::new();
    let mut offset = 0;
    loop {
        let left = content.get(offset..).unwrap_or_default();
        if left.starts_with(quote) {
            let length = start + offset + quote.len();
            return Ok(Some((Token::Text(value), length)));
        }
        match left.chars().next() {
            None => return Err(unclosed(at, quote)),
            Some('\n' | '\r') if quote.len() == 1 => return Err(unclosed(at, quote)),
            Some('\\') if !is_raw => {
                let place = at + start + offset;
                let (character, length) = escape(left).ok_or_else(|| bad_escape(place))?;
                value.push(character);
                offset += length;
            }
            Some(character) => {
                value.push(character);
                offset += character.len_utf8();
            }
        }
    }
}

fn unclosed(at: usize, quote: &str) -> Mistake {
    Mistake::new(
        at,
        "a text is not closed",
        format!("close it with {quote} in the same line, or use three quotes for several lines"),
    )
}

fn bad_escape(at: usize) -> Mistake {
    Mistake::new(
        at,
        "a backslash is followed by what is not an escape",
        r"write `\\` for a backslash, or r'…' for a regular expression",
    )
}

/// Returns the character of the escape at the beginning of a text, and its length.
fn escape(text: &str) -> Option<(char, usize)> {
    let letter = text.chars().nth(1)?;
    let (radix, start, digits) = match letter {
        'a' => return Some(('\x07', 2)),
        'b' => return Some(('\x08', 2)),
        'f' => return Some(('\x0c', 2)),
        'n' => return Some(('\n', 2)),
        'r' => return Some(('\r', 2)),
        't' => return Some(('\t', 2)),
        'v' => return Some(('\x0b', 2)),
        '\\' | '?' | '"' | '\'' | '`' => return Some((letter, 2)),
        'x' | 'X' => (16, 2, 2),
        'u' => (16, 2, 4),
        'U' => (16, 2, 8),
        '0'..='3' => (8, 1, 3),
        _ => return None,
    };
    let code = text.get(start..start + digits)?;
    // `from_str_radix` accepts a sign.
    if !code.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let code = u32::from_str_radix(code, radix).ok()?;
    Some((char::from_u32(code)?, start + digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(source: &str) -> Option<String> {
        match text(source, 0) {
            Ok(Some((Token::Text(value), length))) => {
                assert_eq!(length, source.len());
                Some(value)
            }
            _ => None,
        }
    }

    #[test]
    fn texts_have_the_escapes_of_the_specification() {
        let cases = [
            (r"'\a\b\f\n\r\t\v'", "\x07\x08\x0c\n\r\t\x0b"),
            (r#"'\\\?\"\'\`'"#, "\\?\"'`"),
            (r"'\x41\u00e9\U0001F600\101'", "Aé😀A"),
            (r"R'\x41'", r"\x41"),
            ("'''a\n'b'''", "a\n'b"),
            ("\"\"", ""),
        ];
        for (source, expected) in cases {
            assert_eq!(text_of(source).as_deref(), Some(expected), "{source}");
        }
        let refused = [
            "'a",
            "'a\nb'",
            r"'\q'",
            r"'\x4'",
            r"'\x+1'",
            r"'\ud800'",
            r"'\U00110000'",
            r"'\400'",
            r"'\",
            "b'a'",
            "rb'a'",
            "'''a''",
        ];
        for source in refused {
            assert_eq!(text_of(source), None, "{source}");
        }
    }

    #[test]
    fn numbers_are_those_of_the_specification() {
        let cases = [
            ("12", Token::Int(12), 2),
            ("12u", Token::UInt(12), 3),
            ("0x1F", Token::Int(31), 4),
            ("0x1fU", Token::UInt(31), 5),
            ("1.5", Token::Double(1.5), 3),
            ("1e-2", Token::Double(0.01), 4),
            (".5", Token::Double(0.5), 2),
            ("1.e", Token::Int(1), 1),
            ("9223372036854775808", Token::Int(1 << 63), 19),
        ];
        for (source, token, length) in cases {
            assert_eq!(
                number(source, 0).unwrap(),
                Some((token, length)),
                "{source}"
            );
        }
        for source in ["0x", "1a", "1e999", "18446744073709551616", "0xu"] {
            assert!(number(source, 0).is_err(), "{source}");
        }
    }
}
