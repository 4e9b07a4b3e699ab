//! Connections to the observer's own addresses, as metrics.

use super::metric::Metric;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What became of the connections to one address.
#[derive(Debug, Default)]
pub(super) struct ConnectionMetrics {
    open: AtomicUsize,
    refused: AtomicU64,
    timed_out: AtomicU64,
}

impl ConnectionMetrics {
    pub(super) fn set_open(&self, count: usize) {
        self.open.store(count, Ordering::Relaxed);
    }

    /// One was closed because there are too many.
    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// One was closed because it took too long.
    pub(super) fn timed_out(&self) {
        self.timed_out.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed) as u64
    }

    pub(super) fn refused_count(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn timed_out_count(&self) -> u64 {
        self.timed_out.load(Ordering::Relaxed)
    }
}

/// The metrics of each address, by its name.
pub(super) type Named = Vec<(&'static str, Arc<ConnectionMetrics>)>;

/// Those of all addresses.
#[derive(Clone, Debug)]
pub(super) struct Connections(pub(super) Arc<Named>);

impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let encoder = &mut encoder;
        let each = |value: fn(&ConnectionMetrics) -> u64| {
            let named = self.0.iter();
            named.map(move |(name, metrics)| (*name, value(metrics)))
        };
        Metric::gauge(
            "admin_connections",
            "Open connections to an address of admin",
        )
        .encode_family(encoder, "listener", each(ConnectionMetrics::open))?;
        Metric::counter(
            "admin_connections_refused",
            "Connections that were closed because there are too many, in all or from one address",
        )
        .encode_family(encoder, "listener", each(ConnectionMetrics::refused_count))?;
        Metric::counter(
            "admin_connections_timed_out",
            "Connections that were closed because a request was not sent in time, or its answer not taken",
        )
        .encode_family(
            encoder,
            "listener",
            each(ConnectionMetrics::timed_out_count),
        )
    }
}
