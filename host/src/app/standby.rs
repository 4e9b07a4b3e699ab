//! The wait of an observer that is one of several, until it is the active one.

use super::status::standby_status;
use super::{App, AppError, CarriedOver, reviewer};
use crate::admin::{JournalStatus, StatusSnapshot, Subject};
use crate::clock;
use crate::metrics::Registry;
use crate::plugin::dropin::Roster;
use crate::standby::Standby;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// Time for answers to requests that are open when the observer becomes active. It is short, because the observer renews
/// its Lease only after it.
const LAST_ANSWERS: Duration = Duration::from_millis(100);

impl App {
    /// Returns this observer among several, if it is one.
    #[must_use]
    pub fn standby(&self) -> Option<Standby> {
        self.carried.standby.clone()
    }

    /// Waits until this observer is the active one of several, or until `stop` resolves. Meanwhile only the admin
    /// server answers: there are no watches, and the journal accepts and delivers nothing. Requests that are open at the
    /// end are answered.
    ///
    /// # Errors
    ///
    /// The admin server does not start.
    pub async fn wait_until_active(
        &mut self,
        stop: impl Future<Output = ()>,
    ) -> Result<(), AppError> {
        let Some(standby) = self.standby() else {
            return Ok(());
        };
        let (end, ended) = oneshot::channel::<()>();
        let admin = self.waiting_admin(&standby, &ended.map(drop).boxed().shared())?;
        let mut admin = std::pin::pin!(futures::future::maybe_done(admin));
        let acquired = tokio::select! {
            delivered_until = standby.acquire() => Some(delivered_until),
            () = stop => None,
            // Without a listener, it would end at once.
            () = admin.as_mut().then(|()| std::future::pending()) => None,
        };
        end.send(()).ok();
        let Some(delivered_until) = acquired else {
            admin.await;
            return Ok(());
        };
        tokio::time::timeout(LAST_ANSWERS, admin).await.ok();
        let waited = clock::since_boot().saturating_sub(self.built_at);
        self.carried.gaps.hand_over(delivered_until);
        let horizon = self.source.begin(waited, delivered_until);
        self.carried.begin_at(horizon);
        Ok(())
    }

    fn waiting_admin(
        &self,
        standby: &Standby,
        end: &Shared<BoxFuture<'static, ()>>,
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
        Ok(carried.listeners.serve(auth, reviewer, subject, end)?)
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
