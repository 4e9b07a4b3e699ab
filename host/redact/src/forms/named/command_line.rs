//! The arguments of a command line, and the secrets among them.

use super::command_table::Place;
use super::names::{Strength, judge};
use super::shape::{Style, is_secret_in};
use super::value::{self, Value, quote_at, shown, skip_blanks};
use super::words::looks_random_in;
use crate::text::Text;

/// Number of bytes of a command line that are read.
pub(super) const LINE: usize = 400;

/// An argument of a command.
pub(super) struct Argument {
    /// Its quotation mark, or its start.
    open: usize,
    /// Start, without its quotation mark.
    pub(super) start: usize,
    /// Whether it stands in quotation marks.
    quoted: bool,
    /// Whether the argument stands on the next line, after a backslash.
    pub(super) continued: bool,
    /// The place after it.
    pub(super) after: usize,
}

impl Argument {
    /// Returns true if the argument ends at `at`.
    fn ends_at(&self, text: &Text<'_>, at: usize) -> bool {
        at >= self.after
            || text.byte(at).is_none_or(|b| {
                b.is_ascii_whitespace() || self.quoted && matches!(b, b'"' | b'\'' | b'\\')
            })
    }
}

/// Returns the argument after a place. Returns `None` at the end of a command, or if no blank (or
/// comma of a list) stands before the argument.
pub(super) fn next_argument(text: &Text<'_>, at: usize) -> Option<Argument> {
    let mut start = at;
    // The quotation mark after the command in a list.
    if text.byte(start) == Some(b'"') && text.byte(start + 1) == Some(b',') {
        start += 1;
    }
    while start - at < 16 && matches!(text.byte(start), Some(b' ' | b'\t' | b',')) {
        start += 1;
    }
    if start == at {
        return None;
    }
    let continued = text.byte(start) == Some(b'\\') && text.byte(start + 1) == Some(b'\n');
    if continued {
        start = skip_blanks(text, start + 2, 40);
    }
    if text.byte(start).is_none_or(|b| b.is_ascii_whitespace()) {
        return None;
    }
    if let Some(value) = quote_at(text, start).and_then(|quote| value::quoted(text, quote)) {
        return Some(Argument {
            open: start,
            start: value.range.start,
            quoted: true,
            continued,
            after: value.after,
        });
    }
    let end = text.word_end(start).min(start + LINE);
    // A quotation mark within the argument: `-p'two words'`.
    let inner = text.slice(start..end).find(['"', '\'']);
    let value = inner
        .filter(|inner| *inner > 0)
        .and_then(|inner| quote_at(text, start + inner))
        .and_then(|quote| value::quoted(text, quote));
    Some(Argument {
        open: start,
        start,
        quoted: false,
        continued,
        after: value.map_or(end, |value| value.after).max(start + 1),
    })
}

/// The arguments of a command that were read.
pub(super) struct Scan<'s, 't> {
    text: &'s Text<'t>,
    /// Start of the command.
    start: usize,
    /// End of what is looked at.
    pub(super) limit: usize,
    /// Arguments so far that were no options.
    plain: usize,
    after_share: bool,
    /// How surely the last setting that was named holds a secret. `None` if there is no such
    /// setting.
    setting: Option<Strength>,
}

impl<'s, 't> Scan<'s, 't> {
    /// Begins with the arguments of the command at `start`.
    pub(super) fn new(text: &'s Text<'t>, start: usize, limit: usize) -> Self {
        Self {
            text,
            start,
            limit,
            plain: 0,
            after_share: false,
            setting: None,
        }
    }

    /// Returns true if a command ends before an argument.
    pub(super) fn ends(&self, argument: &Argument) -> bool {
        !argument.quoted
            && matches!(
                self.text.byte(argument.start),
                Some(b'|' | b';' | b'&' | b'<' | b'>' | b'#')
            )
    }

    fn is_option(&self, argument: &Argument) -> bool {
        self.text.byte(argument.start) == Some(b'-')
    }

    /// Remembers an argument.
    pub(super) fn count(&mut self, argument: &Argument) {
        let shown = self.text.slice(argument.start..argument.after);
        let is_switch = shown.starts_with('/') && !shown.starts_with("//");
        let is_share = ["\\\\", "//", "http://", "https://"];
        let is_share = is_share.iter().any(|start| shown.starts_with(start));
        self.after_share = is_share || self.after_share && is_switch;
        if !self.is_option(argument) {
            self.plain += 1;
            self.setting = if self.plain == 1 {
                Some(judge_setting(shown))
            } else {
                // `http-basic.host user password`.
                self.setting.filter(|setting| *setting == Strength::Strong)
            };
        }
    }

    /// Returns the secret of an argument, if the secret stands at `place`.
    pub(super) fn value(&self, place: Place, argument: &Argument) -> Option<Value> {
        let text = self.text;
        let at = argument.start;
        let is_option = self.is_option(argument);
        let after = |option: &str| (text.continues_with(at, option)).then_some(at + option.len());
        match place {
            Place::Option(option) => {
                let end = after(option)?;
                if argument.ends_at(text, end) {
                    return self.next(argument);
                }
                let rest = text.slice(end..text.word_end(end).min(end + 40));
                let rest = rest.trim_end_matches(['"', ',', ']']);
                // `-passin`, `-pfile` are other options.
                if option.len() == 2 && rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
                    return None;
                }
                let equals = usize::from(text.byte(end) == Some(b'='));
                self.part(end + equals, argument)
            }
            Place::Glued(option) => {
                let end = after(option).filter(|end| !argument.ends_at(text, *end))?;
                self.part(end, argument)
            }
            Place::Token(option) => {
                let value = self.value(Place::Option(option), argument)?;
                looks_random_in(text, shown(text, &value.range), 16).then_some(value)
            }
            Place::Drawn(option) => {
                let value = self.value(Place::Glued(option), argument)?;
                let shown = shown(text, &value.range);
                let is_word = shown.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
                (!is_word).then_some(value)
            }
            Place::Address => {
                let shown = text.slice(at..argument.after);
                let shown = shown.trim_end_matches(['"', '\'']);
                let start = shown.find(':').filter(|_| !shown.contains("//"))? + 1;
                let end = shown.rfind('@').filter(|end| *end > start)?;
                Some(Value {
                    range: at + start..at + end,
                    after: argument.after,
                    quoted: argument.quoted,
                })
            }
            Place::Apart(option) => {
                let end = after(option)?;
                match text.byte(end) {
                    Some(b'=') => self.part(end + 1, argument),
                    _ if argument.ends_at(text, end) => self.next(argument),
                    _ => None,
                }
            }
            Place::Last(letter) => {
                let options = text.slice(at..text.word_end(at).min(at + 8));
                let letters = options.strip_prefix('-')?;
                let is_last = letters.len() > 1
                    && letters.bytes().next_back() == Some(letter)
                    && letters.bytes().all(|b| b.is_ascii_alphabetic());
                is_last.then(|| self.next(argument)).flatten()
            }
            Place::Prefix(prefix) => self.part(after(prefix)?, argument),
            Place::User(option, sign) => {
                let end = after(option)?;
                let pair = if argument.ends_at(text, end) && !option.contains(' ') {
                    let next = next_argument(text, argument.after)?;
                    next.start..next.after - usize::from(next.quoted)
                } else {
                    // Also within an argument: `-e 'open -u user,VALUE host'`.
                    let start = skip_blanks(text, end, 4);
                    start..text.word_end(start).min(argument.after)
                };
                let shown = text.slice(pair.clone());
                let shown = shown.trim_end_matches([';', '"', '\'']);
                let user = shown.find(char::from(sign)).filter(|user| *user <= 100)?;
                Some(Value {
                    range: pair.start + user + 1..pair.start + shown.len(),
                    after: argument.after,
                    quoted: true,
                })
            }
            // `token=value` is an assignment.
            Place::First => {
                (self.plain == 0 && !is_option && !text.slice(at..at + 8).contains('='))
                    .then(|| self.whole(argument))
                    .flatten()
            }
            Place::Text => (self.plain == 0 && argument.quoted)
                .then(|| self.whole(argument))
                .flatten(),
            Place::Second => (self.plain == 1 && !is_option)
                .then(|| self.whole(argument))
                .flatten(),
            Place::Share => {
                let is_value = self.after_share && !is_option;
                let is_switch = text.byte(at) == Some(b'/') || text.byte(at) == Some(b'*');
                (is_value && !is_switch)
                    .then(|| self.whole(argument))
                    .flatten()
            }
            Place::Setting => {
                let strength = self.setting?;
                let value = (!is_option).then(|| self.whole(argument)).flatten()?;
                let shown = shown(text, &value.range);
                if let Some((user, password)) = shown.split_once(':')
                    && strength != Strength::Strong
                {
                    let is_user = !user.is_empty() && !user.contains(['/', '.', '$']);
                    return (is_user && looks_random_in(text, password, 6)).then(|| Value {
                        range: value.range.start + user.len() + 1..value.range.end,
                        ..value
                    });
                }
                let is_secret = match strength {
                    Strength::Strong => self.plain == 2,
                    strength => is_secret_in(text, strength, Style::Tight, shown),
                };
                is_secret.then_some(value)
            }
            Place::Pairs => (self.plain > 0 && !is_option)
                .then(|| self.pair(at, argument))
                .flatten(),
            Place::Pair(option) => {
                let end = after(option)?;
                match text.byte(end) {
                    Some(b'=') => self.pair(end + 1, argument),
                    _ => self.pair(next_argument(text, argument.after)?.start, argument),
                }
            }
        }
    }

    /// Returns the value of the next argument.
    fn next(&self, argument: &Argument) -> Option<Value> {
        let next = next_argument(self.text, argument.after)?;
        let is_option = !next.quoted && self.text.byte(next.start) == Some(b'-');
        (!is_option && next.start < self.limit + LINE && !self.ends(&next))
            .then(|| self.whole(&next))
            .flatten()
    }

    /// Returns the value of a whole argument.
    fn whole(&self, argument: &Argument) -> Option<Value> {
        value_at(self.text, argument.open, self.start).filter(|value| !value.range.is_empty())
    }

    /// Returns the value that begins at `at` within an argument.
    fn part(&self, at: usize, argument: &Argument) -> Option<Value> {
        let mut value = value_at(self.text, at, self.start)?;
        if argument.quoted && !value.quoted {
            // The value goes up to the quotation mark that closes the argument.
            let end = argument.after.saturating_sub(1).max(at);
            let shown = self.text.slice(at..end).trim_end_matches('\\');
            value = Value {
                range: at..at + shown.len(),
                after: argument.after,
                quoted: true,
            };
        }
        Some(value)
    }

    /// Returns the value of `name=value` at `at`.
    fn pair(&self, at: usize, argument: &Argument) -> Option<Value> {
        let quote = quote_at(self.text, at);
        let start = quote.map_or(at, |quote| quote.content);
        let sign = self
            .text
            .find(b'=', start)
            .filter(|sign| *sign < start + 100)?;
        let name = self.text.slice(start..sign);
        let is_name = |c: char| c.is_ascii_alphanumeric() || " ._-/".contains(c);
        if name.is_empty() || !name.chars().all(is_name) {
            return None;
        }
        let value = match quote.and_then(|quote| value::quoted(self.text, quote)) {
            Some(whole) if sign < whole.range.end => Value {
                range: sign + 1..whole.range.end,
                ..whole
            },
            _ => self.part(sign + 1, argument)?,
        };
        let shown = shown(self.text, &value.range);
        let is_random = || {
            shown
                .split(' ')
                .any(|word| looks_random_in(self.text, word, 8))
        };
        let is_secret = !is_public(name) || is_random();
        (is_secret && !shown.starts_with(['@', '-'])).then_some(value)
    }
}

/// Returns how surely the setting of a program holds a secret. `Strong` means that its second value
/// is the secret.
fn judge_setting(name: &str) -> Strength {
    let name = name.trim_matches(['"', '\'']);
    if name.starts_with("http-basic.") {
        return Strength::Strong;
    }
    if name.contains("oauth.") || name.contains("token.") || name.ends_with("_auth") {
        return Strength::Weak;
    }
    match judge(name.rsplit([':', '/']).next().unwrap_or(name)) {
        Strength::Strong => Strength::Medium,
        strength => strength,
    }
}

/// Returns true for names whose values are no secrets.
fn is_public(name: &str) -> bool {
    let last = name.rsplit(['.', '_', '-', '/']).next().unwrap_or(name);
    [
        "user",
        "username",
        "login",
        "host",
        "hostname",
        "port",
        "database",
        "dbname",
        "url",
        "endpoint",
        "region",
        "name",
        "email",
        "type",
        "id",
        "ttl",
        "policies",
        "path",
        "role",
        "method",
        "driver",
        "namespace",
        "server",
        "address",
    ]
    .iter()
    .any(|public| public.eq_ignore_ascii_case(last))
}

pub(super) fn value_at(text: &Text<'_>, at: usize, name: usize) -> Option<Value> {
    match quote_at(text, at) {
        Some(quote) => value::quoted(text, quote),
        None => value::unquoted(text, at, name),
    }
}
