//! Rules in full form that a configuration declares.

use crate::Exhausted;
use crate::engine::Hit;
use crate::kind;
use crate::meter::{self, Work};
use crate::options::FullRule;
use crate::pattern::{Pattern, PatternError};
use crate::text::Text;
use std::ops::Range;

/// Longest pattern in bytes.
const MAX_PATTERN_BYTES: usize = 4096;
/// Size in bytes above which a compiled pattern counts as large. Most patterns are smaller.
const ORDINARY_COMPILED_BYTES: usize = 128 * 1024;
/// Largest compiled pattern in bytes.
const MAX_COMPILED_BYTES: usize = 1024 * 1024;
/// Memory for the lazy automaton of one pattern and one thread, in bytes.
const MAX_AUTOMATON_BYTES: usize = 256 * 1024;
/// Longest replacement in bytes.
const MAX_REPLACEMENT_BYTES: usize = 256;
/// Maximum number of keywords, of allowed patterns, and of allowed words of a rule.
const MAX_LIST_ENTRIES: usize = 256;
/// Largest entropy that a text can have, in bits per byte.
const MAX_ENTROPY: f32 = 8.0;
/// Distance around a keyword in which a match of a pattern of unbounded length is searched, in
/// bytes. A longer match is masked up to this distance.
const UNBOUNDED_REACH: usize = 4096;
/// Largest distance around a keyword in which a match of bounded length is searched, in bytes.
const MAX_REACH: usize = 8192;

/// An own rule that is ready to search.
#[derive(Debug)]
pub(crate) struct OwnRule {
    pub(crate) rule: usize,
    /// True if the rule has no keywords: it is searched everywhere.
    pub(crate) always: bool,
    pattern: Pattern,
    reach: usize,
    min_length: usize,
    min_entropy: f32,
    allow: Vec<Pattern>,
    allow_words: Vec<String>,
    /// Number of its patterns that are large.
    pub(crate) large: usize,
}

impl OwnRule {
    /// Compiles a rule. `rule` is the position of its id.
    ///
    /// # Errors
    ///
    /// The message names the rule and the reason. It never quotes a pattern, which may contain a
    /// secret.
    pub(crate) fn new(own: &FullRule, rule: usize) -> Result<Self, String> {
        let refuse = |reason: String| format!("rule `{}`: {reason}", own.id);
        if own.id.is_empty()
            || own.id.len() > 64
            || own.id.chars().any(|c| c.is_control() || c == ']')
        {
            return Err(format!(
                "rule {rule}: its id must have 1 to 64 characters, without `]` and control characters"
            ));
        }
        let lists = [own.keywords.len(), own.allow.len(), own.allow_words.len()];
        if lists.into_iter().any(|length| length > MAX_LIST_ENTRIES) {
            return Err(refuse(format!(
                "a list has more than {MAX_LIST_ENTRIES} entries"
            )));
        }
        if own
            .keywords
            .iter()
            .any(|word| word.is_empty() || word.len() > 256)
        {
            return Err(refuse("a keyword must have 1 to 256 bytes".to_owned()));
        }
        if own.allow_words.iter().any(String::is_empty) {
            return Err(refuse(
                "an allowed word is empty: it would allow everything".to_owned(),
            ));
        }
        if own
            .replacement
            .as_ref()
            .is_some_and(|text| text.len() > MAX_REPLACEMENT_BYTES)
        {
            return Err(refuse(format!(
                "the replacement is longer than {MAX_REPLACEMENT_BYTES} bytes"
            )));
        }
        if !(0.0..=MAX_ENTROPY).contains(&own.min_entropy) {
            return Err(refuse(format!(
                "its least entropy must be between 0 and {MAX_ENTROPY} bits per character"
            )));
        }
        let mut large = 0;
        let mut compile = |pattern: &str| {
            let (pattern, is_large) = compile(pattern)?;
            large += usize::from(is_large);
            Ok::<_, String>(pattern)
        };
        let pattern = compile(&own.pattern).map_err(refuse)?;
        if pattern.is_match("", &mut meter::until(None)) != Ok(false) {
            return Err(refuse("the pattern matches the empty text".to_owned()));
        }
        let allow = own.allow.iter().enumerate().map(|(index, pattern)| {
            compile(pattern).map_err(|reason| refuse(format!("allow[{index}]: {reason}")))
        });
        let allow = allow.collect::<Result<_, _>>()?;
        Ok(Self {
            rule,
            always: own.keywords.is_empty(),
            reach: pattern
                .longest()
                .map_or(UNBOUNDED_REACH, |longest| longest.min(MAX_REACH)),
            pattern,
            min_length: own.min_length,
            min_entropy: own.min_entropy,
            allow,
            allow_words: own
                .allow_words
                .iter()
                .map(|word| word.to_ascii_lowercase())
                .collect(),
            large,
        })
    }

    /// Searches around `places`, which are sorted. They are keywords, or a whole part of a text.
    ///
    /// # Errors
    ///
    /// The search may not go on.
    pub(crate) fn search(
        &self,
        text: &Text<'_>,
        places: &[Range<usize>],
        work: &mut dyn Work,
        hits: &mut Vec<Hit>,
    ) -> Result<(), Exhausted> {
        let mut window: Option<Range<usize>> = None;
        for place in places {
            let start = place.start.saturating_sub(self.reach);
            let end = place.end.saturating_add(self.reach).min(text.len());
            match &mut window {
                Some(open) if start <= open.end => open.end = open.end.max(end),
                open => {
                    if let Some(done) = open.replace(start..end) {
                        self.search_window(text, done, work, hits)?;
                    }
                }
            }
        }
        match window {
            Some(last) => self.search_window(text, last, work, hits),
            None => Ok(()),
        }
    }

    fn search_window(
        &self,
        text: &Text<'_>,
        window: Range<usize>,
        work: &mut dyn Work,
        hits: &mut Vec<Hit>,
    ) -> Result<(), Exhausted> {
        let start = text.as_str().floor_char_boundary(window.start);
        let end = text.as_str().ceil_char_boundary(window.end.min(text.len()));
        // The text after the window is hidden, but the text before it is visible to `\b`.
        let visible = text.as_str().get(..end).unwrap_or_default();
        let mut secrets = Vec::new();
        self.pattern.find_each(visible, start, work, |found| {
            secrets.push(found.secret);
            Ok(())
        })?;
        for range in secrets {
            if self.is_secret(text.slice(range.clone()), work)? {
                hits.push(Hit {
                    range,
                    rule: self.rule,
                });
            }
        }
        Ok(())
    }

    fn is_secret(&self, secret: &str, work: &mut dyn Work) -> Result<bool, Exhausted> {
        if secret.len() < self.min_length.max(1)
            || self.min_entropy > 0.0 && kind::entropy(secret) < self.min_entropy
        {
            return Ok(false);
        }
        for allowed in &self.allow {
            if allowed.is_match(secret, work)? {
                return Ok(false);
            }
        }
        let lower = secret.to_ascii_lowercase();
        let mut words = self.allow_words.iter();
        Ok(!words.any(|word| lower.contains(word.as_str())))
    }
}

/// Compiles a pattern. Returns true with it if it is large.
fn compile(pattern: &str) -> Result<(Pattern, bool), String> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(format!(
            "the pattern is longer than {MAX_PATTERN_BYTES} bytes"
        ));
    }
    let build = |size| Pattern::new(pattern, size, MAX_AUTOMATON_BYTES);
    let (compiled, is_large) = match build(ORDINARY_COMPILED_BYTES) {
        Err(PatternError::TooLarge(_)) => (build(MAX_COMPILED_BYTES), true),
        compiled => (compiled, false),
    };
    let compiled = compiled.map_err(|error| error.to_string())?;
    Ok((compiled, is_large))
}

#[cfg(test)]
mod tests {
    use crate::meter::Meter;
    use crate::text::Text;
    use crate::{Engine, Exhausted, FullRule, Options, Replacement, testing};

    fn mask(options: &Options, text: &str) -> String {
        testing::mask(&Engine::new(options).unwrap(), text)
    }

    /// Only own rules, nothing of the catalogue.
    fn only(rule: FullRule) -> Options {
        Options {
            only: vec!["none".to_owned()],
            forms: false,
            rules: vec![rule],
            ..Options::default()
        }
    }

    fn rule(pattern: &str, keywords: &[&str]) -> FullRule {
        FullRule {
            id: "own".to_owned(),
            pattern: pattern.to_owned(),
            keywords: keywords.iter().map(|word| (*word).to_owned()).collect(),
            ..FullRule::default()
        }
    }

    #[test]
    fn a_rule_is_searched_around_its_keywords_and_without_them_everywhere() {
        let text = "ticket-17 and TICKET-18, secret-19";
        let with = only(rule("[a-z]+-(?P<secret>[0-9]+)", &["Ticket"]));
        assert_eq!(
            mask(&with, text),
            "ticket-[redacted:own] and TICKET-18, secret-[redacted:own]"
        );
        let far = format!("ticket-17{}secret-19", " ".repeat(10_000));
        assert!(mask(&with, &far).ends_with("secret-19"));
        let without = only(rule("[a-z]+-(?P<secret>[0-9]+)", &[]));
        assert!(mask(&without, &far).ends_with("secret-[redacted:own]"));
    }

    #[test]
    fn a_search_may_end_within_a_window() {
        let text = "abbabaab".repeat(256 * 1024);
        let text = Text::new(&text);
        let scan = |rule: FullRule, questions: usize| {
            let engine = Engine::new(&only(rule)).unwrap();
            let mut asked = 0;
            let mut work = Meter::new(|| {
                asked += 1;
                asked <= questions
            });
            let scanned = engine.scan(&text, 0..text.len(), &mut work, &mut Vec::new());
            (scanned, asked)
        };
        let all = rule("[ab]+", &[]);
        let (scanned, asked) = scan(all.clone(), usize::MAX);
        assert!(scanned.is_ok() && asked > 2, "{asked} questions");
        assert_eq!(scan(all.clone(), 1), (Err(Exhausted), 2));
        // An allowed pattern is a search, too.
        let allowing = FullRule {
            allow: vec!["[ab]*c".to_owned()],
            ..all
        };
        assert_eq!(scan(allowing, asked), (Err(Exhausted), asked + 1));
    }

    #[test]
    fn length_entropy_and_allow_lists_decide() {
        let text = "k-aaaaaaaa k-x7Qp2Lm9 k-test7Qp2 k-x7";
        let secrets = FullRule {
            min_length: 4,
            min_entropy: 2.5,
            allow: vec!["^x7Qp2$".to_owned()],
            allow_words: vec!["TEST".to_owned()],
            ..rule("k-(?P<secret>[A-Za-z0-9]+)", &["k-"])
        };
        assert_eq!(
            mask(&only(secrets), text),
            "k-aaaaaaaa k-[redacted:own] k-test7Qp2 k-x7"
        );
    }

    #[test]
    fn replacements_are_a_rule_a_text_or_a_token_that_is_equal_for_equal_secrets() {
        let mut options = only(rule("id-[0-9]+", &["id-"]));
        options.replacement = Replacement::Text("***".to_owned());
        assert_eq!(mask(&options, "id-1 id-2"), "*** ***");
        options.replacement = Replacement::Token("key".to_owned());
        let masked = mask(&options, "id-1 id-2 id-1");
        let words: Vec<_> = masked.split(' ').collect();
        assert_eq!(words[0], words[2]);
        assert_ne!(words[0], words[1]);
        let digits = words[0]
            .strip_prefix("[redacted:own:")
            .unwrap()
            .strip_suffix(']')
            .unwrap();
        assert!(
            digits.len() == 10 && digits.bytes().all(|b| b.is_ascii_hexdigit()),
            "{masked}"
        );
        options.replacement = Replacement::Token("other".to_owned());
        assert_ne!(mask(&options, "id-1"), words[0]);
        options.rules[0].replacement = Some("<own>".to_owned());
        assert_eq!(mask(&options, "id-1"), "<own>");
    }

    #[test]
    fn rules_that_cannot_work_are_refused_by_name_and_without_their_pattern() {
        for (wrong, reason) in [
            (rule("hunter2(", &[]), "rule `own`: unclosed group"),
            (rule("x*", &[]), "matches the empty text"),
            (rule(&"x".repeat(5000), &[]), "longer than 4096"),
            (rule("x", &[""]), "a keyword must have"),
            (
                FullRule {
                    allow: vec!["hunter2(".to_owned()],
                    ..rule("x", &[])
                },
                "allow[0]: unclosed group",
            ),
            (
                FullRule {
                    allow_words: vec![String::new()],
                    ..rule("x", &[])
                },
                "an allowed word is empty",
            ),
            (
                FullRule {
                    min_entropy: f32::NAN,
                    ..rule("x", &[])
                },
                "between 0 and 8",
            ),
            (
                FullRule {
                    id: "a]b".to_owned(),
                    ..rule("x", &[])
                },
                "its id must have",
            ),
        ] {
            let error = Engine::new(&only(wrong)).unwrap_err();
            assert!(
                error.contains(reason) && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
