//! The interface by which a plugin selects masks of the host's catalogue.
use serde_json::json;
use step_observer::plugin::{
    Chain, PluginEngine, PluginSource, PluginSpec, SetSummary, sample_event,
};

use step_observer_tests::plugins::{load, process, refusal};

/// A mask set with one own rule, in the memory of a plugin.
#[derive(Clone)]
struct MaskSet {
    name: &'static str,
    without: Vec<String>,
    only: Option<Vec<String>>,
    rule: (&'static str, &'static str),
    min_entropy: f32,
    values: Vec<String>,
    /// Case of the contract's variant, and its text.
    replacement: (u32, &'static str),
}

/// A set that masks only words such as `ticket-7x2`.
fn tickets() -> MaskSet {
    MaskSet {
        name: "ours",
        without: Vec::new(),
        only: Some(Vec::new()),
        rule: ("ticket", "ticket-(?P<secret>[0-9a-z]+)"),
        min_entropy: 1.0,
        values: Vec::new(),
        replacement: (0, ""),
    }
}

/// Memory of a plugin in the layout of the component model.
struct Memory {
    bytes: Vec<u8>,
}

/// Address at which the memory begins.
const BASE: usize = 8192;

impl Memory {
    fn place(&mut self, bytes: &[u8]) -> u32 {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let at = BASE + self.bytes.len();
        self.bytes.extend(bytes);
        u32::try_from(at).unwrap()
    }

    fn text(&mut self, text: &str) -> [u32; 2] {
        [
            self.place(text.as_bytes()),
            u32::try_from(text.len()).unwrap(),
        ]
    }

    fn words(&mut self, words: &[u32]) -> u32 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.place(&bytes)
    }

    fn texts(&mut self, texts: &[String]) -> [u32; 2] {
        let all: Vec<u32> = texts.iter().flat_map(|text| self.text(text)).collect();
        [self.words(&all), u32::try_from(texts.len()).unwrap()]
    }

    /// Places a set. Returns its words.
    fn set(&mut self, set: &MaskSet) -> Vec<u32> {
        let (id, pattern) = set.rule;
        let mut rule = [self.text(id), self.text(pattern), [0, 0]].concat();
        // Least length and entropy, two allow lists, and no replacement.
        rule.extend([4, set.min_entropy.to_bits(), 0, 0, 0, 0, 0, 0, 0]);
        let rule = self.words(&rule);
        let mut words = [self.text(set.name), self.texts(&set.without)].concat();
        match &set.only {
            Some(only) => {
                words.push(1);
                words.extend(self.texts(only));
            }
            None => words.extend([0, 0, 0]),
        }
        words.extend([rule, 1]);
        words.extend(self.texts(&set.values));
        let (case, text) = set.replacement;
        words.push(case);
        words.extend(self.text(text));
        words
    }
}

/// A plugin of 0.1.1 whose `mask-sets` gives these sets, or refuses. It masks every event with the
/// set `ours`.
fn redactor(sets: Result<&[MaskSet], &str>) -> PluginSpec {
    let mut memory = Memory { bytes: Vec::new() };
    let answer = match sets {
        Ok(sets) => {
            let all: Vec<u32> = sets.iter().flat_map(|set| memory.set(set)).collect();
            [0, memory.words(&all), u32::try_from(sets.len()).unwrap()]
        }
        Err(reason) => {
            let [at, length] = memory.text(reason);
            [1, at, length]
        }
    };
    let answer = memory.words(&answer);
    let data: String = memory
        .bytes
        .iter()
        .map(|byte| format!("\\{byte:02x}"))
        .collect();
    let module = format!(
        r#"(module
  (import "step-observer:plugin/events@0.1.1" "[method]event.redact"
    (func $redact (param i32 i32 i32 i32 i32)))
  (import "step-observer:plugin/events@0.1.1" "[resource-drop]event" (func $release (param i32)))
  (memory (export "memory") 2)
  (data (i32.const 16) "redactor0.0.1ours")
  (data (i32.const {BASE}) "{data}")
  (global $top (mut i32) (i32.const 65536))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $place i32)
    (local.set $place (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
    (global.set $top (i32.add (local.get $place) (local.get 3)))
    (local.get $place))
  (func (export "step-observer:plugin/transform@0.1.1#configure") (param i32 i32) (result i32)
    (i32.store (i32.const 1028) (i32.const 16)) (i32.store (i32.const 1032) (i32.const 8))
    (i32.store (i32.const 1036) (i32.const 24)) (i32.store (i32.const 1040) (i32.const 5))
    (i32.const 1024))
  (func (export "step-observer:plugin/masking@0.1.1#mask-sets") (result i32)
    (i32.const {answer}))
  (func (export "step-observer:plugin/transform@0.1.1#process") (param $event i32) (result i32)
    (call $redact (local.get $event) (i32.const 29) (i32.const 4) (i32.const 1) (i32.const 3072))
    (call $release (local.get $event))
    ;; The verdict `keep`, or the error "ours" if the redaction is refused.
    (i32.store8 (i32.const 2048) (i32.load8_u (i32.const 3072)))
    (if (i32.load8_u (i32.const 3072)) (then
      (i32.store (i32.const 2052) (i32.const 29)) (i32.store (i32.const 2056) (i32.const 4))))
    (i32.const 2048)))"#
    );
    PluginSpec::new("redactor", PluginSource::bytes(module.into_bytes()))
}

fn log_after(sets: &[MaskSet], log: &str) -> String {
    let chain = load(&[redactor(Ok(sets))]).unwrap();
    let mut event = sample_event();
    event["data"]["log"] = json!(log);
    let processed = process(&chain, &event);
    processed["data"]["log"].as_str().unwrap().to_owned()
}

#[test]
fn a_plugin_masks_with_the_sets_that_it_selects() {
    let log = "ticket-7x2w ticket-aaaa ticket-7x";
    assert_eq!(
        log_after(&[tickets()], log),
        "ticket-[redacted:ticket] ticket-aaaa ticket-7x"
    );
    let fixed = MaskSet {
        replacement: (1, "***"),
        ..tickets()
    };
    assert_eq!(log_after(&[fixed], log), "ticket-*** ticket-aaaa ticket-7x");
    let token = MaskSet {
        replacement: (2, "a key of sixteen bytes"),
        ..tickets()
    };
    let masked = log_after(&[token], log);
    assert!(masked.starts_with("ticket-[redacted:ticket:"), "{masked}");
}

#[test]
fn a_set_is_described_without_its_values() {
    let value = "a-known-value";
    let set = MaskSet {
        values: vec![value.to_owned()],
        replacement: (2, "a key of sixteen bytes"),
        ..tickets()
    };
    let chain = load(&[redactor(Ok(&[set]))]).unwrap();
    let expected = SetSummary {
        name: "ours".to_owned(),
        catalogue: Some(0),
        rules: vec!["ticket".to_owned()],
        values: 1,
        replacement: Some("token"),
    };
    assert_eq!(chain.plugins()[0].sets(), [expected]);
    assert!(chain.plugins()[0].redacts());
    let shown = format!("{chain:?}{:?}", chain.plugins()[0].sets());
    assert!(
        !shown.contains(value) && !shown.contains("sixteen"),
        "{shown}"
    );
}

#[test]
fn a_set_that_cannot_work_is_refused_with_the_place_of_the_mistake() {
    let unknown = |list: &str| format!("{list}[1]: there is no rule `no-such-rule`");
    let ids = || vec!["github-token".to_owned(), "no-such-rule".to_owned()];
    let mistakes = [
        (
            MaskSet {
                without: ids(),
                only: None,
                ..tickets()
            },
            unknown("without"),
        ),
        (
            MaskSet {
                only: Some(ids()),
                ..tickets()
            },
            unknown("only"),
        ),
        (
            MaskSet {
                rule: ("ticket", "("),
                ..tickets()
            },
            "rule `ticket`: unclosed group".to_owned(),
        ),
        (
            MaskSet {
                min_entropy: f32::NAN,
                ..tickets()
            },
            "between 0 and 8 bits".to_owned(),
        ),
        (
            MaskSet {
                values: vec!["long enough".to_owned(), "abc".to_owned()],
                ..tickets()
            },
            "value 1 is shorter than 4 bytes".to_owned(),
        ),
        (
            MaskSet {
                replacement: (2, "short"),
                ..tickets()
            },
            "replacement: the key has 5 bytes".to_owned(),
        ),
    ];
    for (set, expected) in mistakes {
        let refused = refusal(&redactor(Ok(&[set])));
        assert!(
            refused.contains("mask set `ours`") && refused.contains(&expected),
            "{refused}"
        );
    }
    let twice = refusal(&redactor(Ok(&[tickets(), tickets()])));
    assert!(twice.contains("two sets with the name `ours`"), "{twice}");
    let many = refusal(&redactor(Ok(&vec![tickets(); 17])));
    assert!(many.contains("more than 16 sets"), "{many}");
}

#[test]
fn a_plugin_that_has_no_mask_sets_is_not_loaded() {
    let refused = refusal(&redactor(Err("the moon is full")));
    assert!(
        refused.contains("it has no mask sets: the moon is full"),
        "{refused}"
    );
}

#[test]
fn a_set_that_was_not_declared_is_refused() {
    let other = MaskSet {
        name: "theirs",
        ..tickets()
    };
    let chain = load(&[redactor(Ok(&[other]))]).unwrap();
    assert_eq!(process(&chain, &sample_event()), json!({"error": "ours"}));
}

#[test]
fn the_self_test_accepts_a_redactor() {
    let engine = PluginEngine::new().unwrap();
    let chain = Chain::load(&engine, &[redactor(Ok(&[tickets()]))]).unwrap();
    chain.plugins()[0].self_test(&engine).unwrap();
    assert!(chain.plugins()[0].is_snapshotted());
}
