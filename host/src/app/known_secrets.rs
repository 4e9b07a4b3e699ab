//! Warns of rights that are wider than the masking of Secrets needs.

use crate::observe;
use tracing::{debug, warn};

/// A namespace whose Secrets no run needs. An observer that may read them may usually read the
/// Secrets of all namespaces.
const SYSTEM_NAMESPACE: &str = "kube-system";

/// Warns if the observer may read the Secrets of the whole cluster.
pub(super) async fn warn_of_wide_rights(client: kube::Client) {
    match observe::may_read_secrets(client, SYSTEM_NAMESPACE).await {
        Some(true) => warn!(
            namespace = SYSTEM_NAMESPACE,
            remedy = "bind the ClusterRole with a RoleBinding in each namespace of knownSecrets.pods.namespaces, and remove \
                      the ClusterRoleBinding",
            "the observer may read every Secret of the cluster: who takes over its account is administrator of the cluster"
        ),
        Some(false) => {}
        None => debug!("the API server does not say whether the observer may read all Secrets"),
    }
}
