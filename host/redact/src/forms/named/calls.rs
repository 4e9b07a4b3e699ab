//! Passwords in calls of functions, in SQL, and in the protocols of servers.

use super::names::Strength;
use super::shape::{Style, is_secret_in};
use super::value::{self, Value, quote_at, shown, skip_blanks};
use super::words::{is_wordy, looks_random_in};
use super::{Detector, Form, Found};
use crate::text::Text;
use std::ops::Range;

/// Argument of a call.
pub(super) static CALL: Form = Form {
    id: "password-call",
    title: "Password in a call that authenticates, or in the command of a protocol",
    examples: &[
        "requests.get(url, auth=(\"ci\", \"→kT7q9ZxW←\"))",
        "db.changeUserPassword('app', '→kT7q9ZxW←')",
        "SET PASSWORD FOR 'root'@'localhost' = PASSWORD('→kT7q9ZxW←');",
        "ALTER USER app IDENTIFIED WITH mysql_native_password BY '→kT7q9ZxW←';",
        "::add-mask::→kT7q9ZxW←",
        "127.0.0.1:6379> AUTH →kT7q9ZxW←",
        "> PASS →kT7q9ZxW←",
        "AUTH PLAIN →AGNpAGtUN3E5WnhX←",
    ],
};

/// Searches for calls.
pub(super) const CALLS: Detector = Detector {
    keywords: &[
        "auth=(",
        "basicauth(",
        "basic_auth(",
        "db.auth(",
        "changeuserpassword(",
        "getconnection(",
        "passwordcredentials(",
        "passwordauthentication(",
        "networkcredential(",
        ".login(",
    ],
    detect: call,
};

/// Searches for SQL.
pub(super) const SQL: Detector = Detector {
    keywords: &["password('", "password(\"", "identified with"],
    detect: sql,
};

/// Searches for commands of a runner.
pub(super) const WORKFLOW: Detector = Detector {
    keywords: &["::add-mask::"],
    detect: workflow,
};

/// Searches for commands of protocols.
pub(super) const PROTOCOL: Detector = Detector {
    keywords: &[
        "> auth ",
        "> pass ",
        "c: pass ",
        "auth plain ",
        "auth login ",
    ],
    detect: protocol,
};

/// Number of bytes of a call that are read.
const LONGEST: usize = 300;

/// Masks the last of two or three arguments in quotation marks.
fn call(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let limit = text.line_end(keyword.end).min(keyword.end + LONGEST);
    let mut at = keyword.end;
    let mut last = None;
    for count in 1..=3 {
        let argument = quote_at(text, skip_blanks(text, at, 8));
        let Some(value) = argument.and_then(|quote| value::quoted(text, quote)) else {
            return;
        };
        let next = skip_blanks(text, value.after, 4);
        if value.after > limit {
            return;
        }
        at = next + 1;
        last = (count > 1).then_some(value);
        match text.byte(next) {
            Some(b',') => {}
            Some(b')') => break,
            _ => return,
        }
    }
    if let Some(value) = last.filter(|value| is_password(text, value)) {
        found(&CALL, value.range);
    }
}

/// Masks the text in `PASSWORD('…')` and after `IDENTIFIED WITH plugin BY`.
fn sql(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let word = text.slice(keyword.clone());
    let quote = if word.starts_with("PASSWORD(") {
        keyword.end - 1
    } else if word.eq_ignore_ascii_case("identified with") {
        let rest = text.slice(keyword.end..keyword.end + 60);
        let line = rest.split('\n').next().unwrap_or_default();
        let Some(by) = line.find(" BY ").or_else(|| line.find(" by ")) else {
            return;
        };
        skip_blanks(text, keyword.end + by + 4, 4)
    } else {
        return;
    };
    let value = quote_at(text, quote).and_then(|quote| value::quoted(text, quote));
    if let Some(value) = value
        && is_secret_in(
            text,
            Strength::Strong,
            Style::Quoted,
            shown(text, &value.range),
        )
    {
        found(&CALL, value.range);
    }
}

/// Masks the value of `::add-mask::`, with which a workflow declares a secret to GitHub's runner.
fn workflow(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    // The same command follows directly. The value is found from there.
    if text.continues_with(keyword.end, text.slice(keyword.clone())) {
        return;
    }
    if let Some(value) = value::unquoted(text, keyword.end, keyword.start)
        && is_secret_in(
            text,
            Strength::Strong,
            Style::Tight,
            shown(text, &value.range),
        )
    {
        found(&CALL, value.range);
    }
}

/// Masks the last word of `AUTH user password` (Redis), `PASS password` (FTP, POP3) and `AUTH PLAIN`
/// (SMTP), if it is at the end of its line.
fn protocol(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let command = text.slice(keyword.clone());
    let is_mail = command.starts_with(['A', 'a']);
    if is_mail && !command.starts_with("AUTH ") || !is_mail && command.contains(" pass") {
        return;
    }
    let end = text.line_end(keyword.end);
    if end > keyword.end + LONGEST {
        return;
    }
    let line = text.slice(keyword.end..end).trim_end();
    let most = if !is_mail && command.to_ascii_lowercase().contains("auth") {
        2
    } else {
        1
    };
    let Some(last) = line.split(' ').next_back() else {
        return;
    };
    let start = keyword.end + line.len() - last.len();
    let value = Value {
        range: start..start + last.len(),
        after: end,
        quoted: false,
    };
    if line.split(' ').count() <= most
        && (is_password(text, &value) || looks_random_in(text, last, 8))
    {
        found(&CALL, value.range);
    }
}

/// Returns true for a text without blanks that is no word.
pub(super) fn is_password(text: &Text<'_>, value: &Value) -> bool {
    let shown = shown(text, &value.range);
    let digits = shown.bytes().any(|b| b.is_ascii_digit());
    shown.len() >= 6
        && !shown.contains([' ', '/', '.', '('])
        && (digits || !is_wordy(shown))
        && is_secret_in(text, Strength::Strong, Style::Quoted, shown)
}
