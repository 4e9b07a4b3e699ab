//! Describes a plugin that calls the host's functions with arbitrary arguments. Its `configure`
//! succeeds, so that every such plugin receives an event.

use arbitrary::Arbitrary;
use std::fmt::Write as _;

/// A module with the names and types of the contract.
pub const SHAPE: &str = include_str!("shape.wat");

/// Functions of the contract: their names in the text, and their parameters.
const FUNCTIONS: [(&str, &[Takes]); 18] = {
    use Takes::{Choice, Event, Long, Place, Text};
    [
        ("header", &[Event, Place]),
        ("step", &[Event, Place]),
        ("attribute", &[Event, Text, Place]),
        ("set-attribute", &[Event, Text, Choice, Text, Place]),
        ("extensions", &[Event, Place]),
        ("data-json", &[Event, Place]),
        ("get", &[Event, Text, Place]),
        ("set", &[Event, Text, Choice, Text, Place]),
        ("label", &[Event, Text, Place]),
        ("annotation", &[Event, Text, Place]),
        ("log-size", &[Event]),
        ("log", &[Event, Place]),
        ("read-log", &[Event, Long, Choice, Place]),
        ("set-log", &[Event, Text, Place]),
        ("edit-log", &[Event, Text, Place]),
        ("redact", &[Event, Text, Choice, Place]),
        ("release", &[Event]),
        ("say", &[Choice, Text]),
    ]
};

#[derive(Clone, Copy)]
enum Takes {
    /// The handle of the event.
    Event,
    /// Address and length of a text.
    Text,
    /// A number, mostly a small one.
    Choice,
    /// A number of 64 bits.
    Long,
    /// The address for the result.
    Place,
}

/// Behaviour of a plugin.
#[derive(Arbitrary, Debug)]
pub struct Plan {
    texts: Vec<String>,
    rules: Vec<Rule>,
    values: Vec<String>,
    calls: Vec<Call>,
    /// Arbitrary bytes in the module's memory, which calls may pass as lists.
    memory: Vec<u8>,
    /// Result of `process`, if it is not `keep`.
    answer: Option<u32>,
}

#[derive(Arbitrary, Debug)]
struct Rule {
    id: String,
    pattern: Pattern,
    keywords: Vec<String>,
    replacement: Option<String>,
}

#[derive(Arbitrary, Debug)]
enum Pattern {
    Word,
    Key,
    Anything,
    Own(String),
}

#[derive(Arbitrary, Debug)]
struct Call {
    function: u8,
    texts: [TextArgument; 2],
    choice: Choice,
    long: u64,
    /// A handle that replaces the one that the plugin received.
    event: Option<u32>,
    /// An address that replaces the one reserved for the result.
    place: Option<u32>,
}

#[derive(Arbitrary, Debug)]
enum TextArgument {
    Known(u8),
    Own(u8),
    Memory { start: u16, length: u16 },
    Any { start: u32, length: u32 },
}

#[derive(Arbitrary, Debug)]
enum Choice {
    No,
    Yes,
    Any(u32),
}

/// Names and pointers that the host knows.
const KNOWN: [&str; 16] = [
    "own",
    "subject",
    "id",
    "pluginerror",
    "team",
    "/labels",
    "/labels/a~1b",
    "/stepState",
    "/stepState/name/x",
    "/log",
    "/step/script/0",
    "/taskRun",
    "{\"a\":[1,2,{\"b\":null}]}",
    "\"text\"",
    "password=hunter22 ghp_0123456789",
    "",
];

const MAX_RULES: usize = 4;

/// Address of the module's data; results and the host's allocations follow it.
const DATA: usize = 8 * 1024;
const ANSWERS: usize = 128 * 1024;

/// Data of a module that is being built.
#[derive(Default)]
struct Memory(Vec<u8>);

impl Memory {
    fn put(&mut self, bytes: &[u8]) -> (usize, usize) {
        while !self.0.len().is_multiple_of(8) {
            self.0.push(0);
        }
        let at = DATA + self.0.len();
        self.0.extend_from_slice(bytes);
        (at, bytes.len())
    }

    fn words(&mut self, words: &[usize]) -> usize {
        let words = words
            .iter()
            .map(|word| u32::try_from(*word).unwrap_or(u32::MAX));
        let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
        self.put(&bytes).0
    }

    fn text(&mut self, text: &str) -> [usize; 2] {
        let (at, length) = self.put(text.as_bytes());
        [at, length]
    }

    fn texts(&mut self, texts: &[String]) -> [usize; 2] {
        let texts = texts.get(..4).unwrap_or(texts);
        let places: Vec<_> = texts.iter().flat_map(|text| self.text(text)).collect();
        [self.words(&places), texts.len()]
    }
}

impl Plan {
    /// Returns the module as text.
    #[must_use]
    pub fn module(&self) -> String {
        let mut memory = Memory::default();
        let mut rules = Vec::new();
        for (index, rule) in self.rules.iter().take(MAX_RULES).enumerate() {
            let pattern = match &rule.pattern {
                Pattern::Word => r"\w+",
                Pattern::Key => r"password=(\S+)|ghp_[A-Za-z0-9]{10}",
                Pattern::Anything => "(?s).+",
                Pattern::Own(own) => own,
            };
            rules.extend(memory.text(&format!("{index}{}", rule.id)));
            rules.extend(memory.text(pattern));
            rules.extend(memory.texts(&rule.keywords));
            let [at, length] = memory.text(rule.replacement.as_deref().unwrap_or_default());
            rules.extend([usize::from(rule.replacement.is_some()), at, length]);
        }
        let set_name = memory.text("own");
        let mut set = set_name.to_vec();
        set.extend([memory.words(&rules), self.rules.len().min(MAX_RULES)]);
        // Shorter values are refused.
        let values: Vec<_> = self
            .values
            .iter()
            .map(|value| format!("hunter{value}"))
            .collect();
        set.extend(memory.texts(&values));
        let sets = usize::from(!self.rules.is_empty() || !self.values.is_empty());
        let mut setup = vec![0];
        setup.extend(memory.text("planned"));
        setup.extend(memory.text("1.0.0"));
        setup.extend([memory.words(&set), sets]);
        let setup = memory.words(&setup);

        let known: Vec<_> = KNOWN.iter().map(|text| memory.text(text)).collect();
        let own: Vec<_> = self
            .texts
            .iter()
            .take(8)
            .map(|text| memory.text(text))
            .collect();
        let (wild, _) = memory.put(self.memory.get(..4096).unwrap_or(&self.memory));
        let text = |argument: &TextArgument| -> [usize; 2] {
            let pick = |texts: &[[usize; 2]], number: u8| {
                let number = usize::from(number).checked_rem(texts.len());
                number
                    .and_then(|number| texts.get(number))
                    .copied()
                    .unwrap_or_default()
            };
            match argument {
                TextArgument::Known(number) => pick(&known, *number),
                TextArgument::Own(number) => pick(&own, *number),
                TextArgument::Memory { start, length } => {
                    // Aligned to 8 bytes, as lists must be.
                    [
                        wild + usize::from(start % 512) * 8,
                        usize::from(length % 256),
                    ]
                }
                TextArgument::Any { start, length } => [*start as usize, *length as usize],
            }
        };
        let mut calls = String::new();
        for call in self.calls.iter().take(24) {
            let index = usize::from(call.function) % FUNCTIONS.len();
            let Some((name, takes)) = FUNCTIONS.get(index) else {
                continue;
            };
            let mut texts = call.texts.iter().map(text);
            let mut arguments = String::new();
            for kind in *takes {
                match kind {
                    Takes::Event => match call.event {
                        None => arguments.push_str(" (local.get $event)"),
                        Some(event) => number(&mut arguments, event),
                    },
                    Takes::Text => {
                        for word in texts.next().unwrap_or_default() {
                            number(&mut arguments, word as u32);
                        }
                    }
                    Takes::Choice => number(
                        &mut arguments,
                        match call.choice {
                            Choice::No => 0,
                            Choice::Yes => 1,
                            Choice::Any(any) => any,
                        },
                    ),
                    Takes::Long => {
                        // Half of the numbers are below 512, so that some are near the end of the
                        // log.
                        let long = if call.long % 2 == 0 {
                            call.long % 512
                        } else {
                            call.long
                        };
                        write!(arguments, " (i64.const {})", long.cast_signed()).ok();
                    }
                    Takes::Place => number(&mut arguments, call.place.unwrap_or(ANSWERS as u32)),
                }
            }
            let called = format!("(call ${name}{arguments})");
            match *name {
                "log-size" => writeln!(calls, "(drop {called})").ok(),
                _ => writeln!(calls, "{called}").ok(),
            };
        }
        // Releases the event, as the contract requires, unless a call has released it.
        let released =
            self.calls.iter().take(24).any(|call| {
                usize::from(call.function) % FUNCTIONS.len() == 16 && call.event.is_none()
            });
        if !released {
            calls.push_str("(call $release (local.get $event))\n");
        }
        match self.answer {
            None => writeln!(
                calls,
                "(i32.store8 (i32.const {ANSWERS}) (i32.const 0))
                 (i32.store8 (i32.const {}) (i32.const 0)) (i32.const {ANSWERS})",
                ANSWERS + 4
            ),
            Some(answer) => writeln!(calls, "(i32.const {})", answer.cast_signed()),
        }
        .ok();

        let mut data = String::with_capacity(memory.0.len() * 3);
        for byte in &memory.0 {
            write!(data, "\\{byte:02x}").ok();
        }
        SHAPE
            .replace(
                "(unreachable) ;; configure",
                &format!("(i32.const {setup})"),
            )
            .replace("(unreachable) ;; process", &calls)
            .replace(
                "(; data ;)",
                &format!("(data (i32.const {DATA}) \"{data}\")"),
            )
    }
}

fn number(into: &mut String, number: u32) {
    write!(into, " (i32.const {})", number.cast_signed()).ok();
}
