//! Values that stand under the name of a secret: `NAME=value`, `"name": "value"`, `name => value`.

use super::found_name::{Name, name_at};
use super::names::Strength;
use super::nested::{is_hopeless, repeats_name};
use super::report::{report, style_of};
use super::shape::Style;
use super::sign::{Sign, sign_at};
use super::value::{self, Value, after_closing_quote, quote_at, skip_blanks};
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
        "password: !!str →DwYcw0FySm←",
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
        "PIN=→48291←",
        "otp: →482913←",
        "API_TOKEN=→/Vq4nSVht9jX9nTf1odiU4obr7c41MD5Ex71Idtns=←",
    ],
};

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
        "otp:",
        "otp\"",
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
    // Several keywords stand in one name.
    if text.is_decided(&(name.start - name.dashes..name.end)) {
        return;
    }
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

/// Reports the value after a sign.
fn assigned(
    text: &Text<'_>,
    name: &Name<'_>,
    spaced: bool,
    sign: &Sign,
    closed: bool,
    found: &mut Found<'_>,
) {
    let at = after_type(text, skip_blanks(text, sign.end, 120));
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
    if style == Some(Style::Tight)
        && let Some(value) = in_quoted_pair(text, name, at)
    {
        report(text, name, &value, Style::Quoted, found);
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

/// Steps over the type that PHP dumps before a text, also on the next line: `string(8) "value"`.
fn after_type(text: &Text<'_>, at: usize) -> usize {
    let start = match text.byte(at) {
        Some(b'\n') => skip_blanks(text, at + 1, 40),
        _ => at,
    };
    if !text.continues_with(start, "string(") {
        return at;
    }
    let digits = start + "string(".len();
    let mut end = digits;
    while end - digits < 6 && text.byte(end).is_some_and(|b| b.is_ascii_digit()) {
        end += 1;
    }
    if end > digits && text.continues_with(end, ") \"") {
        end + 2
    } else {
        at
    }
}

/// Returns the value of a pair that stands in quotation marks as a whole, if the value has blanks:
/// `-e "DB_PASSWORD=two words"`.
fn in_quoted_pair(text: &Text<'_>, name: &Name<'_>, at: usize) -> Option<Value> {
    let mark = text
        .byte_before(name.start)
        .filter(|mark| matches!(mark, b'"' | b'\''))?;
    if !name.is_upper() || text.byte_before(name.start - 1) == Some(b'\\') {
        return None;
    }
    let limit = text.line_end(at).min(at + 160);
    let end = text.find(mark, at).filter(|end| *end < limit)?;
    let shown = text.slice(at..end);
    // If there are several pairs, each of them ends at a blank.
    let is_one = shown.contains(' ') && !shown.contains(['=', '"', '\'', '\\']);
    let closed = text
        .byte(end + 1)
        .is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b',' | b']' | b')' | b';'));
    (is_one && closed).then(|| Value {
        range: at..end,
        after: end + 1,
        quoted: true,
    })
}

/// Reports the value at a place if it is a secret. Returns the value even if it is not reported.
/// `style` applies to a value without quotation marks. If it is `None`, the text after the value
/// decides.
pub(super) fn value_after(
    text: &Text<'_>,
    name: &Name<'_>,
    at: usize,
    style: Option<Style>,
    found: &mut Found<'_>,
) -> Option<Value> {
    let at = after_tag(text, after_scheme(text, at));
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

/// Steps over a tag of YAML that says only that a text follows.
fn after_tag(text: &Text<'_>, at: usize) -> usize {
    let tags = [
        "!!str ",
        "!!binary ",
        "!unsafe ",
        "!vault ",
        "!!python/str ",
    ];
    let tag = tags.iter().find(|tag| text.continues_with(at, tag));
    tag.map_or(at, |tag| skip_blanks(text, at + tag.len(), 16))
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
