//! The sources that the configuration names: files, folders and environment variables. Files are read
//! again when they change.

use super::config::KnownSecretsConfig;
use super::secret_value::SecretValue;
use super::source_files::{
    Content, Stamp, read_file, read_folder, stamp_of_file, stamps_of_folder,
};
use super::{KnownSecretsError, KnownSecretsMetrics};
use crate::clock;
use crate::locked::Locked;
use crate::redact::{KnownValue, KnownValues, Policy};
use jiff::Timestamp;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{info, warn};
use zeroize::Zeroize as _;

/// Time between two checks for changed files.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Time for which a value stays known after its source has lost it: a step that began before the change
/// may still print it.
const OLD_VALUE_TIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Maximum number of bytes of all values, including old ones.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Most values, old ones included.
const MAX_VALUES: usize = 2048;

/// A source of values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    File(PathBuf),
    Folder(PathBuf),
    Variable(String),
}

impl Place {
    /// Returns all sources of a configuration, each with the path of its field below `knownSecrets`.
    fn all(config: &KnownSecretsConfig) -> Vec<(String, Self)> {
        let files = config.files.iter().cloned().map(Self::File);
        let folders = config.folders.iter().cloned().map(Self::Folder);
        let variables = config.environment.iter().cloned().map(Self::Variable);
        let numbered = |field: &'static str| move |index: usize| format!("{field}[{index}]");
        let files = (0..).map(numbered("files")).zip(files);
        let folders = (0..).map(numbered("folders")).zip(folders);
        let variables = (0..).map(numbered("environment")).zip(variables);
        files.chain(folders).chain(variables).collect()
    }

    /// Returns the stamps of its files.
    fn stamps(&self) -> Result<Vec<Stamp>, String> {
        match self {
            Self::File(path) => stamp_of_file(path),
            Self::Folder(path) => stamps_of_folder(path),
            Self::Variable(_) => Ok(Vec::new()),
        }
    }

    fn read(&self, now: Timestamp) -> Result<Content, String> {
        match self {
            Self::File(path) => read_file(path, now),
            Self::Folder(path) => read_folder(path, now),
            Self::Variable(name) => {
                let value = std::env::var_os(name);
                let value = value
                    .ok_or_else(|| format!("the environment variable {name} is not set: set it"))?;
                let value = SecretValue::new(value.as_encoded_bytes());
                Ok(Content {
                    stamps: Vec::new(),
                    values: vec![(format!("environment variable {name}"), value)],
                    is_settled: true,
                })
            }
        }
    }
}

/// Returns the sources of a configuration that cannot be read on this machine: the path of each field
/// below `knownSecrets`, and the problem.
pub(super) fn unreadable(config: &KnownSecretsConfig) -> Vec<(String, String)> {
    let places = Place::all(config).into_iter();
    let problem = |(field, place): (String, Place)| Some((field, place.read(clock::now()).err()?));
    places.filter_map(problem).collect()
}

/// The sources, with their values.
#[derive(Debug)]
pub(super) struct ConfiguredSources(Locked<State>);

#[derive(Debug)]
struct State {
    checked_at: Instant,
    sources: Vec<Source>,
    /// Values that their sources have lost, the oldest first, each with the time until which it stays
    /// known.
    old: Vec<(Instant, SecretValue)>,
    values: Arc<KnownValues>,
    /// Sources whose values are not masked. They were logged already.
    refused: HashSet<String>,
}

#[derive(Debug)]
struct Source {
    place: Place,
    content: Content,
    is_failing: bool,
}

impl Source {
    /// Reads the source again if it may have changed.
    fn read_if_changed(&self, now: Timestamp) -> Result<Option<Content>, String> {
        let stamps = self.place.stamps()?;
        let is_same = stamps == self.content.stamps && self.content.is_settled;
        (!is_same).then(|| self.place.read(now)).transpose()
    }

    /// Replaces the content. Returns the old values if they differ from the new ones.
    fn replace(&mut self, content: Content) -> Option<Vec<SecretValue>> {
        let before = std::mem::replace(&mut self.content, content);
        let values = before.values.iter().map(|(_, value)| value.clone());
        (before.values != self.content.values).then(|| values.collect())
    }

    fn values(&self) -> impl Iterator<Item = &SecretValue> {
        self.content.values.iter().map(|(_, value)| value)
    }
}

impl ConfiguredSources {
    /// Reads all sources. `None` if there are none. Values that `before` knows stay known.
    pub(super) fn open(
        config: &KnownSecretsConfig,
        before: Option<&Self>,
        metrics: &KnownSecretsMetrics,
    ) -> Result<Option<Self>, KnownSecretsError> {
        let mut sources = Vec::new();
        for (field, place) in Place::all(config) {
            match place.read(clock::now()) {
                Ok(content) => sources.push(Source {
                    place,
                    content,
                    is_failing: false,
                }),
                Err(problem) => return Err(KnownSecretsError { field, problem }),
            }
        }
        let now = Instant::now();
        let mut state = State {
            checked_at: now,
            sources,
            old: Vec::new(),
            values: Arc::new(KnownValues::new(&[], Policy::READ).0),
            refused: HashSet::new(),
        };
        if let Err(problem) = check_size(size(state.current())) {
            let field = match config.folders.is_empty() {
                true => "files",
                false => "folders",
            };
            return Err(KnownSecretsError {
                field: field.to_owned(),
                problem,
            });
        }
        if let Some(before) = before {
            state.inherit(&before.0.lock(), now);
        }
        if state.sources.is_empty() && state.old.is_empty() {
            return Ok(None);
        }
        state.compile(metrics);
        Ok(Some(Self(Locked::new(state))))
    }

    /// Returns all values. First checks whether files have changed, unless the last check was
    /// recent.
    pub(super) fn values(&self, metrics: &KnownSecretsMetrics) -> Arc<KnownValues> {
        let mut state = self.0.lock();
        let now = Instant::now();
        if now.duration_since(state.checked_at) >= CHECK_INTERVAL {
            state.refresh(now, metrics);
        }
        state.values.clone()
    }
}

/// Checks that the number of values and their bytes are within the bounds.
fn check_size((count, bytes): (usize, usize)) -> Result<(), String> {
    match count > MAX_VALUES || bytes > MAX_BYTES {
        true => Err(format!(
            "{count} values with {bytes} bytes are more than {MAX_VALUES} values and 4 MiB: name fewer files"
        )),
        false => Ok(()),
    }
}

/// Returns the number and the bytes of values.
fn size<'v>(values: impl IntoIterator<Item = &'v SecretValue>) -> (usize, usize) {
    let values = values.into_iter();
    values.fold((0, 0), |(count, bytes), value| {
        (count + 1, bytes + value.len())
    })
}

impl State {
    /// Returns the values that the sources hold.
    fn current(&self) -> impl Iterator<Item = &SecretValue> {
        self.sources.iter().flat_map(Source::values)
    }

    fn refresh(&mut self, now: Instant, metrics: &KnownSecretsMetrics) {
        self.checked_at = now;
        let (count, time) = (self.old.len(), clock::now());
        self.old.retain(|(until, _)| *until > now);
        let mut has_changed = self.old.len() != count;
        for index in 0..self.sources.len() {
            has_changed |= self.refresh_source(index, now, time);
        }
        if has_changed {
            self.compile(metrics);
        }
        let failing = self.sources.iter().filter(|source| source.is_failing);
        let failing = u64::try_from(failing.count()).unwrap_or(u64::MAX);
        metrics.failing_sources.set(failing);
    }

    /// Reads one source again. Returns whether its values have changed.
    fn refresh_source(&mut self, index: usize, now: Instant, time: Timestamp) -> bool {
        let others = self.sources.iter().enumerate();
        let others = others.filter(|(other, _)| *other != index);
        let others = others.flat_map(|(_, source)| source.values());
        let (other_count, other_bytes) = size(others);
        let read = self
            .sources
            .get(index)
            .map_or(Ok(None), |source| -> Result<_, String> {
                let content = source.read_if_changed(time)?;
                let values = content.iter().flat_map(|content| &content.values);
                let (count, bytes) = size(values.map(|(_, value)| value));
                check_size((count + other_count, bytes + other_bytes))?;
                Ok(content)
            });
        let Some(source) = self.sources.get_mut(index) else {
            return false;
        };
        match read {
            Ok(content) => {
                source.is_failing = false;
                let before = content.and_then(|content| source.replace(content));
                let Some(before) = before else {
                    return false;
                };
                info!(source = ?source.place, "known secrets have changed; the old values stay masked for 24 hours");
                let until = now + OLD_VALUE_TIME;
                let before = before.into_iter().map(|value| (until, value));
                self.old.extend(before);
                true
            }
            // The last values stay in use: a file may be replaced at this moment.
            Err(problem) => {
                if !std::mem::replace(&mut source.is_failing, true) {
                    warn!(%problem, "failed to read known secrets again; the last values stay masked");
                }
                false
            }
        }
    }

    /// Takes over the values that the configuration before this one knew.
    fn inherit(&mut self, before: &Self, now: Instant) {
        let until = now + OLD_VALUE_TIME;
        let current = before.current().map(|value| (until, value.clone()));
        self.old = before.old.iter().cloned().chain(current).collect();
        self.refused.clone_from(&before.refused);
    }

    /// Compiles all values, and logs the sources of the values that are not masked.
    fn compile(&mut self, metrics: &KnownSecretsMetrics) {
        // Of equal old values, keeps the one that was lost last. Drops old values that a source
        // holds again.
        let mut known: HashSet<SecretValue> = self.current().cloned().collect();
        self.old.reverse();
        self.old.retain(|(_, value)| known.insert(value.clone()));
        self.old.reverse();
        self.drop_oldest();
        let current = self
            .sources
            .iter()
            .flat_map(|source| &source.content.values);
        let current = current.map(|(name, value)| value.named(name));
        let old = self.old.iter().map(|(_, value)| value.named(""));
        let mut all: Vec<KnownValue> = current.chain(old).collect();
        let (values, refusals) = KnownValues::new(&all, Policy::READ);
        all.iter_mut().for_each(|known| known.value.zeroize());
        for refusal in &refusals {
            let source = &*refusal.source_name;
            if !source.is_empty() && self.refused.insert(source.to_owned()) {
                warn!(
                    source,
                    "a known secret is not masked, because it would hide ordinary text: it {}",
                    refusal.reason
                );
            }
        }
        let count = all.len().saturating_sub(refusals.len());
        metrics.values.set(u64::try_from(count).unwrap_or(u64::MAX));
        self.values = Arc::new(values);
    }

    /// Drops the oldest of the old values while there are too many.
    fn drop_oldest(&mut self) {
        let old = self.old.iter().map(|(_, value)| value);
        let (mut count, mut bytes) = size(self.current().chain(old));
        let mut dropped = 0;
        for (_, value) in &self.old {
            if count <= MAX_VALUES && bytes <= MAX_BYTES {
                break;
            }
            dropped += 1;
            (count, bytes) = (count - 1, bytes.saturating_sub(value.len()));
        }
        if dropped > 0 {
            self.old.drain(..dropped);
            warn!(
                dropped,
                "known secrets change too often: the oldest values are no longer masked"
            );
        }
    }
}

#[cfg(test)]
mod tests;
