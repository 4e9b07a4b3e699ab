//! Whom the cluster lets in to what shows runs.

use super::Source;
use crate::admin::{Access, AccessReviewer, AuthConfig};
use crate::observe::{self, ReviewOutcome};
use futures::FutureExt as _;
use std::sync::Arc;

/// Asks the cluster, where there is one and it is to be asked.
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
