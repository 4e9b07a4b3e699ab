//! Options of the engine, from the command line and the configuration.

use crate::cli::args::redact::{RedactArgs, ReplacementArg};
use crate::cli::outcome::CommandError;
use serde::Deserialize;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use step_observer::config::{FieldPath, Mistakes, read_text};
use step_observer::redact::{
    Engine, FullRule, KnownValue, KnownValues, Options, Policy, Replacement, SelectionError,
};
use step_observer::{terminal, yaml};

/// Largest file with a value, in bytes.
const MAX_VALUE_BYTES: u64 = 256 * 1024;
/// Largest file with a key, in bytes.
const MAX_KEY_BYTES: u64 = 4096;

/// The configuration: the options of the engine, and `logOnly`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Settings {
    without: Vec<String>,
    only: Vec<String>,
    rules: Vec<FullRule>,
    values: Vec<String>,
    replacement: Replacement,
    /// Whether the plugin masks only the log. It has no meaning for a text.
    log_only: bool,
}

impl Settings {
    fn to_options(&self) -> Options {
        let Self {
            without,
            only,
            rules,
            values,
            replacement,
            log_only: _,
        } = self;
        Options {
            without: without.clone(),
            only: only.clone(),
            rules: rules.clone(),
            values: values.clone(),
            replacement: replacement.clone(),
            ..Options::default()
        }
    }
}

/// Returns the options that the arguments and their files contain.
///
/// # Errors
///
/// An argument or a file has a mistake. The error names the file or option, the place in it, and
/// the remedy. It shows no value.
pub(super) fn options(args: &RedactArgs) -> Result<Options, CommandError> {
    let mut options = match &args.config {
        Some(path) => read_options(path)?,
        None => Options::default(),
    };
    // The options of the command line are checked first, without the configuration. So the indexes
    // in an error about an option count only these options.
    let given = Options {
        without: args.without.clone(),
        only: args.only.clone(),
        ..Options::default()
    };
    given.check().map_err(|error| format!("--{error}"))?;
    options.without.extend(given.without);
    options.only.extend(given.only);
    match &args.replacement {
        None => {}
        Some(ReplacementArg::Rule) => options.replacement = Replacement::Rule,
        Some(ReplacementArg::Text(text)) => options.replacement = Replacement::Text(text.clone()),
        Some(ReplacementArg::Token(path)) => {
            let key = read_secret(path, MAX_KEY_BYTES)?;
            options.replacement = Replacement::Token(key);
        }
    }
    options.check().map_err(|error| match &args.replacement {
        Some(_) if matches!(error, SelectionError::Replacement { .. }) => format!("--{error}"),
        _ => error.to_string(),
    })?;
    Ok(options)
}

fn read_options(path: &Path) -> Result<Options, CommandError> {
    let name = path.display().to_string();
    let text = read_text(path)?;
    let check = |settings: &Settings| settings.to_options().check().err().map(mistake);
    let settings: Settings = yaml::parse_checked(&name, "configuration", &text, check)
        .map_err(|mistakes| report(&name, &mistakes))?;
    Ok(settings.to_options())
}

/// Returns the field of a mistake, and the mistake.
fn mistake(error: SelectionError) -> (FieldPath, String) {
    let problem = error.to_string();
    if let Some((path, problem)) = FieldPath::split_prefix(&problem) {
        return (path, problem.to_owned());
    }
    let field = FieldPath::default();
    let field = match error {
        SelectionError::UnknownId { list, index, .. } => field.key(&list).index(index),
        SelectionError::Rule { index, .. } => field.key("rules").index(index),
        SelectionError::Value { index } => field.key("values").index(index),
        SelectionError::Replacement { .. } => field.key("replacement"),
        SelectionError::TooMany { .. } => field,
    };
    (field, problem)
}

/// Prints the mistakes of a configuration on one line each, so that editors find them. Returns the
/// text of the error.
fn report(name: &str, mistakes: &Mistakes) -> String {
    for mistake in mistakes.list() {
        let line = mistake.to_string();
        writeln!(std::io::stderr(), "{}", terminal::escape_line(&line)).ok();
    }
    format!(
        "{} in {name}; `step-observer redact --help` shows what is allowed",
        mistakes.count()
    )
}

/// Compiles the options, and the values that files hold.
///
/// # Errors
///
/// The value of a file cannot be read or is refused. The error names the file.
pub(super) fn engine(options: &Options, value_files: &[PathBuf]) -> Result<Engine, CommandError> {
    let engine = Engine::new(options)?;
    if value_files.is_empty() {
        return Ok(engine);
    }
    let read = |path: &PathBuf| -> Result<_, CommandError> {
        Ok(KnownValue {
            source: format!("--value-file {}", path.display()).into(),
            value: read_secret(path, MAX_VALUE_BYTES)?,
        })
    };
    let from_files: Vec<_> = value_files.iter().map(read).collect::<Result<_, _>>()?;
    let (from_files, refused) = KnownValues::new(&from_files, Policy::READ);
    if let Some(refusal) = refused.first() {
        return Err(refusal.to_string().into());
    }
    let written = options
        .values
        .iter()
        .enumerate()
        .map(|(index, value)| KnownValue {
            source: format!("values[{index}]").into(),
            value: value.clone(),
        });
    let written: Vec<_> = written.collect();
    let (written, _) = KnownValues::new(&written, Policy::WRITTEN);
    Ok(engine.with_values(&[Arc::new(written), Arc::new(from_files)]))
}

/// Reads a file that holds a secret, without the white space around it.
fn read_secret(path: &Path, most: u64) -> Result<String, CommandError> {
    let name = path.display();
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("failed to read {name}: {error}"))?;
    if bytes.len() as u64 > most {
        return Err(format!("{name} is larger than {most} bytes").into());
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| format!("{name} is not text in UTF-8: give the secret as text"))?;
    Ok(text.trim().to_owned())
}
