//! Asks the cluster whether a caller of the admin server may see runs.

use super::Source;
use crate::admin::{Access, AccessReviewer, AuthConfig};
use crate::observe::{self, ReviewOutcome};
use futures::FutureExt as _;
use std::sync::Arc;

/// Returns a reviewer if the source is a cluster and the configuration delegates authorization to
/// the Kubernetes API server. Otherwise returns `None`.
pub(super) fn reviewer(source: &Source, auth: Option<&AuthConfig>) -> Option<AccessReviewer> {
    let (Source::Cluster { client, .. }, Some(AuthConfig::Kubernetes(config))) = (source, auth)
    else {
        return None;
    };
    let (client, audiences) = (client.clone(), Arc::new(config.audiences.clone()));
    Some(Arc::new(move |token, path| {
        let (client, audiences) = (client.clone(), audiences.clone());
        let reviewed = async move {
            let reviewed = observe::review(&client, &audiences, &token, &path).await;
            match reviewed.map_err(|error| error.to_string())? {
                ReviewOutcome::Allowed => Ok(Access::Allowed),
                ReviewOutcome::Forbidden => Ok(Access::Forbidden),
                ReviewOutcome::Unknown => Ok(Access::Unknown),
            }
        };
        reviewed.boxed()
    }))
}
