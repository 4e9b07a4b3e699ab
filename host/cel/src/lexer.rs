//! Splits the source into tokens.

use crate::error::{Mistake, quoted};
use crate::literal;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// A name, a keyword included.
    Name(String),
    /// An integer without sign, which may be one above the largest `int`.
    Int(u64),
    UInt(u64),
    Double(f64),
    Text(String),
    /// An operator or a bracket.
    Symbol(&'static str),
    End,
}

/// A token and its offset in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) token: Token,
    pub(crate) at: usize,
}

/// Longer ones first, so that `<=` is not taken for `<`.
const SYMBOLS: [&str; 25] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "(", ")", "[", "]", "{", "}", ".", ",", "?", ":",
    "!", "+", "-", "*", "/", "%", ";",
];

/// Splits the source into tokens; the last one is [`Token::End`].
pub(crate) fn tokens(source: &str) -> Result<Vec<Placed>, Mistake> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        at += blank(source.get(at..).unwrap_or_default());
        let rest = source.get(at..).unwrap_or_default();
        let Some(first) = rest.chars().next() else {
            tokens.push(Placed {
                token: Token::End,
                at,
            });
            return Ok(tokens);
        };
        let (token, bytes) = token(rest, first, at)?;
        tokens.push(Placed { token, at });
        at += bytes;
    }
}

/// Returns the token at the beginning of a text, and its length.
fn token(rest: &str, first: char, at: usize) -> Result<(Token, usize), Mistake> {
    if let Some(text) = literal::text(rest, at)? {
        return Ok(text);
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let is_part = |byte: char| byte.is_ascii_alphanumeric() || byte == '_';
        let length = rest.find(|byte| !is_part(byte)).unwrap_or(rest.len());
        let name = rest.get(..length).unwrap_or_default();
        return Ok((Token::Name(name.to_owned()), length));
    }
    if let Some(number) = literal::number(rest, at)? {
        return Ok(number);
    }
    let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
    match symbol {
        Some(symbol) => Ok((Token::Symbol(symbol), symbol.len())),
        None => Err(unexpected(first, at)),
    }
}

fn unexpected(character: char, at: usize) -> Mistake {
    let message = format!(
        "unexpected character {}",
        quoted(character.encode_utf8(&mut [0; 4]))
    );
    let remedy = match character {
        '=' => "compare with `==`",
        '&' => "write `&&`",
        '|' => "write `||`",
        '`' => "write `data.labels['a name']` for a name with other characters",
        _ => "texts are in quotes",
    };
    Mistake::new(at, message, remedy)
}

/// Returns the length of the white space and comments at the beginning of a text.
fn blank(text: &str) -> usize {
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start_matches(['\t', '\n', '\x0c', '\r', ' ']);
        if !trimmed.starts_with("//") {
            return text.len() - trimmed.len();
        }
        rest = trimmed
            .split_once('\n')
            .map_or("", |(_comment, after)| after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &str) -> Vec<Token> {
        let tokens = tokens(source).unwrap();
        tokens.into_iter().map(|placed| placed.token).collect()
    }

    #[test]
    fn comments_and_white_space_separate_tokens() {
        let name = |name: &str| Token::Name(name.to_owned());
        assert_eq!(
            kinds("a // b\n\t<=c//"),
            [name("a"), Token::Symbol("<="), name("c"), Token::End]
        );
    }

    #[test]
    fn a_prefix_of_a_text_is_not_a_name() {
        let text = |text: &str| Token::Text(text.to_owned());
        assert_eq!(kinds(r"r'\d'"), [text(r"\d"), Token::End]);
        assert_eq!(kinds("r2"), [Token::Name("r2".to_owned()), Token::End]);
    }

    #[test]
    fn a_single_equals_sign_is_refused_with_its_place() {
        let mistake = tokens("a = 1").unwrap_err();
        assert_eq!((mistake.at, &*mistake.remedy), (2, "compare with `==`"));
    }
}
