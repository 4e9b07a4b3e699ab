//! The arguments of commands that contact a registry.

use std::path::PathBuf;

/// How a registry is reached.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Registry")]
pub(crate) struct RegistryArgs {
    /// Speak HTTP without TLS: credentials and plugins can be read and changed on the way
    #[arg(long)]
    pub(crate) plain_http: bool,
    /// Certificates of authorities (PEM), one of which issued the registry's. The default is those of the system
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Docker's config.json with credentials, or its folder. The default is ~/.docker/config.json if it exists
    #[arg(long, value_name = "FILE", env = "DOCKER_CONFIG")]
    pub(crate) docker_config: Option<PathBuf>,
    /// Host that may get the credentials to issue a token, beside the registry's own. Repeatable
    #[arg(long = "token-host", value_name = "HOST")]
    pub(crate) token_hosts: Vec<String>,
}
