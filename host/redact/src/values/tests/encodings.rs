//! Encodings as programs write them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

fn percent(text: &str, is_plain: impl Fn(u8) -> bool, upper: bool) -> String {
    let one = |byte: u8| match (is_plain(byte), upper) {
        (true, _) => char::from(byte).to_string(),
        (false, true) => format!("%{byte:02X}"),
        (false, false) => format!("%{byte:02x}"),
    };
    text.bytes().map(one).collect()
}

fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)
}

fn json(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap().to_owned()
}

fn each(text: &str, change: impl Fn(char) -> String) -> String {
    text.chars().map(change).collect()
}

fn ascii_json(text: &str) -> String {
    each(&json(text), |c| {
        if c.is_ascii() {
            c.to_string()
        } else {
            let mut units = [0; 2];
            let units = c.encode_utf16(&mut units);
            units.iter().map(|unit| format!("\\u{unit:04x}")).collect()
        }
    })
}

fn xml(text: &str, quote: &str, apostrophe: &str) -> String {
    each(text, |c| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => quote.to_owned(),
        '\'' => apostrophe.to_owned(),
        c => c.to_string(),
    })
}

fn hex(bytes: &[u8], between: &str) -> String {
    let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(between)
}

fn wrapped(text: &str, columns: usize, line_break: &str) -> String {
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(columns)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    lines.join(line_break)
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

fn quoted_printable(text: &str) -> String {
    let mut line = 0;
    let mut output = String::new();
    for byte in text.bytes() {
        let one = match byte {
            b'\n' => "\n".to_owned(),
            b'=' | 0x80.. => format!("={byte:02X}"),
            byte => char::from(byte).to_string(),
        };
        if line + one.len() > 75 {
            output.push_str("=\n");
            line = 0;
        }
        line = if byte == b'\n' { 0 } else { line + one.len() };
        output.push_str(&one);
    }
    output
}

/// What `printf %q` of bash prints.
fn printf_q(text: &str) -> String {
    if text.chars().any(char::is_control) {
        let quoted = each(text, |c| match c {
            '\n' => "\\n".to_owned(),
            '\t' => "\\t".to_owned(),
            '\'' | '\\' => format!("\\{c}"),
            c => c.to_string(),
        });
        return format!("$'{quoted}'");
    }
    each(text, |c| {
        if c.is_alphanumeric() || "-_./:=@%+".contains(c) {
            c.to_string()
        } else {
            format!("\\{c}")
        }
    })
}

/// Returns a value in all encodings in which it must be found. `before` and `after` are bytes that
/// are encoded with it.
pub(super) fn encodings(value: &str, before: &str, after: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, text: String| all.push((name.to_owned(), text));
    let nothing = |_: u8| false;
    add("raw", value.to_owned());
    for upper in [true, false] {
        let name = if upper { "upper" } else { "lower" };
        let once = percent(value, unreserved, upper);
        add(&format!("percent {name}"), once.clone());
        add(
            &format!("percent twice {name}"),
            percent(&once, unreserved, upper),
        );
        add(
            &format!("percent all {name}"),
            percent(value, nothing, upper),
        );
        add(&format!("form {name}"), once.replace("%20", "+"));
        add(
            &format!("percent path {name}"),
            percent(
                value,
                |b| unreserved(b) || b"/:@!$'()*,;".contains(&b),
                upper,
            ),
        );
    }
    let once = json(value);
    add("json", once.clone());
    add("json slashes", once.replace('/', "\\/"));
    add("json in json", json(&once));
    add("json in json in json", json(&json(&once)));
    add("ascii json", ascii_json(value));
    add("ascii json in json", json(&ascii_json(value)));
    add(
        "go json",
        each(&once, |c| match c {
            '<' | '>' | '&' => format!("\\u{:04x}", u32::from(c)),
            c => c.to_string(),
        }),
    );
    add(
        "json all",
        each(value, |c| {
            ascii_json(&c.to_string()).strip_prefix("\\u").map_or_else(
                || format!("\\u{:04X}", u32::from(c)),
                |rest| format!("\\u{rest}"),
            )
        }),
    );
    add("xml", xml(value, "&quot;", "&apos;"));
    add("html", xml(value, "&quot;", "&#39;"));
    add("html hex", xml(value, "&#34;", "&#x27;"));
    add(
        "html twice",
        xml(&xml(value, "&quot;", "&#39;"), "&quot;", "&#39;"),
    );
    add("html all", each(value, |c| format!("&#{};", u32::from(c))));
    add(
        "html all hex",
        each(value, |c| format!("&#x{:X};", u32::from(c))),
    );
    add(
        "shell single",
        format!("'{}'", value.replace('\'', "'\\''")),
    );
    add(
        "shell mixed",
        format!("'{}'", value.replace('\'', "'\"'\"'")),
    );
    add(
        "shell double",
        format!(
            "\"{}\"",
            each(value, |c| if "\\\"$`".contains(c) {
                format!("\\{c}")
            } else {
                c.to_string()
            })
        ),
    );
    add("printf %q", printf_q(value));
    add("shell in json", json(&value.replace('\'', "'\\''")));
    add("sql", value.replace('\'', "''"));
    add("csv", value.replace('"', "\"\""));
    add("quoted-printable", quoted_printable(value));
    let joined = format!("{before}{value}{after}");
    let bytes = joined.as_bytes();
    add("hex", hex(bytes, ""));
    add("hex upper", hex(bytes, "").to_uppercase());
    add("hex colons", hex(bytes, ":"));
    add("hex blanks", hex(bytes, " "));
    add("hex escapes", format!("\\x{}", hex(bytes, "\\x")));
    add("hex list", format!("0x{}", hex(bytes, ", 0x")));
    add("hex wrapped", wrapped(&hex(bytes, ""), 60, "\n  "));
    for (name, base64) in [
        ("standard", &STANDARD),
        ("no pad", &STANDARD_NO_PAD),
        ("url", &URL_SAFE),
        ("url no pad", &URL_SAFE_NO_PAD),
    ] {
        let text = base64.encode(bytes);
        add(&format!("base64 {name}"), text.clone());
        for columns in [4, 7, 60, 64, 76] {
            add(
                &format!("base64 {name} {columns}"),
                wrapped(&text, columns, "\n"),
            );
            add(
                &format!("base64 {name} {columns} indented"),
                wrapped(&text, columns, "\r\n        "),
            );
            add(
                &format!("base64 {name} {columns} json"),
                wrapped(&text, columns, "\\n"),
            );
        }
        add(&format!("base64 {name} twice"), base64.encode(&text));
        add(
            &format!("base64 {name} twice wrapped"),
            base64.encode(wrapped(&text, 76, "\n") + "\n"),
        );
        add(
            &format!("base64 {name} percent"),
            percent(&text, unreserved, true),
        );
        add(&format!("base64 {name} php"), text.replace('/', "\\/"));
        add(
            &format!("base64 {name} utf-16le"),
            base64.encode(utf16(&joined, u16::to_le_bytes)),
        );
        add(
            &format!("base64 {name} utf-16be"),
            base64.encode(utf16(&joined, u16::to_be_bytes)),
        );
        add(
            &format!("base64 {name} of json"),
            base64.encode(format!("{{\"{}\":\"{}\"}}", json(before), json(value))),
        );
    }
    all
}
