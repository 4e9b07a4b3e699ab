//! Client of a real cluster, with only the requests that the cases need.

use super::Case;
use axum::http::{Method, Request};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use std::path::Path;

/// Connects with this kubeconfig, otherwise with the one of the environment.
///
/// # Errors
///
/// There is no usable kubeconfig.
pub async fn connect(kubeconfig: Option<&Path>) -> Result<Client, String> {
    let unusable = |why: String| format!("there is no usable kubeconfig (KUBECONFIG): {why}");
    let config = match kubeconfig {
        None => kube::Config::infer()
            .await
            .map_err(|error| unusable(error.to_string()))?,
        Some(file) => {
            let read = Kubeconfig::read_from(file).map_err(|error| unusable(error.to_string()))?;
            kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
                .await
                .map_err(|error| unusable(error.to_string()))?
        }
    };
    Client::try_from(config).map_err(|error| unusable(error.to_string()))
}

/// Checks whether the cases can run.
///
/// # Errors
///
/// Names what is missing, with the remedy.
pub async fn preflight(client: &Client) -> Result<(), String> {
    let tekton = "/apis/tekton.dev/v1/taskruns?limit=1";
    for (what, path) in [
        ("taskruns.tekton.dev", tekton),
        ("pods", "/api/v1/pods?limit=1"),
    ] {
        let asked = send(client, Method::GET, path, None).await;
        asked.map_err(|error| match error {
            kube::Error::Api(status) if status.code == 404 => format!(
                "the API server does not serve {what} (tekton.dev/v1): install Tekton Pipelines in this cluster first"
            ),
            kube::Error::Api(status) if [401, 403].contains(&status.code) => format!(
                "listing {what} is refused ({}): use a context that may create namespaces and TaskRuns, and has the \
                 rights of deploy/base/rbac.yaml",
                status.code
            ),
            other => format!("the API server of this kubeconfig does not answer: {other}"),
        })?;
    }
    Ok(())
}

async fn send(
    client: &Client,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Result<Value, kube::Error> {
    let kind = match method {
        Method::PATCH => "application/merge-patch+json",
        _ => "application/json",
    };
    let body = body.map(|body| body.to_string().into_bytes());
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(body.unwrap_or_default())
        .unwrap();
    client.request(request).await
}

/// Prefix of the names of an attacker's pods.
pub const STRANGER: &str = "stranger-";

/// A new namespace in a cluster. Call [`Cluster::delete`] in every case.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    /// Name of the namespace, in which all cases run.
    pub namespace: String,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cluster").field(&self.namespace).finish()
    }
}

impl Cluster {
    /// Creates a namespace `step-observer-e2e-XXXXX`.
    ///
    /// # Errors
    ///
    /// The API server refuses it.
    pub async fn create(client: Client) -> Result<Self, String> {
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"generateName": "step-observer-e2e-"},
        });
        let made = send(&client, Method::POST, "/api/v1/namespaces", Some(namespace)).await;
        let made = made.map_err(|error| format!("failed to create a namespace: {error}"))?;
        let name = made["metadata"]["name"].as_str();
        let namespace = name
            .ok_or("the API server gave a namespace no name")?
            .to_owned();
        Ok(Self { client, namespace })
    }

    fn path(&self, resource: &str) -> String {
        format!(
            "/apis/tekton.dev/v1/namespaces/{}/{resource}",
            self.namespace
        )
    }

    /// Sends a request, and returns the answer.
    ///
    /// # Errors
    ///
    /// The API server refuses it.
    pub(super) async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, String> {
        let answer = send(&self.client, method, path, body).await;
        answer.map_err(|error| format!("the API server does not take it: {error}"))
    }

    /// Creates an object in the namespace.
    ///
    /// # Errors
    ///
    /// The API server refuses it.
    pub async fn create_object(&self, object: &Value) -> Result<(), String> {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        let root = if version == "v1" { "api" } else { "apis" };
        let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
        let path = format!("/{root}/{version}/namespaces/{}/{kind}s", self.namespace);
        self.request(Method::POST, &path, Some(object.clone()))
            .await
            .map(drop)
    }

    /// Applies the manifest of a case.
    ///
    /// # Errors
    ///
    /// The API server refuses it.
    pub async fn apply(&self, case: &Case, image: &str) -> Result<(), String> {
        let manifest = case.manifest(image);
        let resource = match manifest["kind"].as_str() {
            Some("PipelineRun") => "pipelineruns",
            _ => "taskruns",
        };
        let applied = send(
            &self.client,
            Method::POST,
            &self.path(resource),
            Some(manifest),
        )
        .await;
        applied
            .map(drop)
            .map_err(|error| format!("the API server does not take it: {error}"))
    }

    /// Creates two pods; the right to create Pods is enough for this. A client that parses every
    /// field fails on the first pod. The second pod claims to be the pod of the case's TaskRun, and
    /// succeeds.
    ///
    /// # Errors
    ///
    /// The API server refuses them.
    pub async fn attack(&self, case: &Case, image: &str) -> Result<(), String> {
        let refused = |error: kube::Error| format!("the API server does not take it: {error}");
        let run = self.path(&format!("taskruns/{}", case.name));
        let run = send(&self.client, Method::GET, &run, None).await;
        let uid = run.map_err(refused)?["metadata"]["uid"].clone();
        let deep = (0..200).fold(json!({}), |inner, _| json!({"f:a": inner}));
        let fields = json!([{
            "manager": "stranger", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": deep,
        }]);
        for (name, managed) in [("deep", Some(fields)), ("owned", None)] {
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "name": format!("{STRANGER}{name}"), "labels": {"tekton.dev/taskRun": case.name},
                    "managedFields": managed,
                    "ownerReferences": [{"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "controller": true,
                                         "name": case.name, "uid": uid}],
                },
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "step-test", "image": image, "command": ["true"]}],
                },
            });
            let path = format!("/api/v1/namespaces/{}/pods", self.namespace);
            let made = send(&self.client, Method::POST, &path, Some(pod)).await;
            made.map_err(refused)?;
        }
        Ok(())
    }

    /// Cancels the TaskRun of a case.
    ///
    /// # Errors
    ///
    /// The API server refuses it.
    pub async fn cancel(&self, case: &Case) -> Result<(), String> {
        let path = self.path(&format!("taskruns/{}", case.name));
        let cancelled = json!({"spec": {"status": "TaskRunCancelled"}});
        let answer = send(&self.client, Method::PATCH, &path, Some(cancelled)).await;
        answer
            .map(drop)
            .map_err(|error| format!("failed to cancel it: {error}"))
    }

    /// Deletes the namespace with its content.
    ///
    /// # Errors
    ///
    /// Gives the command to delete it by hand.
    pub async fn delete(&self) -> Result<(), String> {
        let path = format!("/api/v1/namespaces/{}", self.namespace);
        let answer = send(&self.client, Method::DELETE, &path, None).await;
        answer.map(drop).map_err(|error| {
            let name = &self.namespace;
            format!(
                "failed to delete the namespace: {error}; run `kubectl delete namespace {name}`"
            )
        })
    }
}
