//! Reads Secrets of a cluster by their names.

use crate::known_secrets::{SecretId, SecretObject, SecretReadError, SecretReader};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{GetParams, PostParams};
use kube::{Api, Client, Resource as _};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::{Debug, Formatter};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Timeout of a request that asks whether this client has a right.
const REVIEW_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads Secrets with a client.
#[derive(Clone)]
pub struct ClusterSecrets(Client);

impl Debug for ClusterSecrets {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterSecrets").finish_non_exhaustive()
    }
}

/// The members of a Secret that the observer reads.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SlimSecret<'a> {
    metadata: SlimMetadata,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(borrow)]
    data: Option<BTreeMap<String, &'a str>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SlimMetadata {
    uid: Arc<str>,
    resource_version: Arc<str>,
}

impl SlimMetadata {
    fn id(self) -> SecretId {
        SecretId {
            uid: self.uid,
            resource_version: self.resource_version,
        }
    }
}

impl ClusterSecrets {
    /// Creates a reader.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    /// Returns the text of a response, which may hold values.
    async fn get(
        &self,
        namespace: &str,
        name: &str,
        metadata_only: bool,
    ) -> Result<Zeroizing<String>, SecretReadError> {
        let request = kube::core::Request::new(Secret::url_path(&(), Some(namespace)));
        let parameters = GetParams::default();
        let request = match metadata_only {
            true => request.get_metadata(name, &parameters),
            false => request.get(name, &parameters),
        };
        let request = request.map_err(|error| SecretReadError::Failed(error.to_string()))?;
        // `Client::request` would log a response that it cannot read.
        let response = self.0.request_text(request).await;
        response.map(Zeroizing::new).map_err(|error| match error {
            kube::Error::Api(status) if status.code == 404 => SecretReadError::Missing,
            kube::Error::Api(status) if matches!(status.code, 401 | 403) => {
                SecretReadError::Forbidden
            }
            kube::Error::Api(status) => {
                SecretReadError::Failed(format!("{} {}", status.code, status.reason))
            }
            other => SecretReadError::Failed(other.to_string()),
        })
    }
}

impl SecretReader for ClusterSecrets {
    fn version<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<SecretId, SecretReadError>> {
        Box::pin(async move {
            let text = self.get(namespace, name, true).await?;
            let secret: SlimSecret<'_> = parse(&text)?;
            Ok(secret.metadata.id())
        })
    }

    fn read<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<SecretObject, SecretReadError>> {
        Box::pin(async move {
            let text = self.get(namespace, name, false).await?;
            let secret: SlimSecret<'_> = parse(&text)?;
            let mut data = BTreeMap::new();
            for (key, encoded) in secret.data.unwrap_or_default() {
                let decoded = STANDARD.decode(encoded.as_bytes());
                let decoded = decoded.map_err(|_| unreadable())?;
                data.insert(key, Zeroizing::new(decoded));
            }
            Ok(SecretObject {
                id: secret.metadata.id(),
                name: format!("{namespace}/{name}"),
                kind: secret.kind.unwrap_or_default(),
                data,
            })
        })
    }
}

fn parse(text: &str) -> Result<SlimSecret<'_>, SecretReadError> {
    // The text of the cause may quote the response.
    serde_json::from_str(text).map_err(|_| unreadable())
}

fn unreadable() -> SecretReadError {
    SecretReadError::Failed("the response is not a Secret".to_owned())
}

/// Returns whether this client may read all Secrets of a namespace. `None` if the API server does not
/// say.
pub async fn may_read_secrets(client: Client, namespace: &str) -> Option<bool> {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(namespace.to_owned()),
                resource: Some("secrets".to_owned()),
                verb: Some("get".to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client);
    let parameters = PostParams::default();
    let answer = tokio::time::timeout(REVIEW_TIMEOUT, reviews.create(&parameters, &review));
    let review = answer.await.ok()?.ok()?;
    review.status.map(|status| status.allowed)
}
