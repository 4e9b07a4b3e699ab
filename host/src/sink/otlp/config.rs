//! The settings of an OpenTelemetry collector.

use super::super::http::{BatchConfig, Compression, HttpConfig};
use super::super::wire::SettingProblem;
use super::super::{SinkError, defaults};
use crate::bounded::Bounded;
use crate::http::{Header, HttpAuth, HttpUrl, ProxyUse, TlsConfig};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use step_observer_otlp::{
    Encoding, LogMode, Options, OptionsError, SEMANTIC_CONVENTIONS, TemplateError, UrlTemplate,
};

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

    /// Returns the settings of the HTTP client.
    pub(super) fn http(&self) -> HttpConfig {
        HttpConfig {
            headers: self.headers.clone(),
            auth: self.auth.clone(),
            tls: self.tls.clone(),
            proxy: self.proxy,
            timeout_ms: self.timeout_ms,
            concurrency: Bounded::new(self.concurrency.get()),
            ..HttpConfig::new(self.url.clone())
        }
    }

    pub(super) fn encoding(&self) -> Encoding {
        match self.encoding {
            OtlpEncoding::Protobuf => Encoding::Protobuf,
            OtlpEncoding::Json => Encoding::Json,
        }
    }

    /// Returns the settings of the translation. With `own_traces`, a TaskRun joins no trace that its
    /// author can choose.
    ///
    /// # Errors
    ///
    /// A template of a URL is not valid. The error comes with the name of the setting.
    pub(super) fn options(
        &self,
        own_traces: bool,
    ) -> Result<Options, (&'static str, TemplateError)> {
        let template = |name: &'static str, text: &Option<String>| {
            let parsed = text.as_deref().map(str::parse::<UrlTemplate>);
            parsed.transpose().map_err(|error| (name, error))
        };
        Ok(Options {
            service_name: self.service_name.clone(),
            cluster_name: self.cluster_name.clone(),
            semantic_conventions: self.semantic_conventions.clone(),
            task_run_url: template("taskRunUrl", &self.task_run_url)?,
            pipeline_run_url: template("pipelineRunUrl", &self.pipeline_run_url)?,
            vcs: self.vcs.clone(),
            pipeline_runs: self.pipeline_runs,
            own_traces,
            log: match self.logs {
                OtlpLogs::Lines => LogMode::Lines {
                    max_records: self.log_records.get(),
                },
                OtlpLogs::Whole => LogMode::Whole,
                OtlpLogs::None => LogMode::None,
            },
        })
    }

    pub(super) fn problems(&self) -> Vec<SettingProblem> {
        let mut problems = self.http().problems();
        if matches!(self.url.last_segment(), Some("traces" | "logs")) {
            let problem = "write the base URL of the collector, without /v1/traces or /v1/logs";
            problems.push(("url".to_owned(), SinkError::Contradiction(problem)));
        }
        match self.options(false) {
            Err((field, problem)) => problems.push((field.to_owned(), problem.into())),
            Ok(options) => {
                if let Err(problem) = step_observer_otlp::Translator::new(options) {
                    problems.push((field_of(&problem).to_owned(), problem.into()));
                }
            }
        }
        problems
    }
}

/// Returns the setting that is the cause of an error.
fn field_of(error: &OptionsError) -> &'static str {
    match error {
        OptionsError::Name(name) if name.starts_with("cluster") => "clusterName",
        OptionsError::Name(_) => "serviceName",
        OptionsError::Version => "semanticConventions",
        OptionsError::Vcs(_) => "vcs",
        OptionsError::PipelineRunUrl => "pipelineRunUrl",
        OptionsError::Records => "logRecords",
    }
}
