//! Where Tekton sends its own events: two of its ConfigMaps, followed while the observer runs.

use super::config_map::SlimConfigMap;
use super::watch::{self as watches, WatchConfig};
use super::watch_event::Event;
use futures::StreamExt as _;
use kube::Client;
use tokio::sync::watch;
use tracing::warn;

/// ConfigMaps and keys that name a sink; the first that does counts (Tekton: docs/events.md,
/// pkg/apis/config/events.go and default.go).
const PLACES: [(&str, &str); 2] = [
    ("config-events", "sink"),
    ("config-defaults", "default-cloud-events-sink"),
];

/// The sink that Tekton is configured with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TektonSink {
    /// It is not known yet.
    #[default]
    Unknown,
    /// There is none.
    None,
    /// Its URL, as it is written there.
    At(String),
}

/// Follows the sink that Tekton is configured with, for ever.
pub async fn watch_tekton_sink(client: Client, namespace: &str, told: &watch::Sender<TektonSink>) {
    let found = watch::Sender::new([None, None]);
    let follow = PLACES.iter().enumerate().map(|(index, (name, key))| {
        let (client, found) = (client.clone(), &found);
        follow(client, namespace, name, key, move |sink| {
            found.send_modify(|places: &mut [Option<Option<String>>; 2]| {
                if let Some(place) = places.get_mut(index) {
                    *place = Some(sink);
                }
            });
        })
    });
    let join = async {
        let mut found = found.subscribe();
        loop {
            let sink = first(found.borrow_and_update().as_slice());
            told.send_if_modified(|before| {
                let changes = *before != sink;
                *before = sink;
                changes
            });
            if found.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::join!(futures::future::join_all(follow), join);
}

/// The first that is there, once all are known.
fn first(places: &[Option<Option<String>>]) -> TektonSink {
    if places.iter().any(Option::is_none) {
        return TektonSink::Unknown;
    }
    let sink = places.iter().flatten().flatten().next();
    sink.map_or(TektonSink::None, |sink| TektonSink::At(sink.clone()))
}

async fn follow(
    client: Client,
    namespace: &str,
    name: &str,
    key: &str,
    tell: impl Fn(Option<String>),
) {
    let config = WatchConfig {
        labels: None,
        fields: Some(format!("metadata.name={name}")),
        timeout_seconds: watches::DEFAULT_TIMEOUT_SECONDS,
        page_size: 1,
    };
    let mut there = false;
    let changes = watches::watch_objects::<SlimConfigMap>(client, Some(namespace), config);
    let mut changes = std::pin::pin!(changes);
    while let Some(item) = changes.next().await {
        match item.event {
            Ok(Event::ListBegins) => there = false,
            Ok(Event::Listed(map) | Event::Changed(map)) => {
                there = true;
                let sink = map.text(key).map(|sink| sink.trim().to_owned());
                tell(sink.filter(|sink| !sink.is_empty()));
            }
            // What it said before counts, and it was logged.
            Ok(Event::Unreadable(_)) => there = true,
            Ok(Event::ListComplete) if there => {}
            Ok(Event::ListComplete | Event::Deleted(_) | Event::UnreadableDeleted(_)) => tell(None),
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
        assert_eq!(first(&[at("a"), None]), TektonSink::Unknown);
        assert_eq!(first(&[at("a"), at("b")]), TektonSink::At("a".to_owned()));
        assert_eq!(
            first(&[Some(None), at("b")]),
            TektonSink::At("b".to_owned())
        );
        assert_eq!(first(&[Some(None), Some(None)]), TektonSink::None);
    }
}
