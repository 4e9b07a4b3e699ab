//! Values after a name without a sign (`ENV NAME value`, `token X`, `password is X`), on the next
//! lines, and in blocks of YAML.

use super::flags::is_command;
use super::found_name::{Name, word_before};
use super::names::Strength;
use super::nested::repeats_name;
use super::passphrase;
use super::report::{report_as, style_of};
use super::shape::{Style, is_secret_in};
use super::tables;
use super::value::{self, quote_at, shown, skip_blanks};
use super::words::looks_random_in;
use super::{Form, Found};
use crate::text::Text;

/// Value in a sentence.
pub(super) static PROSE: Form = Form {
    id: "secret-prose",
    title: "Secret in a sentence that names it",
    examples: &[
        "your new API key is →qHO1TKseFOwr24nS←",
        "Password for user 'admin': →cNtZjk3H2QOS←",
        "Please use the following password to proceed:\n\n→fcaeb65767516e32a9c2←\n",
        "The generated password is: →cNtZjk3H2QOS←",
        "using token →qHO1TKseFOwr24nS←",
        "Step 4/9 : ENV DB_PASSWORD →YBNv7jIH←",
        "set -x DB_PASSWORD →Ml9YRNPw←",
        "CREATE USER app WITH PASSWORD '→hunter22←'",
    ],
};

/// Lines of a YAML block.
pub(super) static BLOCK: Form = Form {
    id: "secret-block",
    title: "Block of lines under the name of a secret",
    examples: &["  password: |\n    →first l1ne&more←\n  user: x"],
};

/// Most lines of a block.
const MAX_LINES: usize = 128;

/// Reports what follows a name after blanks.
pub(super) fn after_name(
    text: &Text<'_>,
    name: &Name<'_>,
    at: usize,
    blanks: usize,
    found: &mut Found<'_>,
) {
    let Some(first) = text.byte(at) else {
        return;
    };
    if matches!(
        text.byte_before(name.start),
        Some(b'$' | b'{' | b'(' | b'/' | b'<' | b'@')
    ) || repeats_name(text, name, at)
        || first == b'-' && name.text == "sshpass"
    {
        return;
    }
    if blanks >= 2 || text.byte(at - 1) == Some(b'\t') {
        if tables::column(text, name, at, found) {
            return;
        }
        if blanks >= 4 {
            return;
        }
    }
    if matches!(first, b'\n' | b'\r') {
        return;
    }
    if let Some(quote) =
        quote_at(text, at).filter(|_| first != b'`' || name.strength >= Strength::Medium)
    {
        if let Some(value) = value::quoted(text, quote) {
            let before = word_before(text, name.start.saturating_sub(1));
            let is_sql = name.strength == Strength::Strong
                && [
                    "with",
                    "set",
                    "encrypted",
                    "unencrypted",
                    "role",
                    "user",
                    "identified",
                ]
                .iter()
                .any(|word| before.eq_ignore_ascii_case(word))
                && first == b'\'';
            let style = if is_sql || is_setting(text, name) {
                Style::Quoted
            } else {
                Style::Gap
            };
            if is_secret_in(text, name.strength, style, shown(text, &value.range)) {
                if style == Style::Quoted || looks_random_in(text, shown(text, &value.range), 6) {
                    report_as(text, name, &value, style, &PROSE, found);
                }
                return;
            }
        }
    } else if let Some(value) =
        value::unquoted(text, at, name.start).filter(|_| !text.continues_with(at, "--"))
    {
        let shown = shown(text, &value.range);
        if is_setting(text, name) {
            if report_as(text, name, &value, Style::Tight, &PROSE, found) {
                return;
            }
        } else if follows_login(text, name) {
            let form = name.form();
            if report_as(text, name, &value, Style::Alone, form, found) {
                return;
            }
        } else if name.strength >= Strength::Medium || name.is_upper() {
            let least = if name.strength == Strength::Strong {
                7
            } else {
                10
            };
            if looks_random_in(text, shown, least)
                && report_as(text, name, &value, Style::Gap, &PROSE, found)
            {
                return;
            }
        }
    }
    if name.strength >= Strength::Medium || name.is_upper() {
        sentence(text, name, at, found);
    }
}

/// Returns true for the name in `machine host login user password value`, as in `.netrc`.
fn follows_login(text: &Text<'_>, name: &Name<'_>) -> bool {
    let before = text.slice(name.start.saturating_sub(160)..name.start);
    let mut words = before.split_ascii_whitespace().rev();
    words.next().is_some() && words.next() == Some("login")
}

/// Returns true for `ENV NAME value`, `set -x NAME value`, `config set name value`.
fn is_setting(text: &Text<'_>, name: &Name<'_>) -> bool {
    if passphrase::is_directive(text, name) {
        return true;
    }
    if text.byte_before(name.start) != Some(b' ') || name.dashes > 0 {
        return false;
    }
    let end = name.start - 1;
    let before = word_before(text, end);
    match before {
        "ENV" | "setx" | "setenv" | "SetEnv" | "-x" | "-gx" | "-Ux" | "-xg" | "-Ugx" => true,
        "set" | "config" | "--global" | "--add" | "setapikey" | "--local" => {
            is_command(text, end) || before == "set" && name.is_upper()
        }
        _ => false,
    }
}

/// Searches a sentence for the value: after `is`, after a colon.
fn sentence(text: &Text<'_>, name: &Name<'_>, at: usize, found: &mut Found<'_>) {
    let line_end = text.line_end(at).min(at + 140);
    let mut place = at;
    let mut ready = false;
    for _ in 0..12 {
        if place >= line_end {
            return;
        }
        let end = text.word_end(place).min(line_end);
        let word = text.slice(place..end);
        // The same name follows. Its value is found from there.
        if word.eq_ignore_ascii_case(name.text) {
            return;
        }
        if ready {
            if report_random(text, name, place, found) {
                return;
            }
            // `is now`, `was set to`, `is:`.
            let goes_on = matches!(
                word.trim_end_matches(':'),
                "set"
                    | "to"
                    | "now"
                    | "as"
                    | "changed"
                    | "currently"
                    | "generated"
                    | "is"
                    | "be"
                    | "the"
                    | "following"
                    | "reset"
            );
            if !goes_on {
                ready = false;
            }
        }
        ready |= matches!(
            word,
            "is" | "was" | "are" | "=" | "to" | "will" | "->" | "→" | "as"
        ) || word.ends_with(':');
        if word.ends_with(['.', ';', '!']) || word.contains('=') && word.len() > 1 {
            return;
        }
        place = skip_blanks(text, end, 8);
        if place >= text.len() || matches!(text.byte(place), Some(b'\n' | b'\r')) {
            if word.ends_with(':') {
                next_line(text, name, place, false, found);
            }
            return;
        }
    }
}

/// Reports the value at a place if it looks random.
fn report_random(text: &Text<'_>, name: &Name<'_>, at: usize, found: &mut Found<'_>) -> bool {
    let value = match quote_at(text, at) {
        Some(quote) => value::quoted(text, quote),
        None => value::unquoted(text, at, name.start),
    };
    let least = if name.strength >= Strength::Loose {
        6
    } else {
        8
    };
    value.is_some_and(|value| {
        looks_random_in(text, shown(text, &value.range), least)
            && report_as(text, name, &value, Style::Gap, &PROSE, found)
    })
}

/// Reports the value on the next line, if the sign after the name ends its line.
pub(super) fn next_line(
    text: &Text<'_>,
    name: &Name<'_>,
    at: usize,
    closed: bool,
    found: &mut Found<'_>,
) {
    let mut place = at;
    let mut breaks = 0;
    while let Some(byte) = text.byte(place) {
        match byte {
            b'\n' => breaks += 1,
            b' ' | b'\t' | b'\r' => {}
            _ => break,
        }
        place += 1;
        if breaks > 2 || place > at + 200 {
            return;
        }
    }
    if let Some(quote) = quote_at(text, place).filter(|_| text.byte(place) != Some(b'`')) {
        if breaks == 1
            && let Some(value) = value::quoted(text, quote)
            && !matches!(
                text.byte(skip_blanks(text, value.after, 8)),
                Some(b':' | b'=')
            )
        {
            let style = if closed {
                Style::Quoted
            } else {
                style_of(text, &value)
            };
            report_as(text, name, &value, style, name.form(), found);
        }
        return;
    }
    if let Some(value) = value::unquoted(text, place, name.start)
        && style_of(text, &value) == Style::Alone
        && looks_random_in(text, shown(text, &value.range), 8)
    {
        report_as(text, name, &value, Style::Gap, &PROSE, found);
    }
}

/// Reports the lines of a YAML block (`|`, `>`, `|-`, …). Returns true if there is a block.
pub(super) fn block(text: &Text<'_>, name: &Name<'_>, at: usize, found: &mut Found<'_>) -> bool {
    let mut place = at + 1;
    while place < at + 4 && matches!(text.byte(place), Some(b'-' | b'+' | b'0'..=b'9')) {
        place += 1;
    }
    place = skip_blanks(text, place, 8);
    if text.byte(place) == Some(b'\r') {
        place += 1;
    }
    if text.byte(place) != Some(b'\n') {
        return false;
    }
    let line = text.line_start(name.start);
    let outer = skip_blanks(text, line, 400) - line;
    for _ in 0..MAX_LINES {
        let start = place + 1;
        let content = skip_blanks(text, start, 400);
        let end = text.line_end(content);
        if end > at + value::LONGEST {
            break;
        }
        if content < end && content - start <= outer {
            break;
        }
        let whole = text.slice(content..end).trim_end();
        if !whole.is_empty() && is_block_line(text, name, whole) {
            found(&BLOCK, content..content + whole.len());
        }
        if end >= text.len() || text.byte(end) != Some(b'\n') {
            break;
        }
        place = end;
    }
    true
}

/// Returns true for a line of a block that can be secret.
fn is_block_line<'t>(text: &Text<'t>, name: &Name<'_>, line: &'t str) -> bool {
    name.strength == Strength::Strong && is_secret_in(text, Strength::Strong, Style::Quoted, line)
        || is_secret_in(text, name.strength, Style::Alone, line)
}
