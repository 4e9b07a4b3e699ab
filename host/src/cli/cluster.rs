//! A cluster as the source of `run` and `record`.

use super::outcome::CommandError;
use step_observer::app::Source;
use step_observer::config::Config;
use step_observer::observe;

/// Connects to the cluster of the kubeconfig, or to the cluster of the pod that this process runs
/// in. Logs are read over a separate connection.
pub(super) async fn source(config: &Config) -> Result<Source, CommandError> {
    let (client, watches) = observe::connect().await?;
    let (log_client, _) = observe::connect().await?;
    Ok(Source::Cluster {
        started: observe::cluster_time(&client).await,
        client,
        log_client,
        watches,
        config: config.cluster.clone(),
        look_back: config.look_back.0,
        tap: None,
    })
}
