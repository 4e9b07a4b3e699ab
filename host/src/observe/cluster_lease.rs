//! A Lease of the cluster.
//!
//! Fields and their meaning: Kubernetes API, `coordination.k8s.io/v1`, LeaseSpec.

use crate::clock;
use crate::locked::Locked;
use crate::standby::{LeaseError, LeaseRecord, LeaseStore, LeaseWrite};
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, Client};
use std::fmt;
use std::time::Duration;

/// Annotation with the time until which the holder has delivered everything.
const DELIVERED_UNTIL: &str = "step-observer.dev/delivered-until";

/// Reads and writes one Lease.
pub struct ClusterLease {
    leases: Api<Lease>,
    lease: String,
    /// `namespace/lease`.
    full_name: String,
    /// The last object, so that a write keeps what others have added to it.
    last: Locked<Option<Lease>>,
}

impl fmt::Debug for ClusterLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterLease")
            .field("name", &self.full_name)
            .finish_non_exhaustive()
    }
}

impl ClusterLease {
    /// Makes one for the Lease of this name in the client's own namespace.
    #[must_use]
    pub fn new(client: Client, lease: String) -> Self {
        let full_name = format!("{}/{lease}", client.default_namespace());
        Self {
            leases: Api::default_namespaced(client),
            lease,
            full_name,
            last: Locked::default(),
        }
    }

    /// Returns the object to write.
    fn object(&self, write: LeaseWrite, now: Timestamp) -> Lease {
        let LeaseWrite {
            before,
            holder,
            duration,
            delivered_until,
        } = write;
        let version = before.as_ref().map(|before| before.version.clone());
        let last = self.last.lock().clone();
        let kept =
            last.filter(|last| version.is_some() && last.metadata.resource_version == version);
        let mut lease = kept.unwrap_or_default();
        lease.metadata.name = Some(self.lease.clone());
        lease.metadata.resource_version = version;
        let annotations = lease.metadata.annotations.get_or_insert_default();
        match delivered_until {
            Some(time) => drop(annotations.insert(DELIVERED_UNTIL.to_owned(), time.to_string())),
            None => drop(annotations.remove(DELIVERED_UNTIL)),
        }
        let spec = lease.spec.get_or_insert_default();
        let is_change = spec.holder_identity.as_deref().unwrap_or_default() != holder;
        if is_change && !holder.is_empty() {
            // client-go, too, counts only who comes.
            let transitions = before.map_or(0, |before| before.transitions);
            let transitions = i32::try_from(transitions).unwrap_or(i32::MAX);
            spec.lease_transitions = Some(transitions.saturating_add(1));
            spec.acquire_time = Some(MicroTime(now));
        }
        spec.holder_identity = Some(holder);
        let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
        spec.lease_duration_seconds = Some(i32::try_from(seconds).unwrap_or(i32::MAX).max(1));
        spec.renew_time = Some(MicroTime(now));
        lease
    }

    fn remember(&self, lease: Lease) -> LeaseRecord {
        let record = record(&lease);
        *self.last.lock() = Some(lease);
        record
    }
}

impl LeaseStore for ClusterLease {
    fn name(&self) -> &str {
        &self.full_name
    }

    fn read(&self) -> BoxFuture<'_, Result<Option<LeaseRecord>, LeaseError>> {
        Box::pin(async move {
            let read = self.leases.get_opt(&self.lease).await;
            let lease = read.map_err(|error| problem("get", error))?;
            Ok(lease.map(|lease| self.remember(lease)))
        })
    }

    fn write(&self, write: LeaseWrite) -> BoxFuture<'_, Result<LeaseRecord, LeaseError>> {
        Box::pin(async move {
            let creates = write.before.is_none();
            let lease = self.object(write, clock::now());
            let (verb, written) = match creates {
                true => {
                    let created = self.leases.create(&PostParams::default(), &lease).await;
                    ("create", created)
                }
                false => {
                    let parameters = PostParams::default();
                    let replaced = self.leases.replace(&self.lease, &parameters, &lease).await;
                    ("update", replaced)
                }
            };
            written
                .map(|lease| self.remember(lease))
                .map_err(|error| problem(verb, error))
        })
    }
}

fn record(lease: &Lease) -> LeaseRecord {
    let spec = lease.spec.clone().unwrap_or_default();
    let LeaseSpec {
        holder_identity,
        lease_duration_seconds,
        lease_transitions,
        ..
    } = spec;
    let positive =
        |number: Option<i32>| u32::try_from(number.unwrap_or_default()).unwrap_or_default();
    let annotations = lease.metadata.annotations.as_ref();
    let delivered_until = annotations.and_then(|annotations| annotations.get(DELIVERED_UNTIL));
    LeaseRecord {
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        holder: holder_identity.unwrap_or_default(),
        duration: Duration::from_secs(positive(lease_duration_seconds).into()),
        transitions: positive(lease_transitions),
        delivered_until: delivered_until.and_then(|time| time.parse().ok()),
    }
}

fn problem(verb: &'static str, error: kube::Error) -> LeaseError {
    match error {
        kube::Error::Api(status) if matches!(status.code, 401 | 403) => LeaseError::Forbidden {
            code: status.code,
            verb,
        },
        // 404 of a write: the Lease, or the whole namespace, is gone.
        kube::Error::Api(status) if status.code == 409 => LeaseError::Conflict,
        kube::Error::Api(status) if status.code == 404 && verb == "update" => LeaseError::Conflict,
        kube::Error::Api(status) => {
            LeaseError::Failed(format!("{verb}: {} {}", status.code, status.message))
        }
        kube::Error::SerdeError(_) => {
            LeaseError::Failed(format!("{verb}: the answer cannot be read"))
        }
        other => LeaseError::Failed(format!("{verb}: {other}")),
    }
}
