//! Watches the ConfigMaps that contain plugins, and writes Kubernetes Events on them that state
//! whether the plugins were loaded.

use super::config_map::SlimConfigMap;
use super::watch::{self, WatchConfig};
use super::watch_event::{Event, WatchError};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use kube::runtime::events::{Event as Note, EventType, Recorder, Reporter};
use kube::{Api, Client};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::warn;

/// Label of a ConfigMap that contains a plugin.
pub const PLUGIN_LABEL: &str = "step-observer.dev/plugin";
/// Number of ConfigMaps in one page of a list. Each of them can hold 1 MiB.
const MAX_PAGE_SIZE: u32 = 8;
/// Timeout of writing an Event.
const EVENT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bounds the bytes of the note of an Event (events.k8s.io/v1).
const MAX_NOTE_BYTES: usize = 1024;

/// A change of the ConfigMaps that contain plugins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginConfigMapChange {
    /// A ConfigMap was added or modified.
    Present {
        /// Name of the ConfigMap.
        name: String,
        /// Files in `data` and `binaryData`.
        files: BTreeMap<String, Vec<u8>>,
    },
    /// A ConfigMap was deleted.
    Gone {
        /// Name of the ConfigMap.
        name: String,
    },
    /// Every ConfigMap that existed at the start was sent.
    Listed,
}

/// Returns the namespace of the program's pod, if it runs in a cluster.
#[must_use]
pub fn own_namespace() -> Option<String> {
    // The kubelet mounts the service account of every pod here.
    let text = std::fs::read_to_string("/var/run/secrets/kubernetes.io/serviceaccount/namespace");
    let text = text.ok()?;
    let name = text.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Watches the ConfigMaps with plugins in a namespace until the receiver of `changes` is dropped.
pub async fn watch_plugins(
    client: Client,
    namespace: String,
    changes: mpsc::Sender<PluginConfigMapChange>,
) {
    let config = WatchConfig {
        labels: Some(format!("{PLUGIN_LABEL}=true")),
        fields: None,
        timeout_seconds: watch::DEFAULT_TIMEOUT_SECONDS,
        max_page_size: MAX_PAGE_SIZE,
    };
    let mut known = KnownConfigMaps::default();
    let mut watch = std::pin::pin!(watch::watch_objects(client, Some(&namespace), config));
    while let Some(item) = watch.next().await {
        let event = match item.event {
            Ok(event) => event,
            Err(error) => {
                warn!(
                    kind = "configmaps",
                    namespace,
                    error = %error,
                    remedy = remedy(&error),
                    "the plugins in ConfigMaps cannot be read, retrying"
                );
                continue;
            }
        };
        for change in known.apply(event) {
            if changes.send(change).await.is_err() {
                return;
            }
        }
    }
}

/// The names of the known ConfigMaps. A name that is missing from a later list counts as deleted.
#[derive(Default)]
struct KnownConfigMaps {
    names: BTreeSet<String>,
    listing: BTreeSet<String>,
    listed: bool,
}

impl KnownConfigMaps {
    fn apply(&mut self, event: Event<SlimConfigMap>) -> Vec<PluginConfigMapChange> {
        match event {
            Event::ListBegins => {
                self.listing.clear();
                Vec::new()
            }
            Event::Listed(map) => {
                self.listing.insert(map.name().to_owned());
                self.present(map)
            }
            Event::Changed(map) => self.present(map),
            Event::Deleted(map) => self.gone(map.name()),
            // A ConfigMap that cannot be read counts as a refused plugin, because the plugin may
            // mask secrets. At the start, every event fails at this plugin. Later, the previous
            // version of the plugin stays in use.
            Event::Unreadable(map) => {
                let name = (*map.name).to_owned();
                self.listing.insert(name.clone());
                self.names.insert(name.clone());
                let files = BTreeMap::new();
                vec![PluginConfigMapChange::Present { name, files }]
            }
            Event::UnreadableDeleted(map) => self.gone(&map.name),
            Event::ListComplete => {
                let listing = std::mem::take(&mut self.listing);
                let vanished: Vec<String> = self.names.difference(&listing).cloned().collect();
                self.names = listing;
                let mut changes: Vec<_> = vanished
                    .into_iter()
                    .map(|name| PluginConfigMapChange::Gone { name })
                    .collect();
                if !std::mem::replace(&mut self.listed, true) {
                    changes.push(PluginConfigMapChange::Listed);
                }
                changes
            }
        }
    }

    fn present(&mut self, map: SlimConfigMap) -> Vec<PluginConfigMapChange> {
        let name = map.name().to_owned();
        let files = map.into_files();
        self.names.insert(name.clone());
        vec![PluginConfigMapChange::Present { name, files }]
    }

    fn gone(&mut self, name: &str) -> Vec<PluginConfigMapChange> {
        self.names.remove(name);
        let name = name.to_owned();
        vec![PluginConfigMapChange::Gone { name }]
    }
}

/// Returns the remedy for an error that does not disappear by itself.
fn remedy(error: &WatchError) -> Option<&'static str> {
    (error.refused_with()? == 403).then_some(
        "grant get, list and watch on configmaps in this namespace to the service account, or set \
         dropIn.configMaps: false; until then no event is sent, because a plugin might mask it",
    )
}

/// Reports to the authors of plugins, by Events on their ConfigMaps, whether the plugins were
/// loaded.
#[derive(Clone)]
pub struct PluginEventRecorder {
    client: Client,
    reporter: Reporter,
}

impl std::fmt::Debug for PluginEventRecorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginEventRecorder")
            .finish_non_exhaustive()
    }
}

impl PluginEventRecorder {
    /// Creates a recorder. `instance` is the name of the pod or machine.
    #[must_use]
    pub fn new(client: Client, instance: Option<String>) -> Self {
        let controller = "step-observer".to_owned();
        Self {
            client,
            reporter: Reporter {
                controller,
                instance,
            },
        }
    }

    /// Writes an Event on a ConfigMap: `PluginLoaded`, or `PluginRejected` with the reason. If the
    /// write fails, only the Event is missing: the log contains the same message.
    pub async fn record(&self, namespace: &str, name: &str, outcome: Result<&str, &str>) {
        let written =
            tokio::time::timeout(EVENT_TIMEOUT, self.write(namespace, name, outcome)).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(EventError { error, right })) => {
                let remedy = matches!(&error, kube::Error::Api(status) if status.code == 403)
                    .then_some(right);
                warn!(namespace, name, error = %error, remedy, "failed to write an Event on the ConfigMap");
            }
            Err(_) => warn!(
                namespace,
                name, "writing an Event on the ConfigMap took too long"
            ),
        }
    }

    async fn write(
        &self,
        namespace: &str,
        name: &str,
        outcome: Result<&str, &str>,
    ) -> Result<(), EventError> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        // `kubectl describe` finds Events by the UID.
        let found = api.get_metadata_opt(name).await;
        let Some(map) = found.map_err(|error| EventError {
            error,
            right: "grant get on configmaps in this namespace to the service account",
        })?
        else {
            return Ok(());
        };
        let (type_, reason, note) = match outcome {
            Ok(note) => (EventType::Normal, "PluginLoaded", note),
            Err(note) => (EventType::Warning, "PluginRejected", note),
        };
        let note = note
            .get(..note.floor_char_boundary(MAX_NOTE_BYTES))
            .unwrap_or_default();
        let regarding = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("ConfigMap".to_owned()),
            namespace: Some(namespace.to_owned()),
            name: Some(name.to_owned()),
            uid: map.metadata.uid,
            resource_version: map.metadata.resource_version,
            ..ObjectReference::default()
        };
        let note = Note {
            type_,
            reason: reason.to_owned(),
            note: Some(note.to_owned()),
            action: "LoadPlugin".to_owned(),
            secondary: None,
        };
        // Creates a new recorder for each Event. A recorder that remembers earlier Events would
        // patch them, which needs another right.
        Recorder::new(self.client.clone(), self.reporter.clone())
            .publish(&note, &regarding)
            .await
            .map_err(|error| EventError {
                error,
                right: "grant create on events.events.k8s.io in this namespace to the service account",
            })
    }
}

/// An error of writing an Event, and the right that may be missing.
struct EventError {
    error: kube::Error,
    right: &'static str,
}
