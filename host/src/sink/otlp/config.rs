//! The settings of an OpenTelemetry collector.

use super::super::defaults;
use super::super::http::{BatchConfig, Compression, mask_headers};
use super::super::not_built::OptionalSettings;
use crate::bounded::Bounded;
use crate::http::{Header, HttpAuth, HttpUrl, ProxyUse, TlsConfig};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use step_observer_otlp::SEMANTIC_CONVENTIONS;

/// An OpenTelemetry collector, over OTLP/HTTP: each step that ended becomes a span, and its log becomes
/// log records. The ends of TaskRuns become spans, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OtlpConfig {
    /// Base URL of the collector, such as `http://collector:4318`. Spans go to `/v1/traces` below it,
    /// log records to `/v1/logs`.
    pub url: HttpUrl,
    /// Encoding of requests.
    #[serde(default)]
    pub encoding: OtlpEncoding,
    /// What becomes of the log of a step.
    #[serde(default)]
    pub logs: OtlpLogs,
    /// Log records of one step if `logs` is `lines`. The last one holds all further lines.
    #[serde(default = "log_records")]
    pub log_records: Bounded<1, 512, usize>,
    /// `service.name` of the resource.
    #[serde(default = "service_name")]
    pub service_name: String,
    /// `k8s.cluster.name` of the resource.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounded::not_null"
    )]
    pub cluster_name: Option<String>,
    /// Version of the semantic conventions that requests name.
    #[serde(default = "semantic_conventions")]
    pub semantic_conventions: String,
    /// Whether PipelineRuns become spans. The observer must be allowed to list and watch
    /// `pipelineruns.tekton.dev`.
    #[serde(default)]
    pub pipeline_runs: bool,
    /// URL of a TaskRun for people, for `cicd.pipeline.task.run.url.full`, such as
    /// `https://dashboard.example/#/namespaces/{namespace}/taskruns/{taskRun}`. It may contain
    /// `{namespace}`, `{pipelineRun}`, `{taskRun}`, `{step}` and `{uid}`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounded::not_null"
    )]
    pub task_run_url: Option<String>,
    /// URL of a PipelineRun for people, for `cicd.pipeline.run.url.full`, with `{namespace}`,
    /// `{pipelineRun}` and `{uid}`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounded::not_null"
    )]
    pub pipeline_run_url: Option<String>,
    /// Attributes of version control (`vcs.*`), each with the label of the TaskRun from which it is read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vcs: BTreeMap<String, String>,
    /// Headers that every request gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// How the observer identifies itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<HttpAuth>,
    /// TLS settings for an `https` URL: trusted certificate authorities, and the observer's own
    /// certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<TlsConfig>>,
    /// Compression of bodies of at least one kibibyte. By default bodies are not compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// How events are gathered into one request.
    #[serde(default)]
    pub batch: BatchConfig,
    /// Whether requests go through a proxy.
    #[serde(default)]
    pub proxy: ProxyUse,
    /// Longest wait for a response, in milliseconds.
    #[serde(default = "defaults::timeout_ms")]
    pub timeout_ms: Bounded<1, 600_000>,
    /// Most batches in flight at a time.
    #[serde(default = "concurrency")]
    pub concurrency: Bounded<1, 64, usize>,
}

/// Encoding of requests.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum OtlpEncoding {
    /// `application/x-protobuf`.
    #[default]
    Protobuf,
    /// `application/json`.
    Json,
}

/// What becomes of the log of a step.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum OtlpLogs {
    /// One log record for each line.
    #[default]
    Lines,
    /// One log record.
    Whole,
    /// No log records.
    None,
}

fn log_records() -> Bounded<1, 512, usize> {
    Bounded::new(256)
}

fn service_name() -> String {
    "tekton".to_owned()
}

fn semantic_conventions() -> String {
    SEMANTIC_CONVENTIONS.to_owned()
}

fn concurrency() -> Bounded<1, 64, usize> {
    Bounded::new(4)
}

impl OtlpConfig {
    /// Returns settings for a URL, with defaults for all other settings.
    #[must_use]
    pub fn new(url: HttpUrl) -> Self {
        Self {
            url,
            encoding: OtlpEncoding::default(),
            logs: OtlpLogs::default(),
            log_records: log_records(),
            service_name: service_name(),
            cluster_name: None,
            semantic_conventions: semantic_conventions(),
            pipeline_runs: false,
            task_run_url: None,
            pipeline_run_url: None,
            vcs: BTreeMap::new(),
            headers: Vec::new(),
            auth: None,
            tls: None,
            compression: None,
            batch: BatchConfig::default(),
            proxy: ProxyUse::default(),
            timeout_ms: defaults::timeout_ms(),
            concurrency: concurrency(),
        }
    }
}

impl OptionalSettings for Box<OtlpConfig> {
    const NAME: &'static str = "otlp";

    fn mask(&mut self) {
        self.url = self.url.masked();
        mask_headers(&mut self.headers);
    }
}
