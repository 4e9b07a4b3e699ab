//! Logins: the commands of mail and file servers, and `user / password` in prose.

use super::calls::{CALL, is_password};
use super::names::Strength;
use super::prose::PROSE;
use super::shape::{Style, is_secret};
use super::value::{self, Value, quote_at, shown, skip_blanks};
use super::words::looks_random;
use super::{Detector, Found};
use crate::text::Text;
use std::ops::Range;

/// Searches for `tag LOGIN user password` (IMAP, RFC 3501).
pub(super) const IMAP: Detector = Detector {
    keywords: &[" login "],
    detect: imap,
};

/// Searches for `USER user`, `PASS password` (FTP, RFC 959; POP3, RFC 1939).
pub(super) const FTP: Detector = Detector {
    keywords: &["pass "],
    detect: ftp,
};

/// Searches for sentences.
pub(super) const SENTENCE: Detector = Detector {
    keywords: &[
        "login with ",
        "log in with ",
        "sign in with ",
        "login as ",
        "log in as ",
        "sign in as ",
        "login: ",
        "credentials: ",
        "credentials are ",
    ],
    detect: sentence,
};

/// Longest password in bytes.
const LONGEST: usize = 128;
/// Bytes before a password in which its user is searched.
const BEFORE: usize = 160;

fn imap(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    if text.slice(keyword.clone()) != " LOGIN " {
        return;
    }
    // The tag: letters and digits that do not form a word.
    let before = text.slice(keyword.start.saturating_sub(10)..keyword.start);
    let tag = before
        .rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '.')
        .next()
        .unwrap_or_default();
    let digits = tag.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let is_tag = tag.len() < before.len() || keyword.start == before.len();
    let is_tag = is_tag
        && (tag == "."
            || tag.len() == 1
            || !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    let Some(user) = word(text, keyword.end).filter(|_| is_tag) else {
        return;
    };
    if text.byte(user.after) == Some(b' ')
        && let Some(password) = word(text, user.after + 1)
        && ends_command(text, password.after)
    {
        let shown = shown(text, &password.range);
        let is_text = user.quoted && password.quoted && shown.contains(' ');
        if is_password(text, &password)
            || is_text && is_secret(Strength::Strong, Style::Quoted, shown)
        {
            found(&CALL, password.range);
        }
    }
}

fn ftp(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let before = text.byte_before(keyword.start);
    if text.slice(keyword.clone()) != "PASS " || before.is_some_and(|b| b.is_ascii_alphanumeric()) {
        return;
    }
    let Some(password) = word(text, keyword.end) else {
        return;
    };
    if !ends_command(text, password.after) || !is_password(text, &password) {
        return;
    }
    // `"PASS password"` in the log of a server, or the user in the same or the line before.
    let closing = text.byte(password.after);
    let is_command = matches!(before, Some(b'"' | b'\'')) && closing == before;
    let lines = text.slice(keyword.start.saturating_sub(BEFORE)..keyword.start);
    let user = lines.rfind("USER ").is_some_and(|user| {
        let (start, rest) = lines.split_at_checked(user).unwrap_or_default();
        !start.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && rest.matches('\n').count() <= 2
    });
    if is_command || user {
        found(&CALL, password.range);
    }
}

/// Returns the word, or the text in quotation marks, at a place.
fn word(text: &Text<'_>, at: usize) -> Option<Value> {
    if let Some(quote) = quote_at(text, at) {
        let value = value::quoted(text, quote)?;
        return (value.range.len() <= LONGEST).then_some(value);
    }
    let shown = text.slice(at..text.word_end(at).min(at + LONGEST));
    let shown = shown.split(['"', '\'', '\\']).next().unwrap_or_default();
    (!shown.is_empty()).then(|| Value {
        range: at..at + shown.len(),
        after: at + shown.len(),
        quoted: false,
    })
}

/// Returns true if a command of a protocol ends at a place: with its line, or with the quotation mark
/// around it.
fn ends_command(text: &Text<'_>, at: usize) -> bool {
    matches!(
        text.byte(at),
        None | Some(b'\n' | b'\r' | b'\\' | b'"' | b'\'')
    )
}

/// Masks the password of `user / password` and `user:password`.
fn sentence(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    if text
        .byte_before(keyword.start)
        .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
    {
        return;
    }
    let mut at = keyword.end;
    for word in ["username ", "user "] {
        if text.slice(at..at + word.len()).eq_ignore_ascii_case(word) {
            at += word.len();
        }
    }
    let is_user = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
    let quote = usize::from(matches!(text.byte(at), Some(b'"' | b'\'' | b'`')));
    let rest = text.slice(at + quote..at + quote + 65);
    let user = rest.split(|c| !is_user(c)).next().unwrap_or_default();
    if !user.starts_with(|c: char| c.is_ascii_alphabetic()) || user.len() > 64 {
        return;
    }
    let after = at + quote + user.len() + quote;
    let place = if text.continues_with(after, " / ") {
        after + 3
    } else if text.byte(after) == Some(b':') && text.byte(after + 1) != Some(b'/') {
        after + 1
    } else {
        return;
    };
    let Some(password) = word(text, skip_blanks(text, place, 1)) else {
        return;
    };
    let password = without_stop(text, &password);
    let shown = shown(text, &password.range);
    let digits = shown.bytes().filter(u8::is_ascii_digit).count();
    let letters = shown.bytes().filter(u8::is_ascii_alphabetic).count();
    let is_mixed = looks_random(shown, 6) || digits > 1 && letters > 1 && shown.len() >= 8;
    if is_mixed
        && !shown.contains(['/', '(', '.', ':', '='])
        && is_secret(Strength::Strong, Style::Quoted, shown)
    {
        found(&PROSE, password.range);
    }
}

/// Returns a value without the full stop or bracket of the sentence around it.
fn without_stop(text: &Text<'_>, value: &Value) -> Value {
    let kept = text
        .slice(value.range.clone())
        .trim_end_matches(['.', ',', ')', ';'])
        .len();
    Value {
        range: value.range.start..value.range.start + kept,
        ..*value
    }
}
