//! Follows the URL of the sink that Tekton sends its own events to.

use crate::http::HttpUrl;
use crate::observe::{TektonSink, watch_tekton_sink};
use crate::sink::{DynamicUrl, TektonConfig};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tracing::{info, warn};

/// Returns a future that follows the URL, and a receiver of the current URL.
pub(super) fn watch_url(
    client: kube::Client,
    config: &TektonConfig,
) -> (BoxFuture<'static, ()>, DynamicUrl) {
    let (url, current_url) = watch::channel(None);
    let namespace = config.namespace.clone();
    let following = async move {
        let sinks = watch::Sender::new(TektonSink::Unknown);
        let forward = async {
            let mut changes = sinks.subscribe();
            while changes.changed().await.is_ok() {
                let sink = changes.borrow_and_update().clone();
                url.send_replace(parse_url(sink));
            }
        };
        tokio::join!(watch_tekton_sink(client, &namespace, &sinks), forward);
    };
    (following.boxed(), current_url)
}

fn parse_url(sink: TektonSink) -> Option<HttpUrl> {
    match sink {
        TektonSink::Unknown => None,
        TektonSink::None => {
            warn!(
                "Tekton has no sink (config-events: sink, config-defaults: default-cloud-events-sink): events wait \
                 until it has one, or one is named with --to"
            );
            None
        }
        TektonSink::At(text) => match HttpUrl::try_from(text) {
            Ok(url) => {
                info!(
                    host = url.host(),
                    "events go to the sink that Tekton is configured with"
                );
                Some(url)
            }
            Err(problem) => {
                warn!(
                    problem,
                    "the sink that Tekton is configured with cannot be used: events wait"
                );
                None
            }
        },
    }
}
