//! Metrics of the connections to the admin server.

use crate::metrics::{Counter, Gauge, Registry};

/// Counts the connections to one listener.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionMetrics {
    pub(super) open: Gauge,
    /// Connections that were closed at the limit of connections.
    pub(super) refused: Counter,
    /// Connections that were closed because a request or its response took too long.
    pub(super) timed_out: Counter,
}

impl ConnectionMetrics {
    /// Registers the metrics of all listeners, and returns them in the same order.
    pub(super) fn register(registry: &mut Registry, listeners: &[&'static str]) -> Vec<Self> {
        let all: Vec<Self> = listeners.iter().map(|_| Self::default()).collect();
        let each = || listeners.iter().copied().zip(&all);
        registry.register_family(
            "admin_connections",
            "Open connections to a listener of the admin server",
            "listener",
            each().map(|(listener, metrics)| (listener, &metrics.open)),
        );
        registry.register_family(
            "admin_connections_refused",
            "Connections that were closed because there were too many, in total or from one address",
            "listener",
            each().map(|(listener, metrics)| (listener, &metrics.refused)),
        );
        registry.register_family(
            "admin_connections_timed_out",
            "Connections that were closed because a request was not sent in time, or its response was not read in time",
            "listener",
            each().map(|(listener, metrics)| (listener, &metrics.timed_out)),
        );
        all
    }
}
