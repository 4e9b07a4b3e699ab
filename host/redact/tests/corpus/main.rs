//! Recall and precision of masking on made-up secrets and on outputs of tools: `cargo xtask masking`
//! prints them.
//!
//! The secrets are generated from the catalogue's templates. The outputs are in
//! `tests/corpus/masking`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

mod contexts;
mod encodings;

use contexts::{BARE, Context, NAMED};
use encodings::ENCODINGS;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use step_observer_redact::catalog::{self, example};
use step_observer_redact::{Engine, Options, RedactionCounts, ScanLimits, forms};

/// Made-up secrets of each template.
const SEEDS: u64 = 3;

/// Longest part of a secret that may be left, in bytes. Of a shorter secret, not all may be left.
const LEFT: usize = 7;

/// Maximum number of missed places that are printed for each table.
const MAX_MISSED: usize = 20;

/// Least share of masked secrets, in per cent: bare kinds, kinds in named places, values under a
/// secret name, forms, and known values in encodings.
const KINDS_BARE: f64 = 99.0;
const KINDS_NAMED: f64 = 99.0;
const NAMES: f64 = 99.0;
const FORMS: f64 = 99.0;
const VALUES: f64 = 99.0;

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(&Options::default()).unwrap())
}

fn mask(engine: &Engine, text: &str) -> (String, u32) {
    let limits = ScanLimits {
        growth: 1 << 24,
        deadline: Instant::now() + Duration::from_secs(120),
    };
    let mut counts = RedactionCounts::default();
    let masked = engine.mask(text, &mut counts, limits).unwrap();
    (masked.into_owned(), counts.total())
}

/// Returns whether too much of a secret is left in a masked text, apart from parts that are also in
/// `public`.
fn is_left(masked: &str, secret: &str, public: &str) -> bool {
    let length = secret.len().min(LEFT + 1);
    let mut parts = secret.as_bytes().windows(length);
    parts.any(|part| {
        let is_in = |text: &str| text.as_bytes().windows(length).any(|window| window == part);
        is_in(masked) && !is_in(public)
    })
}

/// Counts the places of secrets, and how many of them were masked.
#[derive(Default)]
struct Tally {
    name: String,
    masked: u32,
    all: u32,
    missed: Vec<String>,
}

impl Tally {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    fn add(&mut self, is_masked: bool, what: impl FnOnce() -> String) {
        self.all += 1;
        if is_masked {
            self.masked += 1;
        } else {
            self.missed.push(what());
        }
    }

    fn share(&self) -> f64 {
        100.0 * f64::from(self.masked) / f64::from(self.all.max(1))
    }
}

/// Prints tallies, and checks the share of all of them together.
fn report(title: &str, tallies: &[Tally], least: f64) {
    let mut all = Tally::new(title);
    for tally in tallies {
        all.masked += tally.masked;
        all.all += tally.all;
    }
    println!("{:6.2} %  {:>6} places  {title}", all.share(), all.all);
    for tally in tallies.iter().filter(|_| tallies.len() > 1) {
        let Tally { name, all, .. } = tally;
        println!("{:6.2} %  {all:>6}           {name}", tally.share());
    }
    let missed: Vec<&String> = tallies.iter().flat_map(|tally| &tally.missed).collect();
    for what in missed.iter().take(MAX_MISSED) {
        let line: String = what.chars().take(160).collect();
        println!("           missed: {}", line.escape_debug());
    }
    assert!(all.share() >= least, "{title}: {} %", all.share());
}

/// Returns the name of a variable for a kind.
fn variable(id: &str) -> String {
    id.to_ascii_uppercase().replace('-', "_")
}

fn kinds_in(context: &Context) -> Tally {
    let (name, place) = context;
    let mut tally = Tally::new(name);
    for kind in catalog::kinds() {
        for template in kind.examples {
            for seed in 0..SEEDS {
                let secret = example(template, 7000 + seed);
                // A URL does not have another URL as its password.
                if *name == "URL" && secret.contains("://") {
                    continue;
                }
                let variable = variable(kind.id);
                let (masked, hits) = mask(engine(), &place(&variable, &secret));
                // Text that may stay: the secret as masked by itself, the place with an empty
                // value, and the id of the kind.
                let (alone, _) = mask(engine(), &format!("{secret}\n"));
                let public = format!("{alone}\n{}\n{}", place(&variable, ""), kind.id);
                let is_masked = hits > 0 && !is_left(&masked, &secret, &public);
                tally.add(is_masked, || format!("{} ({name}): {masked}", kind.id));
            }
        }
    }
    tally
}

#[test]
fn kinds_are_masked_bare_and_in_all_contexts() {
    report("kinds, bare in a sentence", &[kinds_in(&BARE)], KINDS_BARE);
    let tallies: Vec<Tally> = NAMED.iter().map(kinds_in).collect();
    report("kinds, in all contexts", &tallies, KINDS_NAMED);
}

/// Variables whose values have no form of their own, with templates of usual values.
const VARIABLES: &[(&str, &str)] = &[
    ("DB_PASSWORD", "{a16}"),
    ("PGPASSWORD", "{a14}"),
    ("MYSQL_ROOT_PASSWORD", "{w20}"),
    ("SPRING_DATASOURCE_PASSWORD", "{a24}"),
    ("REDIS_PASSWORD", "{h32}"),
    ("ADMIN_PASSWD", "{a12}"),
    ("KEYSTORE_PASSPHRASE", "{w22}"),
    ("JWT_SECRET", "{b43}="),
    ("SESSION_SECRET", "{h64}"),
    ("COOKIE_SECRET_KEY", "{w50}"),
    ("CLIENT_SECRET", "{w36}"),
    ("OAUTH_CLIENT_SECRET", "{U}"),
    ("WEBHOOK_SECRET", "{h40}"),
    ("API_KEY", "{l32}"),
    ("ACME_API_KEY", "{a40}"),
    ("SEARCH_APIKEY", "{h32}"),
    ("API_TOKEN", "{w40}"),
    ("AUTH_TOKEN", "{h48}"),
    ("ACCESS_TOKEN", "{a64}"),
    ("REFRESH_TOKEN", "{w96}"),
    ("DEPLOY_TOKEN", "{l26}"),
    ("CI_TOKEN_RO", "{h40}"),
    ("PUBLISH_TOKEN_2", "{U}"),
    ("ACCESS_KEY", "{a32}"),
    ("SECRET_ACCESS_KEY", "{b40}"),
    ("STORAGE_ACCOUNT_KEY", "{b86}=="),
    ("ENCRYPTION_KEY", "{b43}="),
    ("SIGNING_KEY", "{h64}"),
    ("PRIVATE_TOKEN", "{w20}"),
    ("LICENSE_KEY", "{u25}"),
];

fn variables_in(context: &Context) -> Tally {
    let (name, place) = context;
    let mut tally = Tally::new(name);
    for (variable, template) in VARIABLES {
        for seed in 0..SEEDS {
            let secret = example(template, 9000 + seed);
            let (masked, _) = mask(engine(), &place(variable, &secret));
            let is_masked = !is_left(&masked, &secret, "");
            tally.add(is_masked, || format!("{variable} ({name})"));
        }
    }
    tally
}

#[test]
fn values_under_the_name_of_a_secret_are_masked() {
    let tallies: Vec<Tally> = NAMED.iter().map(variables_in).collect();
    report("known by their name only", &tallies, NAMES);
}

#[test]
fn forms_are_masked() {
    let mut tally = Tally::new("forms");
    for form in forms::forms() {
        for line in form.examples {
            let text = line.replace(['→', '←'], "");
            let (masked, _) = mask(engine(), &text);
            let parts = line.split('→').skip(1);
            let secrets = parts.filter_map(|part| Some(part.split_once('←')?.0));
            let is_masked = secrets.clone().all(|secret| !is_left(&masked, secret, ""));
            tally.add(is_masked, || format!("{}: {line}", form.id));
        }
    }
    report("forms", &[tally], FORMS);
}

/// Known values, with signs that encodings change.
const KNOWN: &[&str] = &[
    "correct horse battery",
    "s3cr&t/v4lue+x",
    r#"qu"ote's <and> more"#,
    "Grüße-aus-Köln!7",
    r"back\slash$dollar`tick",
    "plainValue0123456789",
    "hunter2:hunter3@x",
];

#[test]
fn known_values_are_masked_in_all_encodings() {
    let mut tallies: Vec<Tally> = Vec::new();
    let options = Options {
        values: KNOWN.iter().map(|value| (*value).to_owned()).collect(),
        only: vec!["github-app-user-token".to_owned()],
        ..Options::default()
    };
    let engine = Engine::new(&options).unwrap();
    for (name, encode) in ENCODINGS {
        let mut tally = Tally::new(name);
        for value in KNOWN {
            let encoded = encode(value);
            let text = format!("the log shows {encoded} here\n");
            let (masked, hits) = mask(&engine, &text);
            // The text that an encoding adds around a value may stay.
            let around = encode("").replace(['\'', '"'], "");
            let public = format!("{around} the log shows  here");
            let longest = longest_left(&masked, &encoded);
            let is_masked = hits > 0 && longest <= 2 * LEFT + public.len();
            let is_raw_left = is_left(&masked, value, "");
            tally.add(is_masked && !is_raw_left, || format!("{value} ({name})"));
        }
        tallies.push(tally);
    }
    report("known values in encodings", &tallies, VALUES);
}

/// Returns the length of the longest part of a text that is left.
fn longest_left(masked: &str, text: &str) -> usize {
    let bytes = text.as_bytes();
    let is_there = |length: usize| {
        bytes.windows(length).any(|part| {
            let mut windows = masked.as_bytes().windows(length);
            windows.any(|window| window == part)
        })
    };
    (1..=bytes.len())
        .take_while(|length| is_there(*length))
        .last()
        .unwrap_or(0)
}

fn corpus(name: &str) -> PathBuf {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/corpus/masking");
    PathBuf::from(root).join(name)
}

#[test]
fn look_alikes_and_outputs_of_tools_stay() {
    let mut false_masks = Vec::new();
    let look_alikes = std::fs::read_to_string(corpus("look-alikes.txt")).unwrap();
    let mut lines = 0;
    for line in look_alikes.lines() {
        lines += 1;
        let (masked, _) = mask(engine(), line);
        if masked != line {
            false_masks.push(format!("look-alike: {masked}"));
        }
    }
    println!("{:6}    of {lines} look-alikes masked", false_masks.len());
    let mut bytes = 0;
    let mut masks = 0;
    let mut files: Vec<PathBuf> = std::fs::read_dir(corpus("outputs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 10);
    for path in files {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        let (masked, count) = mask(engine(), &text);
        bytes += text.len();
        masks += count;
        println!(
            "{count:6}    masks in {:>6} bytes of {}",
            text.len(),
            path.file_name().unwrap().display()
        );
        let lines = masked.lines().filter(|line| line.contains("[redacted:"));
        false_masks.extend(lines.map(|line| format!("{}: {line}", path.display())));
    }
    let mib = bytes as f64 / f64::from(1 << 20);
    println!(
        "{:8.2}  false masks per MiB of {mib:.2} MiB of outputs",
        f64::from(masks) / mib
    );
    assert!(false_masks.is_empty(), "{}", false_masks.join("\n"));
}
