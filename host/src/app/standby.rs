//! The wait of an observer that is one of several, until it is the active one.

use super::status::standby_status;
use super::{App, AppError, CarriedOver, Source, reviewer};
use crate::admin::{JournalStatus, StatusSnapshot, Subject};
use crate::clock;
use crate::config::Config;
use crate::metrics::Registry;
use crate::observe;
use crate::plugin::dropin::Roster;
use crate::standby::Standby;
use std::sync::Arc;
use step_observer_core::Shard;
use tokio::sync::watch;

/// Returns this observer among several, if `standby` is configured and there is a cluster.
pub(super) fn of(source: &Source, config: &Config) -> Result<Option<Standby>, AppError> {
    let (Some(standby), Some(client)) = (&config.standby, source.client()) else {
        return Ok(None);
    };
    let shard = Shard::ordinal_and_total(config.cluster.own_shard()?);
    let name = match shard {
        Some((shard, _)) => format!("{}-{shard}", standby.lease),
        None => standby.lease.clone(),
    };
    let lease = observe::ClusterLease::new(client.clone(), name);
    Ok(Some(Standby::new(standby, identity(), Arc::new(lease))))
}

/// Returns a name that no other process has: that of the host, which is the name of the pod, and a random
/// part, because a container that was restarted is another holder.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "step-observer",
        host => host,
    };
    format!("{host}_{:016x}", fastrand::u64(..))
}

impl App {
    /// Returns this observer among several, if it is one.
    #[must_use]
    pub fn standby(&self) -> Option<Standby> {
        self.carried.standby.clone()
    }

    /// Waits until this observer is the active one of several. Meanwhile only the admin server answers: there
    /// are no watches, and the journal accepts and delivers nothing.
    ///
    /// # Errors
    ///
    /// The admin server does not start.
    pub async fn wait_until_active(&mut self) -> Result<(), AppError> {
        let Some(standby) = self.standby() else {
            return Ok(());
        };
        let admin = self.waiting_admin(&standby)?;
        // Without a listener, it would end at once.
        let admin = async {
            admin.await;
            std::future::pending::<()>().await;
        };
        let delivered_until = tokio::select! {
            delivered_until = standby.acquire() => delivered_until,
            () = admin => None,
        };
        let waited = clock::since_boot().saturating_sub(self.built_at);
        self.carried.gaps.hand_over(delivered_until);
        let horizon = self.source.begin(waited, delivered_until);
        self.carried.begin_at(horizon);
        Ok(())
    }

    fn waiting_admin(
        &self,
        standby: &Standby,
    ) -> Result<impl Future<Output = ()> + Send + use<>, AppError> {
        let carried = &self.carried;
        let mut registry = Registry::new();
        carried.register_metrics(&mut registry);
        let (shown, standby) = (carried.clone(), standby.clone());
        let status = Arc::new(move || waiting_snapshot(&shown, &standby));
        let subject = Subject {
            // Nobody changes it, so the sender is not needed.
            roster: watch::channel(Roster::default()).1,
            status,
            registry,
            history: carried.history.clone(),
            page: carried.page.clone(),
            sinks: Vec::new(),
        };
        let auth = carried.admin_config.auth.as_ref();
        let reviewer = reviewer::reviewer(&self.source, auth);
        let end = futures::future::pending::<()>();
        Ok(carried.listeners.serve(auth, reviewer, subject, &end)?)
    }
}

fn waiting_snapshot(carried: &CarriedOver, standby: &Standby) -> StatusSnapshot {
    let (bytes, max_bytes) = carried.journal.bytes();
    StatusSnapshot {
        standby: Some(standby_status(standby)),
        configuration: carried.reloads(),
        journal: JournalStatus {
            bytes,
            max_bytes,
            disk_full: carried.journal.is_disk_full(),
            ..JournalStatus::default()
        },
        ..StatusSnapshot::default()
    }
}
