//! The configuration of known secrets.

use crate::bounded::{at_most, namespace_names};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Maximum number of listed files, and of listed folders.
const MAX_PATHS: usize = 64;
/// Most environment variables that can be listed.
const MAX_VARIABLES: usize = 256;

/// Values that are masked wherever they stand, in every usual encoding, before any plugin sees them.
/// They are read from their sources, so the configuration holds none of them. A value that has fewer
/// than 6 characters, or is a common word, is not masked: the log names its source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct KnownSecretsConfig {
    /// Files that hold one secret each, of at most 256 KiB. They are read again when they change; an
    /// old value stays masked for 24 hours.
    #[serde(deserialize_with = "at_most::<MAX_PATHS, _, _>")]
    pub files: Vec<PathBuf>,
    /// Folders such as a mounted Secret: each file in them holds one secret, except those whose names
    /// begin with `..`. They are read again when they change.
    #[serde(deserialize_with = "at_most::<MAX_PATHS, _, _>")]
    pub folders: Vec<PathBuf>,
    /// Names of environment variables that hold one secret each. They are read at the start.
    #[serde(deserialize_with = "at_most::<MAX_VARIABLES, _, _>")]
    pub environment: Vec<String>,
    /// Kubernetes Secrets that the Pod of a run refers to.
    pub pods: PodSecretsConfig,
    /// Whether an event loses its log and all its other texts if a Secret of its Pod cannot be read.
    /// By default the event keeps them, and says how many Secrets are missing (`unreadSecrets`).
    pub require_secrets: bool,
}

/// Kubernetes Secrets that the Pod of a run refers to: in the environment of its containers (`env`,
/// `envFrom`), and in its volumes (`secret`, `projected`). They are read by their names, with the right
/// `get`, when the Pod is first seen, and again at the end of a step if they have changed. Their values
/// stay in memory until the run has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodSecretsConfig {
    /// Namespaces whose Secrets are read; empty: none. The service account of the observer needs the
    /// right to `get` `secrets` in each of them, and in no other.
    #[serde(deserialize_with = "namespace_names")]
    pub namespaces: Vec<String>,
    /// Whether `imagePullSecrets` of the Pod are read as well.
    pub image_pull_secrets: bool,
    /// Whether tokens of service accounts (Secrets of the type `kubernetes.io/service-account-token`)
    /// are masked as well.
    pub service_account_tokens: bool,
}

impl KnownSecretsConfig {
    /// Returns whether any secret is known.
    #[must_use]
    pub fn is_used(&self) -> bool {
        !(self.files.is_empty()
            && self.folders.is_empty()
            && self.environment.is_empty()
            && self.pods.namespaces.is_empty())
    }

    /// Returns the settings that are invalid on every machine: the path of each field below
    /// `knownSecrets`, and the problem.
    #[must_use]
    pub(crate) fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        for (field, paths) in [("files", &self.files), ("folders", &self.folders)] {
            for (index, path) in paths.iter().enumerate() {
                if path.as_os_str().is_empty() {
                    let problem = "the path is empty: name a file or folder".to_owned();
                    problems.push((format!("{field}[{index}]"), problem));
                }
            }
        }
        for (index, name) in self.environment.iter().enumerate() {
            if name.is_empty() || name.contains(['=', '\0']) {
                let problem = "name an environment variable".to_owned();
                problems.push((format!("environment[{index}]"), problem));
            }
        }
        if self.require_secrets && self.pods.namespaces.is_empty() {
            let problem = "it needs pods.namespaces: list the namespaces whose Secrets are read";
            problems.push(("requireSecrets".to_owned(), problem.to_owned()));
        }
        problems
    }
}
