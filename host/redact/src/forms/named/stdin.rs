//! Secrets that a shell writes to the input of a command: `echo PW | docker login --password-stdin`.

use super::names::Strength;
use super::shape::{Style, is_secret_in};
use super::value::{self, Value, quote_at, shown, skip_blanks};
use super::words::{is_wordy, looks_random_in};
use super::{Detector, Form, Found};
use crate::text::Text;
use std::ops::Range;

/// Input of a command.
pub(super) static STDIN: Form = Form {
    id: "password-stdin",
    title: "Secret that is written to the input of a command",
    examples: &[
        "echo →cLq0tI1jk← | docker login -u ci --password-stdin",
        "printf '%s' \"→cLq0 tI1jk←\" | helm registry login r.example.com -u ci --password-stdin",
        "+ echo →cLq0tI1jk←\n+ docker login -u ci --password-stdin r.example.com",
        "gh auth login --with-token <<< →Zk81vYjqfItyhAsF←",
        "echo 'ci:→cLq0tI1jk←' | chpasswd",
    ],
};

/// User and password before base64.
pub(super) static BASE64: Form = Form {
    id: "credentials-to-base64",
    title: "User and password that a shell encodes",
    examples: &[
        "echo -n '→ci:cLq0 tI1jk←' | base64",
        "echo '→ci:hunter2222←' | base64",
        "printf \"→ci:cLq0tI1jk←\" | base64 -w0",
        "base64 -w0 <<< '→ci:cLq0 tI1jk←'",
    ],
};

/// Searches for commands that read a secret from their input.
pub(super) const DETECTOR: Detector = Detector {
    keywords: &[
        "password-stdin",
        "token-stdin",
        "key-stdin",
        "with-token",
        "passwd --stdin",
        "chpasswd",
        "sudo -s",
        "base64",
        "pass stdin",
        "passphrase-fd 0",
        "login -",
        "cryptsetup ",
        "kinit ",
        "secret create ",
        "secrets create ",
        "secret set ",
        "secret put ",
        "versions add ",
    ],
    detect,
};

/// Number of bytes before the command that are read.
const BEFORE: usize = 400;

fn detect(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let word = text.slice(keyword.clone());
    let is_base64 = word.eq_ignore_ascii_case("base64");
    let has_user = word.eq_ignore_ascii_case("chpasswd");
    if is_base64
        && !matches!(
            text.byte_before(keyword.start),
            None | Some(b' ' | b'|' | b'/' | b'\n' | b'(' | b'`')
        )
    {
        return;
    }
    let line = text
        .line_start(keyword.start)
        .max(keyword.start.saturating_sub(BEFORE));
    let before = text.slice(line..keyword.start);
    let line = keyword.start - before.len();
    let value = match memchr::memrchr(b'|', before.as_bytes()) {
        Some(pipe) => echoed(text, line, line + pipe),
        None if is_base64 => here_string(text, keyword.end),
        None => {
            here_string(text, keyword.end).or_else(|| other_line(text, line, before, keyword.end))
        }
    };
    let Some(mut value) = value else {
        return;
    };
    let content = shown(text, &value.range);
    let colon = content.find(':');
    if is_base64 {
        let is_secret = colon
            .is_some_and(|at| at > 0 && at + 2 < content.len() && !is_url(content))
            && !is_wordy(content)
            || colon.is_some_and(|at| is_pair(content, at))
            || looks_random_in(text, content, 10);
        if is_secret && !super::variable::is_variable(content) {
            found(&BASE64, value.range);
        }
        return;
    }
    if has_user && let Some(colon) = colon {
        value.range.start += colon + 1;
    }
    let style = if value.quoted {
        Style::Quoted
    } else {
        Style::Tight
    };
    if is_secret_in(text, Strength::Strong, style, shown(text, &value.range)) {
        found(&STDIN, value.range);
    }
}

/// Returns true for a user and a password of letters and digits.
fn is_pair(text: &str, colon: usize) -> bool {
    let (user, password) = text.split_at_checked(colon).unwrap_or_default();
    let any = |test: fn(&u8) -> bool| password.bytes().any(|b| test(&b));
    !user.is_empty()
        && !text.contains([' ', '/'])
        && any(u8::is_ascii_digit)
        && any(u8::is_ascii_alphabetic)
}

fn is_url(text: &str) -> bool {
    text.contains("://")
}

/// Returns what `echo` or `printf` write before a pipe.
fn echoed(text: &Text<'_>, line: usize, pipe: usize) -> Option<Value> {
    let before = text.slice(line..pipe);
    let command = [
        ("echo ", before.rfind("echo ")),
        ("printf ", before.rfind("printf ")),
    ]
    .into_iter()
    .filter_map(|(word, at)| Some((at?, word.len())))
    .max()?;
    last_argument(text, line + command.0 + command.1, pipe)
}

/// Returns the last argument of `echo` or `printf`.
fn last_argument(text: &Text<'_>, at: usize, end: usize) -> Option<Value> {
    let mut place = skip_blanks(text, at, 8);
    let mut last = None;
    for _ in 0..6 {
        if place >= end {
            break;
        }
        let value = match quote_at(text, place) {
            Some(quote) => value::quoted(text, quote)?,
            None => value::unquoted(text, place, at)?,
        };
        if value.range.end > end {
            break;
        }
        place = skip_blanks(text, value.after.max(place + 1), 8);
        let is_option =
            text.byte(value.range.start) == Some(b'-') && !value.quoted && value.range.len() <= 3;
        if !is_option {
            last = Some(value);
        }
    }
    last
}

/// Returns the value of `<<< value`.
fn here_string(text: &Text<'_>, at: usize) -> Option<Value> {
    let end = text.line_end(at).min(at + BEFORE);
    let first = text.find(b'<', at).filter(|first| *first < end)?;
    let place = first + text.slice(first..end).find("<<<")? + 3;
    let place = skip_blanks(text, place, 4);
    match quote_at(text, place) {
        Some(quote) => value::quoted(text, quote),
        None => value::unquoted(text, place, at),
    }
}

/// Returns what `echo` writes in the line before or after, as a shell shows a pipe with `set -x`.
fn other_line(text: &Text<'_>, line: usize, before: &str, at: usize) -> Option<Value> {
    if !before.starts_with('+') {
        return None;
    }
    let is_echo = |start: usize| {
        let mark = text.slice(start..start + 12);
        let command = mark.trim_start_matches('+').trim_start();
        (mark.starts_with('+') && command.starts_with("echo "))
            .then(|| start + (mark.len() - command.len()) + 5)
    };
    let earlier = line
        .checked_sub(1)
        .map(|end| {
            text.line_start(end.max(1) - 1)
                .max(line.saturating_sub(BEFORE))
        })
        .and_then(is_echo);
    if let Some(start) = earlier {
        return last_argument(text, start, line - 1);
    }
    let end = text.line_end(at);
    let start = is_echo(end + 1)?;
    last_argument(text, start, text.line_end(start))
}
