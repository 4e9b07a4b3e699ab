//! Plugins for version 0.1.1 of the contract that select masks. They are modules in WAT, so no
//! toolchain is needed.

use step_observer::plugin::{PluginSource, PluginSpec};

/// A mask set with one own rule, in the memory of a plugin.
#[derive(Clone, Debug)]
pub struct MaskSet {
    /// Name of the set.
    pub name: &'static str,
    /// Ids of the catalogue that the set excludes.
    pub without: Vec<String>,
    /// The only ids of the catalogue that the set uses; `None` for all.
    pub only: Option<Vec<String>>,
    /// Id and pattern of its own rule.
    pub rule: (&'static str, &'static str),
    /// Least entropy of a match of this rule, in bits per character.
    pub min_entropy: f32,
    /// Known values.
    pub values: Vec<String>,
    /// Index of the case of the contract's variant `replacement`, and the text of the case.
    pub replacement: (u32, &'static str),
}

/// Returns a set that masks only words such as `ticket-7x2`.
#[must_use]
pub fn tickets() -> MaskSet {
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

/// Returns a plugin for version 0.1.1 of the contract. Its `mask-sets` returns these sets, or an
/// error. It masks every event with the set `ours`.
#[must_use]
pub fn redactor(sets: Result<&[MaskSet], &str>) -> PluginSpec {
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
    ;; Destroys the name "ours" in this instance. Events start with the memory before this call.
    (i32.store8 (i32.const 29) (i32.const 0))
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

/// Returns a plugin of 0.1.1 that masks a known value.
#[must_use]
pub fn redactor_of(value: &str) -> PluginSpec {
    let set = MaskSet {
        values: vec![value.to_owned()],
        ..tickets()
    };
    redactor(Ok(&[set]))
}
