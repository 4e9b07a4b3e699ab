//! Runs with made-up secrets in all their texts. Each kind of the catalogue occurs in several
//! places. All secrets are different, so that a leak shows its kind and its place.

use crate::events::finished_run;
use crate::needles::{Needles, PART};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::Write as _;
use std::time::{Duration, Instant};
use step_observer::redact::catalog::{self, example};
use step_observer::redact::forms::forms;
use step_observer::redact::{Engine, Options, RedactionCounts, ScanLimits};

/// Largest number of secrets of the catalogue in one run. More would give more log lines than a
/// plugin of the suite can quote.
pub const KINDS_OF_RUN: usize = 8;

/// Namespace of all runs.
pub const NAMESPACE: &str = "ci";

/// A text that shows a value under a name.
type Context = (&'static str, fn(name: &str, value: &str) -> String);

/// Contexts in a log.
const CONTEXTS: [Context; 10] = [
    ("bare", |_, value| format!("made up {value} is here")),
    ("exported", |name, value| format!("export {name}={value}")),
    ("YAML", |name, value| {
        format!("  {}: {value}", name.to_lowercase())
    }),
    ("JSON", |name, value| {
        json!({"n": 1, name.to_lowercase(): value}).to_string()
    }),
    ("JSON in JSON", |name, value| {
        json!({"message": json!({name.to_lowercase(): value}).to_string()}).to_string()
    }),
    ("flag with =", |name, value| {
        format!("+ tool --{}={value} --verbose", flag(name))
    }),
    ("flag and blank", |name, value| {
        format!("+ tool --{} {value} --verbose", flag(name))
    }),
    ("coloured", |name, value| {
        format!("\u{1b}[36m{name}\u{1b}[0m=\u{1b}[33m{value}\u{1b}[0m")
    }),
    ("arrow", |name, value| {
        format!("{} => {value}", name.to_lowercase())
    }),
    ("header", |name, value| {
        format!("> X-{}: {value}", flag(name))
    }),
];

/// Texts of a run beside its log.
const PLACES: [&str; 10] = [
    "script",
    "argument",
    "variable",
    "result",
    "list of results",
    "annotation",
    "message",
    "parameter",
    "command",
    "reason",
];

/// Kinds of names that a tenant chooses; here they contain secrets.
const NAMES: [&str; 3] = ["name of a label", "name of a variable", "name of a result"];

fn compressed(message: &str) -> String {
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    deflate.write_all(message.as_bytes()).unwrap();
    format!("tknz:{}", STANDARD_NO_PAD.encode(deflate.finish().unwrap()))
}

fn flag(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

/// A run as watch events, and the log of its one step.
#[derive(Clone, Debug)]
pub struct PlantedRun {
    /// Name of its pod.
    pub pod_name: String,
    /// The TaskRun.
    pub task_run: Value,
    /// The Pod, whose step has ended.
    pub pod: Value,
    /// The log.
    pub log: String,
}

impl PlantedRun {
    /// Returns the Pod while the step still runs.
    #[must_use]
    pub fn running_pod(&self) -> Value {
        let mut pod = self.pod.clone();
        pod["object"]["status"]["phase"] = "Running".into();
        pod["object"]["status"]["containerStatuses"][0]["state"] =
            json!({"running": {"startedAt": "2020-08-12T12:07:54Z"}});
        pod
    }
}

/// Makes secrets, and keeps them as needles.
#[derive(Debug)]
struct Planter {
    engine: Engine,
    needles: Needles,
    /// Parts that any text may show.
    public: HashSet<Vec<u8>>,
    seed: u64,
}

impl Planter {
    /// Returns a secret that was made from a template, and that no other call has returned.
    fn secret(&mut self, id: &str, template: &str, place: &str) -> String {
        self.seed += 1;
        let secret = example(template, self.seed);
        let others = [1, 2, 3, 4].map(|other| example(template, 1_000_000 + self.seed * 4 + other));
        let is_fixed = |place: usize| {
            let byte = secret.as_bytes()[place];
            others
                .iter()
                .all(|other| other.as_bytes().get(place) == Some(&byte))
        };
        let shown = self.masked(&secret);
        let is_public = |place: usize, part: &[u8]| {
            let is_shown = shown.as_bytes().windows(PART).any(|window| window == part);
            is_shown
                || (place..place + PART)
                    .filter(|place| is_fixed(*place))
                    .count()
                    > PART / 2
        };
        let name = format!("{id} ({place})");
        self.needles.add(&name, &secret, is_public);
        secret
    }

    /// Returns the lines of an example. The parts between arrows are added as secrets.
    fn form(&mut self, id: &str, example: &str) -> String {
        let lines = example.replace(['→', '←'], "") + "\n";
        let parts = example.split('→').skip(1);
        for secret in parts.filter_map(|part| Some(part.split_once('←')?.0)) {
            // Omits short secrets whose every part may occur in any text.
            let mut parts = secret.as_bytes().windows(PART);
            if parts.any(|part| !self.public.contains(part)) {
                let name = format!("{id} (log, as in its example)");
                let is_public = |_, part: &[u8]| self.public.contains(part);
                self.needles.add(&name, secret, is_public);
            }
        }
        lines
    }

    /// Adds what any text may show.
    fn add_public(&mut self, text: &str) {
        for text in [text, &Value::from(text).to_string()] {
            let parts = text.as_bytes().windows(PART);
            self.public.extend(parts.map(<[u8]>::to_vec));
        }
    }

    /// Returns a secret as the engine masks it without context. Some parts may remain, such as the
    /// host of a URL.
    fn masked(&self, secret: &str) -> String {
        let limits = ScanLimits {
            growth: 1 << 20,
            deadline: Instant::now() + Duration::from_secs(60),
        };
        let mut counts = RedactionCounts::default();
        let masked = self.engine.mask(secret, &mut counts, limits);
        masked.unwrap().into_owned()
    }
}

/// Returns runs with secrets of each kind that `is_chosen`, and all secrets as needles. Each secret
/// template is used in the log in three contexts, and in two further texts.
#[must_use]
pub fn runs_of_kinds(is_chosen: impl Fn(&str) -> bool) -> (Vec<PlantedRun>, Needles) {
    let mut planter = Planter {
        engine: Engine::new(&Options::default()).unwrap(),
        needles: Needles::default(),
        public: HashSet::new(),
        seed: 0,
    };
    let kinds = catalog::kinds().filter(|kind| is_chosen(kind.id));
    let templates = kinds.flat_map(|kind| {
        let examples = kind.examples.iter();
        examples.map(|template| (kind.id, *template))
    });
    let templates: Vec<(&str, &str)> = templates.collect();
    let forms = forms();
    let examples = forms.iter().flat_map(|form| {
        let examples = form.examples.iter();
        examples.map(|example| (form.id, *example))
    });
    for (id, template) in &templates {
        planter.add_public(id);
        let masked = planter.masked(&example(template, 0));
        planter.add_public(&masked);
    }
    for (id, example) in examples.clone() {
        planter.add_public(id);
        let text = example.replace(['→', '←'], "");
        planter.add_public(&planter.masked(&text));
        // First and last lines of keys.
        let lines = text
            .split_inclusive('\n')
            .filter(|line| line.starts_with("-----"));
        lines.for_each(|line| planter.add_public(&format!("\n{line}")));
    }
    let chunks = templates.chunks(KINDS_OF_RUN).enumerate();
    let runs = chunks.map(|(number, chunk)| run(&mut planter, number, chunk));
    let mut runs: Vec<PlantedRun> = runs.collect();
    let count = runs.len();
    for (number, (id, example)) in examples.enumerate() {
        let lines = planter.form(id, example);
        runs[number % count].log.push_str(&lines);
    }
    (runs, planter.needles)
}

fn run(planter: &mut Planter, number: usize, chunk: &[(&str, &str)]) -> PlantedRun {
    let events = finished_run(number);
    let [mut task_run, mut pod] = <[Value; 2]>::try_from(events).unwrap();
    let mut log = String::new();
    let (mut script, mut args) = ("#!/bin/sh\n".to_owned(), vec!["-c".to_owned()]);
    let (mut env, mut results) = (Vec::new(), Vec::new());
    let (mut annotations, mut labels) = (json!({}), json!({"team": "shop"}));
    let (mut messages, mut params) = (Vec::new(), Vec::new());
    let mut reason = None;
    let mut command = vec!["deploy".to_owned()];
    for (index, (id, template)) in chunk.iter().enumerate() {
        let variable = id.to_uppercase().replace('-', "_");
        for turn in 0..3 {
            let (context, show) = CONTEXTS[(number + index + 3 * turn) % CONTEXTS.len()];
            let secret = planter.secret(id, template, &format!("log, {context}"));
            log.push_str(&show(&variable, &secret));
            log.push('\n');
        }
        for turn in [0, 4] {
            let place = PLACES[(number + index + turn) % PLACES.len()];
            let secret = planter.secret(id, template, place);
            match place {
                "script" => script.push_str(&format!("export {variable}='{secret}'\n")),
                "argument" => args.push(format!("--{}={secret}", flag(&variable))),
                "variable" => env.push(json!({"name": variable, "value": secret})),
                "result" => results.push(json!({"key": variable, "value": secret, "type": 1})),
                "list of results" => {
                    results.push(json!({"key": "all", "value": ["x", secret], "type": 1}));
                }
                "annotation" => annotations[format!("note-{index}")] = secret.into(),
                "message" => messages.push(secret),
                // A step writes this file itself.
                "reason" if reason.is_none() => reason = Some(secret),
                "command" => command.push(secret),
                _ => params.push(json!({"name": variable, "value": secret})),
            }
        }
        // Names, and the value of a label, have at most 63 characters.
        let word = example(template, 0);
        let is_sign_of_words = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if word.len() <= 63 && word.chars().all(is_sign_of_words) {
            labels[flag(&variable)] = planter.secret(id, template, "label").into();
            let place = NAMES[(number + index) % NAMES.len()];
            let name = planter.secret(id, template, place);
            match place {
                "name of a label" => labels[name] = "x".into(),
                "name of a variable" => env.push(json!({"name": name, "value": "x"})),
                _ => results.push(json!({"key": name, "value": "x", "type": 1})),
            }
        }
    }
    for object in [&mut task_run["object"], &mut pod["object"]] {
        object["metadata"]["namespace"] = NAMESPACE.into();
        for (name, label) in labels.as_object().unwrap() {
            object["metadata"]["labels"][name] = label.clone();
        }
    }
    let spec = &mut task_run["object"]["spec"];
    spec["params"] = params.clone().into();
    let step = &mut spec["taskSpec"]["steps"][0];
    for param in &params {
        let name = param["name"].as_str().unwrap();
        script.push_str(&format!("deploy $(params.{name})\n"));
    }
    step["script"] = script.into();
    step["args"] = args.into();
    step["env"] = env.into();
    step["command"] = command.into();
    task_run["object"]["metadata"]["annotations"] = annotations;
    let message = messages.join(" and ");
    task_run["object"]["status"]["conditions"] = json!([
        {"type": "Succeeded", "status": "True", "reason": "Succeeded", "message": message},
    ]);
    let status = &mut pod["object"]["status"];
    status["message"] = message.into();
    let ended = &mut status["containerStatuses"][0]["state"]["terminated"];
    let entries = ended["message"].as_str().unwrap();
    let mut entries: Vec<Value> = serde_json::from_str(entries).unwrap();
    entries.extend(results);
    entries.extend(reason.map(|reason| json!({"key": "Reason", "value": reason, "type": 3})));
    let message = Value::from(entries).to_string();
    // Compresses some messages, because Tekton can be configured to do so.
    ended["message"] = match number % 3 {
        0 => compressed(&message).into(),
        _ => message.into(),
    };
    PlantedRun {
        pod_name: pod["object"]["metadata"]["name"]
            .as_str()
            .unwrap()
            .to_owned(),
        task_run,
        pod,
        log,
    }
}
