//! Reads the sink of Tekton's own events from two of its ConfigMaps, which are watched while the
//! observer runs.

use super::config_map::SlimConfigMap;
use super::watch::{self as watches, WatchConfig};
use super::watch_event::Event;
use futures::StreamExt as _;
use kube::Client;
use tokio::sync::watch;
use tracing::warn;

/// The ConfigMaps and keys that may name a sink. The first one that names a sink counts (Tekton:
/// docs/events.md, pkg/apis/config/events.go and default.go).
const SINK_SETTINGS: [(&str, &str); 2] = [
    ("config-events", "sink"),
    ("config-defaults", "default-cloud-events-sink"),
];

/// The sink for which Tekton is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TektonSink {
    /// The ConfigMaps were not read yet.
    #[default]
    Unknown,
    /// Tekton has no sink.
    None,
    /// The URL, as the ConfigMap contains it.
    At(String),
}

/// Watches the sink for which Tekton is configured. Never ends.
pub async fn watch_tekton_sink(
    client: Client,
    namespace: &str,
    current: &watch::Sender<TektonSink>,
) {
    let found = watch::Sender::new([None, None]);
    let watch_settings = SINK_SETTINGS
        .iter()
        .enumerate()
        .map(|(index, (name, key))| {
            let (client, found) = (client.clone(), &found);
            watch_setting(client, namespace, name, key, move |sink| {
                found.send_modify(|settings: &mut [Option<Option<String>>; 2]| {
                    if let Some(setting) = settings.get_mut(index) {
                        *setting = Some(sink);
                    }
                });
            })
        });
    let join = async {
        let mut found = found.subscribe();
        loop {
            let sink = first_sink(found.borrow_and_update().as_slice());
            current.send_if_modified(|before| {
                let changes = *before != sink;
                *before = sink;
                changes
            });
            if found.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::join!(futures::future::join_all(watch_settings), join);
}

/// Returns the sink of the first setting that contains a sink. Returns `Unknown` if the value of a
/// setting is not known yet (outer `None`).
fn first_sink(settings: &[Option<Option<String>>]) -> TektonSink {
    if settings.iter().any(Option::is_none) {
        return TektonSink::Unknown;
    }
    let sink = settings.iter().flatten().flatten().next();
    sink.map_or(TektonSink::None, |sink| TektonSink::At(sink.clone()))
}

async fn watch_setting(
    client: Client,
    namespace: &str,
    name: &str,
    key: &str,
    set_sink: impl Fn(Option<String>),
) {
    let config = WatchConfig {
        labels: None,
        fields: Some(format!("metadata.name={name}")),
        timeout_seconds: watches::DEFAULT_TIMEOUT_SECONDS,
        max_page_size: 1,
    };
    let mut is_present = false;
    let changes = watches::watch_objects::<SlimConfigMap>(client, Some(namespace), config);
    let mut changes = std::pin::pin!(changes);
    while let Some(item) = changes.next().await {
        match item.event {
            Ok(Event::ListBegins) => is_present = false,
            Ok(Event::Listed(map) | Event::Changed(map)) => {
                is_present = true;
                let sink = map.text(key).map(|sink| sink.trim().to_owned());
                set_sink(sink.filter(|sink| !sink.is_empty()));
            }
            // The last readable value counts. The problem was logged.
            Ok(Event::Unreadable(_)) => is_present = true,
            Ok(Event::ListComplete) if is_present => {}
            Ok(Event::ListComplete | Event::Deleted(_) | Event::UnreadableDeleted(_)) => {
                set_sink(None)
            }
            Err(error) => warn!(
                config_map = name,
                error = %error,
                remedy = (error.refused_with() == Some(403)).then_some(
                    "grant list and watch on this ConfigMap to the service account, or name a sink"
                ),
                "the sink that Tekton is configured with cannot be read, retrying; events wait"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_counts_once_all_are_known() {
        let at = |sink: &str| Some(Some(sink.to_owned()));
        assert_eq!(first_sink(&[at("a"), None]), TektonSink::Unknown);
        assert_eq!(
            first_sink(&[at("a"), at("b")]),
            TektonSink::At("a".to_owned())
        );
        assert_eq!(
            first_sink(&[Some(None), at("b")]),
            TektonSink::At("b".to_owned())
        );
        assert_eq!(first_sink(&[Some(None), Some(None)]), TektonSink::None);
    }
}
