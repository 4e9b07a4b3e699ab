//! Values that stand under the name of a secret: `NAME=value`, `"name": "value"`, `name => value`.

use super::found_name::{Name, name_at};
use super::names::Strength;
use super::shape::{Style, is_secret};
use super::value::{self, Value, after_closing_quote, quote_at, skip_blanks};
use super::variable::is_variable;
use super::words::is_wordy;
use super::{Detector, Form, Found, flags, pairs, passphrase, prose, tables, xml};
use crate::forms::url;
use crate::text::Text;
use std::ops::Range;

/// A password under its name.
pub(super) static PASSWORD: Form = Form {
    id: "password-assignment",
    title: "Value under the name of a password",
    examples: &[
        "DB_PASSWORD=→x9←",
        "export PGPASSWORD='→it'\\''s #1 & only←'",
        r#"{"password": "→q\"w e;r&t←"}"#,
        r#"{\"dbPassword\":\"→Tr4il&Mix←\"}"#,
        "signing.password = →kLm4Nw8Qz←",
        "user=ci;password=→97quR90Z←;x=1",
        "+ DB_PASSWORD=$'→dC9nOSd!rbj←'",
        "passwort: →DwYcw0FySm←",
        "password: “→a2K24q laft←”",
        r#"~ password = "→0ldValue1←" -> "→n3wValue2←""#,
        "{:user=>\"ci\", :password=>\"→tL7a84av←\"}",
        "DB_PASSWORD=→$y5Kr1N0Yyujbx7←",
        "password:\n  \"→7zjl4QQb←\"",
    ],
};

/// A token, key or other secret under its name.
pub(super) static SECRET: Form = Form {
    id: "secret-assignment",
    title: "Value under the name of a secret, token or key",
    examples: &[
        "API_KEY_1=→sVadZqvveeptrmExfZFd←",
        "GITHUB_TOKEN_RW=→4ZmCshYvH9A1otKf←",
        "APP_KEY=→base64:Qm9vayBvZiBzZWNyZXRzIDEyMw==←",
        "GET /v1?apikey=→quKTTGOqljHMvE6j←&page=2 200",
        "api.token -> →Rz81kQpLmT5vWx←",
        "API_TOKEN=→/Vq4nSVht9jX9nTf1odiU4obr7c41MD5Ex71Idtns=←",
    ],
};

/// Returns the form of a value under a name of this strength.
pub(super) fn form_of(strength: Strength) -> &'static Form {
    if strength >= Strength::Loose {
        &PASSWORD
    } else {
        &SECRET
    }
}

/// Searches for all of these forms.
pub(super) const DETECTOR: Detector = Detector {
    keywords: &[
        "pass",
        "pwd",
        "psk",
        "secret",
        "token",
        "key",
        "credential",
        "creds",
        "cred=",
        "cred:",
        "cred\"",
        "_cred",
        "auth=",
        "auth:",
        "auth\"",
        "auth'",
        "auth\\",
        "_auth",
        "-bearer",
        "auth<",
        "auth>",
        "reporterid",
        "sonar.login",
        "bindpw",
        "rootpw",
        "masterauth",
        "reporter.id",
        ".pat",
        "extpat",
        "userpat",
        "hubpat",
        "labpat",
        "-pw",
        "-auth",
        ".auth",
        "authident",
        "contrase",
        "senha",
        "kennwort",
        "wachtwoord",
        "haslo",
        "hasło",
        "heslo",
        "parola",
        "lösenord",
        "losenord",
        "adgangskode",
        "salasana",
        "jelsz",
        "пароль",
        "reporter_id",
        "reporter-id",
        "_pat",
        "-pat",
        "pin=",
        "pin:",
        "pin\"",
        "_pin",
        "_otp",
        "otp=",
        "jwt",
        "salt",
        "_pw",
        "pw=",
        "pw:",
        "pw\"",
        "mnemonic",
    ],
    detect,
};

fn detect(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let Some(name) = name_at(text, &keyword) else {
        return;
    };
    if xml::element(text, &name, found) || pairs::value_beside(text, &name, found) {
        return;
    }
    let mut at = after_closing_quote(text, name.end);
    let closed = at > name.end;
    while matches!(text.byte(at), Some(b']' | b'[')) && at < name.end + 12 {
        at += 1;
    }
    let blanks = skip_blanks(text, at, 120);
    if let Some(value) = passphrase::in_ldif(text, &name, at) {
        found(name.form(), value.range);
        return;
    }
    if let Some(sign) = sign_at(text, blanks, name.start) {
        if sign.is_table {
            tables::cell(text, &name, sign.end, found);
        } else {
            assigned(text, &name, blanks > at, &sign, closed, found);
        }
        return;
    }
    if flags::argument(text, &name, at, closed, found) {
        return;
    }
    if !closed && blanks > at {
        prose::after_name(text, &name, blanks, blanks - at, found);
    } else if closed {
        pairs::list(text, &name, at, found);
    }
}

/// A sign between a name and its value.
struct Sign {
    end: usize,
    is_equal: bool,
    is_table: bool,
}

/// Returns the sign at a place.
fn sign_at(text: &Text<'_>, at: usize, name: usize) -> Option<Sign> {
    let sign = |length: usize, is_equal: bool| {
        Some(Sign {
            end: at + length,
            is_equal,
            is_table: false,
        })
    };
    let next = text.byte(at + 1);
    match text.byte(at)? {
        b'=' => match next {
            Some(b'=') if text.byte(at + 2) == Some(b'>') => sign(3, false),
            Some(b'=' | b'~') => None,
            Some(b'>') => sign(2, false),
            _ => sign(1, true),
        },
        b':' => match next {
            Some(b'=') => sign(2, true),
            Some(b':') => None,
            // The default in `${NAME:-value}`.
            Some(b'-') if matches!(text.byte_before(name), Some(b'{')) => sign(2, true),
            Some(b'/') if text.byte(at + 2) == Some(b'/') => None,
            _ => sign(1, false),
        },
        b'?' | b'+' if next == Some(b'=') => sign(2, true),
        b'-' if next == Some(b'>') => sign(2, false),
        b'-' if next == Some(b'-') && text.byte(at + 2) == Some(b'>') => sign(3, false),
        b'%' if text.continues_with(at, "%3D") || text.continues_with(at, "%3d") => sign(3, true),
        b'%' if text.continues_with(at, "%3A") || text.continues_with(at, "%3a") => sign(3, false),
        b'|' if next != Some(b'|') => Some(Sign {
            end: at + 1,
            is_equal: false,
            is_table: true,
        }),
        0xE2 => {
            for arrow in ["→", "⇒", "➜", "⟶", "➔"] {
                if text.continues_with(at, arrow) {
                    return sign(arrow.len(), false);
                }
            }
            let is_table = ["│", "┃", "║", "┆"]
                .iter()
                .any(|line| text.continues_with(at, line));
            is_table.then_some(Sign {
                end: at + 3,
                is_equal: false,
                is_table: true,
            })
        }
        b'\\' if text.continues_with(at, "\\u003d") || text.continues_with(at, "\\u003D") => {
            sign(6, true)
        }
        _ => None,
    }
}

/// Reports the value after a sign.
fn assigned(
    text: &Text<'_>,
    name: &Name<'_>,
    spaced: bool,
    sign: &Sign,
    closed: bool,
    found: &mut Found<'_>,
) {
    let at = skip_blanks(text, sign.end, 120);
    // `PASS: TestX` of a test, `passwd:amd64` of a package.
    if name.text == "PASS" && !sign.is_equal {
        return;
    }
    let is_glued = !spaced && at == sign.end && !closed && text.byte(at - 1) == Some(b':');
    let spaced = spaced || at > sign.end || !sign.is_equal;
    match text.byte(at) {
        None => return,
        Some(b'\n' | b'\r') => {
            prose::next_line(text, name, at, closed, found);
            return;
        }
        Some(b'|' | b'>') if spaced && prose::block(text, name, at, found) => return,
        _ => {}
    }
    let style = if is_glued {
        Some(Style::Gap)
    } else {
        (!spaced).then_some(Style::Tight)
    };
    // `x-access-token:value@host`: the detector of URLs reports it.
    if is_glued && url::is_user(text, name.start..name.end) {
        return;
    }
    let special = match style {
        Some(Style::Tight) => passphrase::in_braces(text, name, at),
        Some(_) => None,
        None => passphrase::words(text, name, at),
    };
    if let Some(value) = special.filter(|value| passphrase::is_password(text, value)) {
        found(name.form(), value.range);
        return;
    }
    let Some(value) = value_after(text, name, at, style, found) else {
        return;
    };
    // `password: str = "value"`.
    let next = skip_blanks(text, value.after, 8);
    if !value.quoted && text.byte(next) == Some(b'=') && text.byte(next + 1) != Some(b'=') {
        let at = skip_blanks(text, next + 1, 8);
        if quote_at(text, at).is_some() {
            value_after(text, name, at, None, found);
        }
        return;
    }
    // `"old" -> "new"`.
    if text.continues_with(next, "->")
        || text.continues_with(next, "=>")
        || text.continues_with(next, "→")
    {
        let after = next + if text.byte(next) == Some(0xE2) { 3 } else { 2 };
        let at = skip_blanks(text, after, 8);
        if quote_at(text, at).is_some() || !value.quoted {
            value_after(text, name, at, None, found);
        }
    }
}

/// Reports the value at a place if it is a secret. Returns it in any case. `style` is that of a value
/// without quotation marks, `None` if it depends on what follows.
pub(super) fn value_after(
    text: &Text<'_>,
    name: &Name<'_>,
    at: usize,
    style: Option<Style>,
    found: &mut Found<'_>,
) -> Option<Value> {
    let at = after_scheme(text, at);
    if repeats_name(text, name, at) {
        return None;
    }
    if let Some(quote) = quote_at(text, at) {
        if let Some(value) = value::quoted(text, quote) {
            report(text, name, &value, Style::Quoted, found);
            return Some(value);
        }
        if text.byte(at) != Some(b'`') && matches!(text.byte(at), Some(b'"' | b'\'' | b'\\' | b'&'))
        {
            // Not closed: the text is cut, or the quotation mark closes a text before the name.
            if name.strength >= Strength::Medium
                && text
                    .byte(quote.content)
                    .is_some_and(|b| b.is_ascii_alphanumeric())
            {
                let value = value::unquoted(text, quote.content, name.start)?;
                report(text, name, &value, Style::Alone, found);
                return Some(value);
            }
            return None;
        }
    }
    if is_hopeless(text, name, at, style) {
        return None;
    }
    let value = value::unquoted(text, at, name.start)?;
    let style = style.unwrap_or_else(|| match style_of(text, &value) {
        Style::Alone if is_line(text, name, &value) => Style::Line,
        style => style,
    });
    report(text, name, &value, style, found);
    Some(value)
}

/// Returns true if a line holds only a name in small letters and a value, as in YAML.
fn is_line(text: &Text<'_>, name: &Name<'_>, value: &Value) -> bool {
    let start = text.line_start(name.start);
    name.text.ends_with("password")
        && text.slice(start..name.start).bytes().all(|b| b == b' ')
        && matches!(text.byte(value.after), None | Some(b'\n' | b'\r'))
}

/// Returns true if the same name stands in the place of the value: what follows is found from there.
pub(super) fn repeats_name(text: &Text<'_>, name: &Name<'_>, at: usize) -> bool {
    let signs = (0..4)
        .take_while(|offset| {
            text.byte(at + offset)
                .is_some_and(|b| !b.is_ascii_alphanumeric())
        })
        .count();
    let is_name = |at: usize| {
        let end = at + name.text.len();
        text.continues_with(at, name.text)
            && (matches!(text.byte(end), Some(b'=' | b':' | b'\t' | b' ' | b'|'))
                || text.continues_with(end, "%3"))
    };
    (at..=at + signs).any(is_name) || is_full_of(text, name, at)
}

/// Returns true if the word at a place contains the name several times near its beginning. No secret
/// does; a text of nothing but names, which would be read again from each of them, does.
fn is_full_of(text: &Text<'_>, name: &Name<'_>, at: usize) -> bool {
    const NEAR: usize = 120;
    const TIMES: usize = 4;
    let end = text.word_end(at).min(at + NEAR);
    if end - at < TIMES * name.text.len() {
        return false;
    }
    let bytes = text.as_str().as_bytes().get(at..end).unwrap_or_default();
    // Another value begins after these signs and a letter.
    let begins = |pair: &[u8]| matches!(pair, [b',' | b';' | b'&', next] if next.is_ascii_alphanumeric() || matches!(next, b'"' | b'\'' | b'_'));
    let length = bytes.windows(2).position(begins);
    let near = length.map_or(bytes, |length| bytes.get(..length).unwrap_or(bytes));
    near.len() >= TIMES * name.text.len()
        && memchr::memmem::find_iter(near, name.text)
            .nth(TIMES - 1)
            .is_some()
}

/// Returns true if the first bytes of a value show that it is none, for names that need a value that
/// looks random: another name and its sign (`key=key=key=`).
pub(super) fn is_hopeless(
    text: &Text<'_>,
    name: &Name<'_>,
    at: usize,
    style: Option<Style>,
) -> bool {
    if name.strength > Strength::Weak && style != Some(Style::Gap) {
        return false;
    }
    let first = text.slice(at..at + 12);
    let first = first.strip_prefix("base64:").unwrap_or(first);
    first.contains(['=', ':', '|'])
}

/// Steps over the scheme in `token: Bearer abc`.
fn after_scheme(text: &Text<'_>, at: usize) -> usize {
    for scheme in [
        "Bearer ", "bearer ", "Basic ", "Token ", "token ", "ApiKey ", "Digest ",
    ] {
        if text.continues_with(at, scheme) {
            return at + scheme.len();
        }
    }
    at
}

/// Returns whether a value without quotation marks stands alone.
pub(super) fn style_of(text: &Text<'_>, value: &Value) -> Style {
    let mut at = value.after;
    while at < value.after + 8
        && matches!(
            text.byte(at),
            Some(b',' | b';' | b')' | b'}' | b']' | b'"' | b'\'' | b'.')
        )
    {
        at += 1;
    }
    let at = skip_blanks(text, at, 40);
    match text.byte(at) {
        None | Some(b'\n' | b'\r' | b'#' | b'|' | b'\\' | b'}' | b')' | b']' | b'<' | b'&') => {
            Style::Alone
        }
        Some(b'/') if text.byte(at + 1) == Some(b'/') => Style::Alone,
        Some(_) => {
            // Another name with a sign.
            let rest = text.slice(at..at + 48);
            let length = rest
                .bytes()
                .take_while(|b| {
                    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'"' | b'\'')
                })
                .count();
            if length > 0 && matches!(text.byte(at + length), Some(b'=' | b':')) {
                Style::Alone
            } else {
                Style::Sentence
            }
        }
    }
}

/// Reports a value if its shape is that of a secret under this name. Returns true if it is.
pub(super) fn report(
    text: &Text<'_>,
    name: &Name<'_>,
    value: &Value,
    style: Style,
    found: &mut Found<'_>,
) -> bool {
    report_as(text, name, value, style, name.form(), found)
}

/// Reports a value under a form.
pub(super) fn report_as(
    text: &Text<'_>,
    name: &Name<'_>,
    value: &Value,
    style: Style,
    form: &'static Form,
    found: &mut Found<'_>,
) -> bool {
    let shown = value::shown(text, &value.range);
    let mut range = value.range.clone();
    if is_pair(name.text)
        && let Some(colon) = shown.find(':')
    {
        // `user:password`.
        let password = shown.get(colon + 1..).unwrap_or_default();
        if colon < 64
            && !is_variable(password)
            && is_secret(Strength::Strong, style, password)
            && !password.starts_with('/')
            && !is_wordy(password)
        {
            range.start += colon + 1;
            found(&flags::USER, range);
            return true;
        }
    }
    // `TESTS_PASS = 120` counts.
    let is_count = name.strength == Strength::Strong
        && shown.bytes().all(|b| b.is_ascii_digit())
        && name.text.len() >= 5
        && name
            .text
            .get(name.text.len() - 5..)
            .is_some_and(|end| end.eq_ignore_ascii_case("_pass"));
    if is_count || !is_secret(name.strength, style, shown) {
        return false;
    }
    found(form, range);
    true
}

/// Returns true for names whose values are a user and a password.
fn is_pair(name: &str) -> bool {
    let lower = name
        .get(name.len().saturating_sub(5)..)
        .unwrap_or_default()
        .to_ascii_lowercase();
    matches!(lower.as_str(), "creds" | "ident")
        || lower.ends_with("cred")
        || lower.ends_with("auth")
}
