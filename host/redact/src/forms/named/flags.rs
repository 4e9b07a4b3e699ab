//! Options of commands: `--password value`, `-storepass value`, `["--token", "value"]`.

use super::found_name::Name;
use super::names::Strength;
use super::report::report_as;
use super::shape::Style;
use super::value::{self, quote_at, skip_blanks};
use super::{Form, Found};
use crate::text::Text;

/// A password as the argument of an option.
pub(super) static PASSWORD: Form = Form {
    id: "password-flag",
    title: "Argument of an option for a password",
    examples: &[
        "+ tool --password →hunter22← --verbose",
        "+ keytool -importkeystore -srcstorepass →lfzZEjHq← -deststorepass x",
        r#"args: ["--password", "→hunter22←"]"#,
        "- --password\n- →hunter22!←",
        "+ args=(--user ci --password →xhW4Vf6h←)",
    ],
};

/// A token as the argument of an option.
pub(super) static SECRET: Form = Form {
    id: "secret-flag",
    title: "Argument of an option for a token or key",
    examples: &[
        "+ tool --api-token →qHO1TKseFOwr24nS←",
        "+ tool --client-secret '→qHO1TK seFOwr24nS←'",
        r#"["tool","--token","→qHO1TKseFOwr24nS←"]"#,
    ],
};

/// A password behind a user.
pub(in crate::forms) static USER: Form = Form {
    id: "user-flag",
    title: "User and password in one argument",
    examples: &[
        "+ skopeo copy --dest-creds ci:→VPFjTTZ2b← oci:x docker://r.example.com/x",
        "+ skopeo copy --src-creds=ci:→4KVPRIVrE← docker://r.example.com/x dir:x",
    ],
};

/// Reports the argument after an option. Returns true if the name is an option.
pub(super) fn argument(
    text: &Text<'_>,
    name: &Name<'_>,
    at: usize,
    closed: bool,
    found: &mut Found<'_>,
) -> bool {
    if name.dashes == 0 {
        return false;
    }
    let begins = text.byte_before(name.start - name.dashes);
    if begins.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return false;
    }
    let form = if name.strength >= Strength::Loose {
        &PASSWORD
    } else {
        &SECRET
    };
    let mut place = skip_blanks(text, at, 40);
    let mut in_list = false;
    if closed && text.byte(place) == Some(b',') {
        // `["--password", "value"]`, also on lines of their own.
        place = skip_space(text, place + 1);
        if quote_at(text, place).is_none() {
            return true;
        }
        in_list = true;
    } else if matches!(text.byte(place), Some(b'\n' | b'\r')) {
        // YAML: the next item of the list.
        let next = skip_space(text, place);
        if text.byte(next) != Some(b'-') || text.byte(next + 1) != Some(b' ') {
            return true;
        }
        place = skip_blanks(text, next + 2, 8);
        in_list = true;
    } else if place == at {
        return true;
    }
    let value = match quote_at(text, place) {
        Some(quote) => value::quoted(text, quote),
        None => value::unquoted(text, place, name.start),
    };
    // A here-string of the shell, which is the input of the command: `--with-token <<< value`.
    let Some(mut value) = value.filter(|_| !text.continues_with(place, "<<")) else {
        return true;
    };
    // The next option.
    if value.quoted && text.continues_with(value.range.start, "--") {
        return true;
    }
    if !value.quoted
        && text.byte(place) == Some(b'-')
        && text
            .byte(place + 1)
            .is_some_and(|b| b == b'-' || b.is_ascii_lowercase())
    {
        return true;
    }
    // `-passin pass:value`.
    if text.continues_with(value.range.start, "pass:") {
        value.range.start += 5;
    }
    let style = if value.quoted || in_list {
        Style::Quoted
    } else if is_command(text, name.start) {
        Style::Tight
    } else if ends_command(text, value.after) {
        Style::Alone
    } else {
        Style::Gap
    };
    report_as(text, name, &value, style, form, found);
    true
}

/// Returns true if a line ends at a place, or the next option follows.
fn ends_command(text: &Text<'_>, at: usize) -> bool {
    let next = skip_blanks(text, at, 16);
    match text.byte(next) {
        None | Some(b'\n' | b'\r' | b'|' | b'>' | b'&' | b';' | b'\\') => true,
        Some(b'-') => next > at,
        _ => false,
    }
}

/// Steps over blanks and line breaks.
pub(super) fn skip_space(text: &Text<'_>, at: usize) -> usize {
    let mut place = at;
    while place < at + 120 {
        match text.byte(place) {
            Some(b' ' | b'\t' | b'\r' | b'\n') => place += 1,
            Some(b'\\') if text.byte(place + 1) == Some(b'n') => place += 2,
            _ => break,
        }
    }
    place
}

/// Returns true if a line is a command that a shell or a build shows: `+ cmd`, `$ cmd`, `RUN cmd`.
pub(super) fn is_command(text: &Text<'_>, at: usize) -> bool {
    let start = text.line_start(at);
    let start = skip_blanks(text, start, 16);
    let line = text.slice(start..start + 40);
    let signs = [
        "+",
        "$ ",
        "# ",
        "> ",
        "RUN ",
        "sh -c",
        "args=",
        "run: ",
        "command: ",
        "- run",
    ];
    signs.iter().any(|sign| line.starts_with(sign)) || line.contains(" RUN ") || line.contains("$ ")
}
