//! What the settings mean for the HTTP client and for the translation of events.

use super::super::SinkError;
use super::super::http::HttpConfig;
use super::super::wire::SettingProblem;
use super::config::{OtlpConfig, OtlpEncoding, OtlpLogs};
use crate::bounded::Bounded;
use step_observer_otlp::{Encoding, LogMode, Options, OptionsError, TemplateError, UrlTemplate};

impl OtlpConfig {
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
