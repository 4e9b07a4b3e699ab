//! Commands whose short options and arguments are secrets: `docker login -p`, `mysql -pPW`,
//! `vault login TOKEN`, `CREATE USER … IDENTIFIED BY 'PW'`.

use super::names::Strength;
use super::shape::{Style, is_secret};
use super::value::{self, Value, quote_at, shown, skip_blanks};
use super::words::looks_random;
use super::{Detector, Form, Found};
use crate::text::Text;
use std::ops::Range;

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

/// A command.
struct Command {
    /// Its words in lower case.
    words: &'static [&'static str],
    /// Options before the secret.
    options: &'static [&'static str],
    /// How the secret follows.
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the next word, or directly after the option.
    Next,
    /// Directly after the option only.
    Glued,
    /// It is the first argument.
    First,
}

/// Commands, by the manual of each.
static COMMANDS: &[Command] = &[
    Command {
        words: &[
            "docker login",
            "podman login",
            "buildah login",
            "nerdctl login",
            "skopeo login",
            "registry login",
            "auth login",
            "oras login",
            "cosign login",
            "regctl login",
            "az login",
            "acr login",
            "oc login",
            "cf login",
            "ibmcloud login",
            "twine upload",
            "sshpass",
            "mongosh",
            "mongodump",
            "mongorestore",
            "mongoimport",
            "unlock-keychain",
            "rabbitmqadmin",
            "altool",
            "cloudctl login",
        ],
        options: &["-p"],
        place: Place::Next,
    },
    Command {
        words: &["sqlcmd", "ipmitool", "unzip", "zip"],
        options: &["-P"],
        place: Place::Next,
    },
    Command {
        words: &["redis-cli"],
        options: &["-a"],
        place: Place::Next,
    },
    Command {
        words: &["openssl"],
        options: &["-k", "-K"],
        place: Place::Next,
    },
    Command {
        words: &[
            "ldapsearch",
            "ldapadd",
            "ldapmodify",
            "ldapwhoami",
            "ldapdelete",
            "ldappasswd",
        ],
        options: &["-w", "-s"],
        place: Place::Next,
    },
    Command {
        words: &["nuget push"],
        options: &["-k"],
        place: Place::Next,
    },
    Command {
        words: &["doctl auth init"],
        options: &["-t"],
        place: Place::Next,
    },
    Command {
        words: &[
            "mysql",
            "mysqldump",
            "mysqladmin",
            "mysqlimport",
            "mariadb",
            "mariadb-dump",
            "7z",
            "7za",
        ],
        options: &["-p"],
        place: Place::Glued,
    },
    Command {
        words: &[
            "vault login",
            "snyk auth",
            "cargo login",
            "ngrok authtoken",
            "add-authtoken",
            "rclone obscure",
            "infracost configure set api_key",
            "setapikey",
            "npm token revoke",
        ],
        options: &[],
        place: Place::First,
    },
];

/// Searches for commands.
pub(super) const DETECTOR: Detector = Detector {
    keywords: &[
        "docker login",
        "podman login",
        "buildah login",
        "nerdctl login",
        "skopeo login",
        "registry login",
        "auth login",
        "oras login",
        "cosign login",
        "regctl login",
        "az login",
        "acr login",
        "oc login",
        "cf login",
        "ibmcloud login",
        "twine upload",
        "sshpass",
        "mongosh",
        "mongodump",
        "mongorestore",
        "mongoimport",
        "unlock-keychain",
        "rabbitmqadmin",
        "altool",
        "cloudctl login",
        "sqlcmd",
        "ipmitool",
        "unzip",
        "zip -",
        "redis-cli",
        "openssl",
        "ldapsearch",
        "ldapadd",
        "ldapmodify",
        "ldapwhoami",
        "ldapdelete",
        "ldappasswd",
        "nuget push",
        "doctl auth init",
        "mysql",
        "mysqldump",
        "mysqladmin",
        "mysqlimport",
        "mariadb",
        "mariadb-dump",
        "7z ",
        "7za ",
        "vault login",
        "snyk auth",
        "cargo login",
        "ngrok authtoken",
        "add-authtoken",
        "rclone obscure",
        "infracost configure set api_key",
        "setapikey",
    ],
    detect: command,
};

/// Searches for SQL.
pub(super) const SQL: Detector = Detector {
    keywords: &["identified by"],
    detect: sql,
};

/// Bytes of a command line that are looked at.
const LINE: usize = 300;

fn command(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    if text
        .byte_before(keyword.start)
        .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
    {
        return;
    }
    let word = text.slice(keyword.clone());
    let word = word.trim_end_matches(['-', ' ']);
    let end = keyword.start + word.len();
    if text.byte(end) != Some(b' ') {
        return;
    }
    let known = COMMANDS.iter().find(|command| {
        command
            .words
            .iter()
            .any(|known| known.eq_ignore_ascii_case(word))
    });
    let Some(command) = known else {
        return;
    };
    let limit = text.line_end(end).min(end + LINE);
    let mut at = skip_blanks(text, end, 8);
    let mut plain = 0;
    let mut words = 0;
    while at < limit && plain < 4 && words < 16 {
        words += 1;
        let first = text.byte(at);
        if matches!(first, Some(b'|' | b';' | b'&')) {
            return;
        }
        if command.place == Place::First {
            if first != Some(b'-') {
                let value = value_at(text, at, keyword.start);
                if let Some(value) = value
                    && looks_random(shown(text, &value.range), 8)
                {
                    report(text, &value, found);
                }
                return;
            }
            at = skip_blanks(text, text.word_end(at), 8);
            continue;
        }
        plain = if first == Some(b'-') { 0 } else { plain + 1 };
        let option = command
            .options
            .iter()
            .find(|option| text.continues_with(at, option));
        if let Some(option) = option {
            let after = at + option.len();
            let next = skip_blanks(text, after, 8);
            let glued = text.byte(after).is_some_and(|b| !b.is_ascii_whitespace());
            let value = if glued {
                let equals =
                    usize::from(text.byte(after) == Some(b'=') && command.place == Place::Next);
                value_at(text, after + equals, keyword.start)
            } else if command.place == Place::Next && text.byte(next) != Some(b'-') {
                value_at(text, next, keyword.start)
            } else {
                None
            };
            // `-passin`, `-pfile` are other options.
            let is_option = glued && option.len() == 2 && command.place == Place::Next && {
                let rest = text.slice(at + 2..text.word_end(at));
                rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
            };
            // The first is the only one.
            if let Some(value) = value.filter(|_| !is_option) {
                report(text, &value, found);
                return;
            }
        }
        let end = match quote_at(text, at).and_then(|quote| value::quoted(text, quote)) {
            Some(value) => value.after,
            None => text.word_end(at),
        };
        at = skip_blanks(text, end.max(at + 1), 8);
    }
}

fn value_at(text: &Text<'_>, at: usize, name: usize) -> Option<Value> {
    match quote_at(text, at) {
        Some(quote) => value::quoted(text, quote),
        None => value::unquoted(text, at, name),
    }
}

fn report(text: &Text<'_>, value: &Value, found: &mut Found<'_>) {
    let style = if value.quoted {
        Style::Quoted
    } else {
        Style::Tight
    };
    if is_secret(Strength::Strong, style, shown(text, &value.range)) {
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
        if is_secret(Strength::Strong, style, shown(text, &value.range)) {
            found(&COMMAND, value.range);
        }
    }
}
