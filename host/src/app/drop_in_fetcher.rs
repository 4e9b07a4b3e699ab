//! Fetches the modules of dropped-in plugins from the registries that the operator lists.

use crate::known_secrets::{SecretReadError, SecretReader};
use crate::observe;
use crate::oci::{
    Credential, CredentialSource, LocalAddresses, OciError, PluginStore, Pulled, Reference,
    Registries, RegistryAccess, RegistryScope, find_credential,
};
use crate::plugin::dropin::{DropInConfig, FetchJob, FetchResult, FetchedModule};
use futures::future::BoxFuture;
use std::sync::Arc;
use tracing::info;

/// Type and key of a Secret with credentials of registries (core/v1, `SecretTypeDockerConfigJson`).
const SECRET_TYPE: &str = "kubernetes.io/dockerconfigjson";
const SECRET_KEY: &str = ".dockerconfigjson";

/// Fetches modules. Clones share what was fetched.
#[derive(Clone, Debug)]
pub(super) struct DropInFetcher {
    store: PluginStore,
    registries: Arc<Registries>,
    local_addresses: LocalAddresses,
    /// The credentials that authors of plugins may use. Those in `registries` are the operator's own: with them, an author could load
    /// any plugin that the operator may read.
    credentials: Arc<dyn CredentialSource>,
}

/// The Secrets that the operator lists, in one namespace.
#[derive(Debug)]
struct PullSecrets {
    reader: Option<Arc<dyn SecretReader>>,
    namespace: Option<String>,
    names: Vec<String>,
}

impl DropInFetcher {
    /// Prepares fetches. Contacts nobody.
    pub(super) fn new(
        config: &DropInConfig,
        registries: Arc<Registries>,
        store: PluginStore,
        reader: Option<Arc<dyn SecretReader>>,
    ) -> Self {
        let addresses = config.registries.iter().flat_map(RegistryScope::addresses);
        let credentials = PullSecrets {
            reader,
            // Outside a cluster there is no own namespace.
            namespace: observe::own_namespace().or_else(|| config.namespace.clone()),
            names: config.pull_secrets.clone(),
        };
        Self {
            store,
            registries,
            local_addresses: LocalAddresses::Refused {
                except: addresses.collect(),
            },
            credentials: Arc::new(credentials),
        }
    }

    /// Fetches a module. What was fetched before comes from the disk.
    pub(super) async fn fetch(&self, job: FetchJob) -> FetchResult {
        let artifact = job.artifact();
        info!(plugin = job.name(), %artifact, "fetching plugin");
        let access = RegistryAccess {
            docker_config: None,
            credentials: Some(self.credentials.clone()),
            local_addresses: self.local_addresses.clone(),
            ..self.registries.access(artifact)
        };
        let pulled = self.store.get(artifact, access).await;
        let fetched = pulled.map(|pulled| {
            let Pulled {
                manifest: _,
                module,
                signature,
            } = pulled;
            FetchedModule {
                module: module.into(),
                signature: signature.map(Into::into),
            }
        });
        job.done(fetched.map_err(|error| error.to_string()))
    }
}

impl CredentialSource for PullSecrets {
    /// Reads the Secrets in their order, up to the first that has an entry for the repository. If none has one, a Secret that cannot be
    /// read is the error.
    fn find<'a>(
        &'a self,
        reference: &'a Reference,
    ) -> BoxFuture<'a, Result<Option<Credential>, OciError>> {
        Box::pin(async move {
            let (Some(reader), Some(namespace)) = (&self.reader, &self.namespace) else {
                return Ok(None);
            };
            let mut problem = None;
            for name in &self.names {
                match credential(&**reader, namespace, name, reference).await {
                    Ok(Some(found)) => return Ok(Some(found)),
                    Ok(None) => {}
                    Err(reason) => {
                        problem.get_or_insert(OciError::Secret {
                            name: format!("{namespace}/{name}"),
                            problem: reason,
                        });
                    }
                }
            }
            match problem {
                Some(problem) => Err(problem),
                None => Ok(None),
            }
        })
    }
}

async fn credential(
    reader: &dyn SecretReader,
    namespace: &str,
    name: &str,
    reference: &Reference,
) -> Result<Option<Credential>, String> {
    let secret = reader.read(namespace, name).await;
    let secret = secret.map_err(|error| match error {
        SecretReadError::Forbidden => {
            "the observer must not read it: grant get on this Secret".to_owned()
        }
        SecretReadError::Missing => "it does not exist".to_owned(),
        SecretReadError::Failed(reason) => reason,
    })?;
    let content = secret.data.get(SECRET_KEY);
    let content = content.filter(|_| secret.kind == SECRET_TYPE);
    let content = content.ok_or_else(|| format!("it is none of the type {SECRET_TYPE}"))?;
    find_credential(content, reference).map_err(|error| error.to_string())
}
