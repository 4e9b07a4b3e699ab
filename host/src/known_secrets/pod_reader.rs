//! Reads the Secrets of Pods by their names.

use super::config::PodSecretsConfig;
use super::metrics::KnownSecretsMetrics;
use super::pod_secret_version::SecretVersion;
use super::pod_secrets::{Inner, PodSecrets};
use super::secret_object::{SecretId, SecretObject};
use crate::fair::FairSemaphore;
use crate::locked::Locked;
use crate::redact::Refusal;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tracing::{debug, warn};

/// Requests at a time. One namespace uses at most three quarters of them.
const MAX_REQUESTS: usize = 16;
/// Requests at a time for one Pod.
const MAX_POD_REQUESTS: usize = 8;
/// Longest time for one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Time for which a Secret is not asked for again after it was forbidden.
const FORBIDDEN_TIME: Duration = Duration::from_secs(5 * 60);
/// Most Secrets that are remembered as forbidden.
const MAX_FORBIDDEN: usize = 4096;
/// Maximum number of different messages that are logged, such as one for each key whose value is
/// not masked. Tenants choose these keys.
const MAX_NAMED: usize = 1024;

/// Why a Secret cannot be read. No text quotes a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretReadError {
    /// The right is missing.
    Forbidden,
    /// There is no such Secret.
    Missing,
    /// Another reason.
    Failed(String),
}

/// Reads Secrets of a cluster.
pub trait SecretReader: Debug + Send + Sync {
    /// Returns the version of a Secret, without its values.
    fn version<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<SecretId, SecretReadError>>;

    /// Returns a Secret.
    fn read<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<SecretObject, SecretReadError>>;
}

/// When the Secrets of a Pod are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadMoment {
    /// Before the first text of the Pod. Secrets that were requested before are not requested
    /// again.
    First,
    /// At the end of a step: a Secret may have changed.
    StepEnd,
}

type SecretName = (Arc<str>, Arc<str>);

/// Reads the Secrets of Pods, and shares the versions that several Pods refer to.
#[derive(Debug)]
pub(super) struct PodSecretsReader {
    namespaces: HashSet<String>,
    with_pull_secrets: bool,
    with_tokens: bool,
    /// `None` for a recording, which has no cluster.
    reader: Option<Arc<dyn SecretReader>>,
    requests: FairSemaphore,
    total_bytes: Arc<AtomicUsize>,
    state: Locked<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Versions that a Pod refers to, by the name of the Secret.
    versions: HashMap<SecretName, Vec<Weak<SecretVersion>>>,
    /// The Pods, by UID.
    pods: HashMap<Arc<str>, Weak<Inner>>,
    /// Number of Pods and Secrets at which dead entries are removed.
    purge_at: usize,
    forbidden: HashMap<SecretName, Instant>,
    /// Locks that are held while a Secret is requested, so that Pods that start together share one
    /// request.
    turns: HashMap<SecretName, Arc<tokio::sync::Mutex<()>>>,
    /// What was logged.
    said: HashSet<String>,
}

/// The result of reading one Secret.
enum Outcome {
    Read,
    Unchanged,
    Missing,
    Forbidden,
    Failed,
    OverLimit,
}

impl PodSecretsReader {
    pub(super) fn new(config: &PodSecretsConfig, reader: Option<Arc<dyn SecretReader>>) -> Self {
        Self {
            namespaces: config.namespaces.iter().cloned().collect(),
            with_pull_secrets: config.image_pull_secrets,
            with_tokens: config.service_account_tokens,
            reader,
            requests: FairSemaphore::new(MAX_REQUESTS),
            total_bytes: Arc::default(),
            state: Locked::default(),
        }
    }

    /// Returns whether the Secrets of a namespace are read.
    pub(super) fn covers(&self, namespace: &str) -> bool {
        self.namespaces.contains(namespace)
    }

    pub(super) fn with_pull_secrets(&self) -> bool {
        self.with_pull_secrets
    }

    pub(super) fn total_bytes(&self) -> &Arc<AtomicUsize> {
        &self.total_bytes
    }

    /// Makes a Pod known by its UID, for [`PodSecretsReader::find`].
    pub(super) fn register(&self, pod: &PodSecrets) {
        let mut state = self.state.lock();
        state.purge();
        let uid = pod.refs().pod_uid.clone();
        state.pods.insert(uid, Arc::downgrade(pod.inner()));
    }

    /// Returns the Secrets of a Pod.
    pub(super) fn find(&self, pod_uid: &str) -> Option<PodSecrets> {
        let state = self.state.lock();
        let inner = state.pods.get(pod_uid).and_then(Weak::upgrade);
        inner.map(PodSecrets::from_inner)
    }

    /// Reads the Secrets of a Pod. Returns after one attempt for each of them.
    pub(super) async fn read(
        &self,
        pod: &PodSecrets,
        moment: ReadMoment,
        metrics: &KnownSecretsMetrics,
    ) {
        let is_done = || moment == ReadMoment::First && pod.is_read();
        if is_done() {
            return;
        }
        let _turn = pod.inner().reading.lock().await;
        if is_done() {
            return;
        }
        let secrets = futures::stream::iter(0..pod.refs().secrets.len());
        let read = secrets.for_each_concurrent(MAX_POD_REQUESTS, |index| async move {
            let outcome = self.read_one(pod, index).await;
            metrics.count_read(outcome.label());
        });
        read.await;
        pod.mark_read();
    }

    async fn read_one(&self, pod: &PodSecrets, index: usize) -> Outcome {
        let Some(secret) = pod.refs().secrets.get(index) else {
            return Outcome::Missing;
        };
        let name = (pod.refs().namespace.clone(), secret.name.clone());
        let turn = self.state.lock().turn(&name);
        let held = turn.lock().await;
        let outcome = self.read_in_turn(pod, index, &name).await;
        drop(held);
        self.state.lock().end_turn(&name, &turn);
        outcome
    }

    async fn read_in_turn(&self, pod: &PodSecrets, index: usize, name: &SecretName) -> Outcome {
        if self.state.lock().is_forbidden(name) {
            pod.mark_unread(index);
            return Outcome::Forbidden;
        }
        let version = self.current_version(name).await;
        match version {
            Ok(Some((version, outcome))) => match pod.add(index, version) {
                true => outcome,
                false => self.over_limit(pod, index, name),
            },
            Ok(None) => self.over_limit(pod, index, name),
            Err(SecretReadError::Missing) => match pod.mark_missing(index) {
                true => Outcome::Missing,
                false => Outcome::Unchanged,
            },
            Err(SecretReadError::Forbidden) => {
                pod.mark_unread(index);
                let mut state = self.state.lock();
                let (namespace, secret) = (&*name.0, &*name.1);
                if state.say(format!("forbidden {namespace}")) {
                    warn!(
                        namespace,
                        secret,
                        remedy = "grant get on secrets to the service account in this namespace, as the component \
                                  `known-secrets` does, or remove the namespace from knownSecrets.pods.namespaces",
                        "Secrets of pods cannot be read: their values are not masked"
                    );
                }
                state.forbid(name.clone());
                Outcome::Forbidden
            }
            Err(SecretReadError::Failed(problem)) => {
                pod.mark_unread(index);
                let (namespace, secret) = (&*name.0, &*name.1);
                match self.state.lock().say(format!("failed {namespace}")) {
                    true => warn!(
                        namespace,
                        secret,
                        problem,
                        "a Secret of a pod cannot be read: its values are not masked"
                    ),
                    false => debug!(
                        namespace,
                        secret, problem, "a Secret of a pod cannot be read"
                    ),
                }
                Outcome::Failed
            }
        }
    }

    fn over_limit(&self, pod: &PodSecrets, index: usize, name: &SecretName) -> Outcome {
        pod.mark_unread(index);
        let (namespace, secret) = (&*name.0, &*name.1);
        if self.state.lock().say(format!("limit {namespace}")) {
            warn!(
                namespace,
                secret,
                "Secrets of pods have too many bytes (256 KiB of a pod, 16 MiB in all): values are not masked"
            );
        }
        Outcome::OverLimit
    }

    /// Returns the current version of a Secret. `None` if all versions have too many bytes.
    async fn current_version(
        &self,
        name: &SecretName,
    ) -> Result<Option<(Arc<SecretVersion>, Outcome)>, SecretReadError> {
        let failed = |text: &str| SecretReadError::Failed(text.to_owned());
        let Some(reader) = &self.reader else {
            return Err(failed("a recording has no cluster to ask"));
        };
        let _permit = self.requests.acquire(&name.0).await;
        let late = |_| failed("no response in time");
        let known = self.state.lock().live_versions(name);
        if !known.is_empty() {
            // Known values need not be transferred again, so only the version is requested.
            let id = tokio::time::timeout(TIMEOUT, reader.version(&name.0, &name.1)).await;
            let id = id.map_err(late)??;
            let current = known.into_iter().find(|version| *version.id() == id);
            if let Some(current) = current {
                return Ok(Some((current, Outcome::Unchanged)));
            }
        }
        let object = tokio::time::timeout(TIMEOUT, reader.read(&name.0, &name.1)).await;
        let object = object.map_err(late)??;
        let made = SecretVersion::new(object, self.with_tokens, &self.total_bytes);
        let Some((version, refusals)) = made else {
            return Ok(None);
        };
        let mut state = self.state.lock();
        state.name_refusals(&refusals);
        // Another Pod may have read the same version at the same time.
        let mut others = state.live_versions(name).into_iter();
        let version = others
            .find(|other| other.id() == version.id())
            .unwrap_or_else(|| Arc::new(version));
        state.purge();
        let versions = state.versions.entry(name.clone()).or_default();
        versions.retain(|known| known.strong_count() > 0);
        if !versions
            .iter()
            .any(|known| known.as_ptr() == Arc::as_ptr(&version))
        {
            versions.push(Arc::downgrade(&version));
        }
        Ok(Some((version, Outcome::Read)))
    }
}

impl Outcome {
    fn label(&self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Unchanged => "unchanged",
            Self::Missing => "missing",
            Self::Forbidden => "forbidden",
            Self::Failed => "failed",
            Self::OverLimit => "over_limit",
        }
    }
}

impl State {
    fn live_versions(&self, name: &SecretName) -> Vec<Arc<SecretVersion>> {
        let versions = self.versions.get(name).into_iter().flatten();
        versions.filter_map(Weak::upgrade).collect()
    }

    /// Removes the entries of dropped Pods and versions, when the number of entries has doubled
    /// since the last removal.
    fn purge(&mut self) {
        if self.pods.len() + self.versions.len() < self.purge_at {
            return;
        }
        self.pods.retain(|_, pod| pod.strong_count() > 0);
        self.turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        self.versions.retain(|_, versions| {
            versions.retain(|version| version.strong_count() > 0);
            !versions.is_empty()
        });
        self.purge_at = 2 * (self.pods.len() + self.versions.len()) + 64;
    }

    fn turn(&mut self, name: &SecretName) -> Arc<tokio::sync::Mutex<()>> {
        self.turns.entry(name.clone()).or_default().clone()
    }

    /// Removes the lock of a Secret if no other reader waits for it.
    fn end_turn(&mut self, name: &SecretName, turn: &Arc<tokio::sync::Mutex<()>>) {
        // The caller has one reference, and the map has another one.
        if Arc::strong_count(turn) <= 2 {
            self.turns.remove(name);
        }
    }

    fn is_forbidden(&self, name: &SecretName) -> bool {
        let now = Instant::now();
        let until = self.forbidden.get(name);
        until.is_some_and(|until| *until > now)
    }

    fn forbid(&mut self, name: SecretName) {
        let now = Instant::now();
        if self.forbidden.len() >= MAX_FORBIDDEN {
            self.forbidden.retain(|_, until| *until > now);
        }
        if self.forbidden.len() < MAX_FORBIDDEN {
            self.forbidden.insert(name, now + FORBIDDEN_TIME);
        }
    }

    /// Returns whether a message was not logged yet.
    fn say(&mut self, message: String) -> bool {
        self.said.len() < MAX_NAMED && self.said.insert(message)
    }

    fn name_refusals(&mut self, refusals: &[Refusal]) {
        for refusal in refusals {
            let source = &*refusal.source_name;
            if self.say(format!("refused {source}")) {
                warn!(
                    source,
                    "a known secret is not masked, because it would hide ordinary text: it {}",
                    refusal.reason
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
