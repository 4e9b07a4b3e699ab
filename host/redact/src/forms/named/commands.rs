//! Commands whose short options and arguments are secrets: `docker login -p`, `mysql -pPW`,
//! `vault login TOKEN`, `CREATE USER … IDENTIFIED BY 'PW'`.

use super::command_line::{LINE, Scan, next_argument, value_at};
use super::command_table::{COMMANDS, Command, Place, WORDS};
use super::found_name::word_before;
use super::names::Strength;
use super::shape::{Style, is_secret_in};
use super::value::{Value, shown, skip_blanks};
use super::words::looks_random_in;
use super::{Detector, Form, Found};
use crate::text::Text;
use crate::word_table::WordTable;
use std::ops::Range;
use std::sync::LazyLock;

/// Short option or argument of a command.
pub(super) static COMMAND: Form = Form {
    id: "command-password",
    title: "Short option or argument of a command that takes a secret",
    examples: &[
        "+ docker login -u ci -p →cLq0tI1jk← registry.example.com",
        "+ helm registry login r.example.com -u ci -p '→GiDO5 psX←'",
        "mysql -u root -p→YpYGky8q← shop",
        "sshpass -p →hunter2← ssh ci@example.com",
        "redis-cli -h cache -a →YpYGky8q06← ping",
        "+ openssl enc -aes-256-cbc -d -in x -k →vYjqfIty←",
        "+ vault login →Zk81vYjqfItyhAsF←",
        "CREATE USER app IDENTIFIED BY '→it''s #1←';",
    ],
};

/// Searches for commands.
pub(super) const DETECTOR: Detector = Detector {
    keywords: WORDS,
    detect: command,
};

/// Searches for SQL.
pub(super) const SQL: Detector = Detector {
    keywords: &["identified by"],
    detect: sql,
};

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// The commands by their words.
static BY_WORD: LazyLock<WordTable<&Command>> = LazyLock::new(|| {
    let by_word =
        |command: &'static Command| command.words.iter().map(move |word| (*word, command));
    // The first of several counts.
    WordTable::new(COMMANDS.iter().rev().flat_map(by_word))
});

/// Maximum number of arguments of a command that are read.
const MOST: usize = 32;

fn command(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let before = text.byte_before(keyword.start);
    if before.is_some_and(|b| is_word(char::from(b))) {
        return;
    }
    let word = text.slice(keyword.clone());
    let end = keyword.start + word.trim_end_matches(['-', ' ']).len();
    let Some(first) = next_argument(text, end) else {
        return;
    };
    let command = BY_WORD.get_any_case(word.as_bytes());
    // The name of a container is no command.
    let is_name = || word_before(text, keyword.start.saturating_sub(1)).ends_with("-name");
    let Some(command) = command.filter(|_| !is_name()) else {
        return;
    };
    let mut scan = Scan::new(text, keyword.start, text.line_end(end).min(end + LINE));
    let name = word.split(' ').next().unwrap_or(word);
    let mut next = Some(first);
    for _ in 0..MOST {
        let Some(argument) = next else {
            return;
        };
        if argument.continued {
            scan.limit = text.line_end(argument.start).min(end + 2 * LINE);
        }
        // The same command follows. Its secrets are found from there.
        let shown = text.slice(argument.start..argument.after);
        let again = text.byte(argument.after) == Some(b' ')
            && shown
                .strip_suffix(name)
                .is_some_and(|path| !path.ends_with(is_word));
        if argument.start >= scan.limit || scan.ends(&argument) || again {
            return;
        }
        for place in command.places {
            if let Some(value) = scan.value(*place, &argument) {
                report(text, &value, *place, found);
                if matches!(place, Place::Share | Place::First | Place::Second) {
                    return;
                }
            }
        }
        scan.count(&argument);
        next = next_argument(text, argument.after);
    }
}

fn report(text: &Text<'_>, value: &Value, place: Place, found: &mut Found<'_>) {
    let shown = shown(text, &value.range);
    let style = match place {
        Place::Second => Style::Gap,
        _ if value.quoted => Style::Quoted,
        _ => Style::Tight,
    };
    // `-p 8080:80` publishes a port.
    let is_port = shown.contains([':', '/'])
        && shown
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'/'));
    let is_token = !matches!(place, Place::First) || looks_random_in(text, shown, 8);
    if is_token && !is_port && is_secret_in(text, Strength::Strong, style, shown) {
        found(&COMMAND, value.range.clone());
    }
}

fn sql(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let mut at = skip_blanks(text, keyword.end, 8);
    if text.slice(at..at + 9).eq_ignore_ascii_case("password ") {
        at = skip_blanks(text, at + 9, 8);
    }
    if at > keyword.end
        && text.byte(at) != Some(b'`')
        && let Some(value) = value_at(text, at, keyword.start)
    {
        let style = if value.quoted {
            Style::Quoted
        } else {
            Style::Gap
        };
        if is_secret_in(text, Strength::Strong, style, shown(text, &value.range)) {
            found(&COMMAND, value.range);
        }
    }
}
