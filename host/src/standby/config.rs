//! Configuration of a standby.

use crate::bounded::Bounded;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest `leaseMs`. It also bounds how long a waiting observer respects the record of another one.
pub(super) const MAX_LEASE_MS: u64 = 600_000;

/// Several observers of the same runs, of which one is active and the others wait. The active one
/// holds a Lease of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StandbyConfig {
    /// Name of the Lease, in the namespace of the observer. If there are several shards, the number of
    /// the shard is appended: `step-observer-0`.
    #[serde(deserialize_with = "crate::bounded::name")]
    pub lease: String,
    /// Time without a renewal after which another observer takes over. The Lease states it in whole
    /// seconds, rounded up.
    pub lease_ms: Bounded<100, MAX_LEASE_MS>,
    /// Time between two renewals.
    pub renew_ms: Bounded<10, 300_000>,
    /// Time after the last successful renewal after which the active observer begins no delivery and
    /// ends. At most eight tenths of `leaseMs`, so that clocks may differ in speed by 10 %.
    pub give_up_ms: Bounded<50, 480_000>,
}

impl Default for StandbyConfig {
    fn default() -> Self {
        Self {
            lease: "step-observer".to_owned(),
            lease_ms: Bounded::new(10_000),
            renew_ms: Bounded::new(2_000),
            give_up_ms: Bounded::new(6_000),
        }
    }
}

impl StandbyConfig {
    /// Returns the first field that does not go together with the others, and why.
    #[must_use]
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let (lease, renew, give_up) = (
            self.lease_ms.get(),
            self.renew_ms.get(),
            self.give_up_ms.get(),
        );
        // Slow by 10 % here and fast by 10 % there: 11/10 of `giveUpMs` must be less than 9/10 of `leaseMs`.
        if give_up * 10 > lease * 8 {
            let most = lease * 8 / 10;
            return Some((
                "giveUpMs",
                format!(
                    "{give_up} is more than eight tenths of leaseMs ({lease}): give at most {most}"
                ),
            ));
        }
        if renew * 2 > give_up {
            let most = give_up / 2;
            return Some((
                "renewMs",
                format!("{renew} is more than half of giveUpMs ({give_up}): give at most {most}"),
            ));
        }
        None
    }

    pub(super) fn timing(&self) -> LeaseTiming {
        LeaseTiming {
            lease: Duration::from_millis(self.lease_ms.get()),
            renew: Duration::from_millis(self.renew_ms.get()),
            give_up: Duration::from_millis(self.give_up_ms.get()),
        }
    }
}

/// The times of [`StandbyConfig`].
#[derive(Clone, Copy, Debug)]
pub(super) struct LeaseTiming {
    pub(super) lease: Duration,
    pub(super) renew: Duration,
    pub(super) give_up: Duration,
}
