//! What the operator chooses.

use crate::semantic::VCS_ATTRIBUTES;
use crate::url_template::{Placeholder, UrlTemplate};
use std::collections::BTreeMap;

/// Version of the semantic conventions that this crate follows.
pub const SEMANTIC_CONVENTIONS: &str = "1.44.0";
/// Longest service name or cluster name in bytes.
const MAX_NAME_BYTES: usize = 255;

/// What becomes of the log of a step. Escape codes of terminals are removed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogMode {
    /// No log records.
    None,
    /// One log record.
    Whole,
    /// One log record for each line. The last record holds all further lines, so that nothing is lost.
    Lines {
        /// Most log records of one event, from 1 to [`crate::MAX_RECORDS`].
        max_records: usize,
    },
}

/// What the operator chooses.
#[derive(Clone, Debug)]
pub struct Options {
    /// `service.name`.
    pub service_name: String,
    /// `k8s.cluster.name`, if any.
    pub cluster_name: Option<String>,
    /// Version of the semantic conventions that the schema URLs name.
    pub semantic_conventions: String,
    /// `cicd.pipeline.task.run.url.full`. `{uid}` is that of the TaskRun; `{step}` is empty in the span
    /// of the TaskRun.
    pub task_run_url: Option<UrlTemplate>,
    /// `cicd.pipeline.run.url.full`. `{uid}` is that of the PipelineRun. Only for runs of Pipelines.
    pub pipeline_run_url: Option<UrlTemplate>,
    /// Attributes `vcs.*` of the resource, and the labels of the TaskRun that they are read from. Only
    /// spans of steps and log records have them: the ends of runs hold no labels.
    pub vcs: BTreeMap<String, String>,
    /// Whether ends of PipelineRuns become spans. Then the TaskRuns are below them; else they are below
    /// Tekton's span, if there is one.
    pub pipeline_runs: bool,
    /// Whether each TaskRun has a trace of its own, which follows from its UID alone: so nobody who may
    /// create TaskRuns can put spans into a foreign trace.
    pub own_traces: bool,
    /// The log.
    pub log: LogMode,
}

/// Why the options cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A name is empty or too long.
    #[error("the {0} must have 1 to {MAX_NAME_BYTES} bytes")]
    Name(&'static str),
    /// The version is not of the form `1.44.0`.
    #[error(
        "the version of the semantic conventions must be three numbers, such as {SEMANTIC_CONVENTIONS}"
    )]
    Version,
    /// An attribute is not one of the semantic conventions.
    #[error("`{0}` is not an attribute for version control; there are: {known}", known = VCS_ATTRIBUTES.join(", "))]
    Vcs(String),
    /// The URL of PipelineRuns has a placeholder that a PipelineRun does not have.
    #[error("the URL of PipelineRuns cannot have {{taskRun}} or {{step}}")]
    PipelineRunUrl,
    /// The number of log records is out of range.
    #[error("the number of log records of an event must be from 1 to {max}", max = crate::MAX_RECORDS)]
    Records,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            service_name: "tekton".to_owned(),
            cluster_name: None,
            semantic_conventions: SEMANTIC_CONVENTIONS.to_owned(),
            task_run_url: None,
            pipeline_run_url: None,
            vcs: BTreeMap::new(),
            pipeline_runs: false,
            own_traces: false,
            log: LogMode::Lines { max_records: 256 },
        }
    }
}

impl Options {
    /// Checks the options.
    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        let is_name = |name: &str| (1..=MAX_NAME_BYTES).contains(&name.len());
        if !is_name(&self.service_name) {
            return Err(OptionsError::Name("service name"));
        }
        if self
            .cluster_name
            .as_deref()
            .is_some_and(|name| !is_name(name))
        {
            return Err(OptionsError::Name("cluster name"));
        }
        let numbers: Vec<&str> = self.semantic_conventions.split('.').collect();
        let is_number = |text: &&str| {
            (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if numbers.len() != 3 || !numbers.iter().all(is_number) {
            return Err(OptionsError::Version);
        }
        let mut attributes = self.vcs.keys();
        if let Some(other) = attributes.find(|name| !VCS_ATTRIBUTES.contains(&&***name)) {
            return Err(OptionsError::Vcs(other.escape_default().to_string()));
        }
        let of_task_run = [Placeholder::TaskRun, Placeholder::Step];
        let url = self.pipeline_run_url.as_ref();
        if url.is_some_and(|url| url.has(&of_task_run)) {
            return Err(OptionsError::PipelineRunUrl);
        }
        match self.log {
            LogMode::Lines { max_records } if !(1..=crate::MAX_RECORDS).contains(&max_records) => {
                Err(OptionsError::Records)
            }
            LogMode::None | LogMode::Whole | LogMode::Lines { .. } => Ok(()),
        }
    }

    /// The schema URL of spans and log records (OpenTelemetry specification, "Telemetry Schemas").
    pub(crate) fn schema_url(&self) -> String {
        [
            "https://opentelemetry.io/schemas/",
            &self.semantic_conventions,
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut Options)) -> Result<(), OptionsError> {
        let mut options = Options::default();
        change(&mut options);
        options.check()
    }

    #[test]
    fn options_that_cannot_be_used_are_refused() {
        assert_eq!(check(|_| ()), Ok(()));
        assert_eq!(
            check(|options| options.service_name.clear()),
            Err(OptionsError::Name("service name"))
        );
        assert_eq!(
            check(|options| options.cluster_name = Some("x".repeat(256))),
            Err(OptionsError::Name("cluster name"))
        );
        for version in ["", "1.44", "1.44.0.0", "1.44.x", "1..0", "1.44.0/../x"] {
            let with =
                |options: &mut Options| version.clone_into(&mut options.semantic_conventions);
            assert_eq!(check(with), Err(OptionsError::Version), "{version}");
        }
        let vcs = |name: &str| {
            let entry = (name.to_owned(), "label".to_owned());
            check(|options| options.vcs = BTreeMap::from([entry]))
        };
        assert_eq!(vcs("vcs.ref.head.name"), Ok(()));
        // Deprecated.
        let deprecated = "vcs.repository.ref.name";
        assert_eq!(
            vcs(deprecated),
            Err(OptionsError::Vcs(deprecated.to_owned()))
        );
        for (records, expected) in [
            (0, Err(OptionsError::Records)),
            (1, Ok(())),
            (512, Ok(())),
            (513, Err(OptionsError::Records)),
        ] {
            let lines = LogMode::Lines {
                max_records: records,
            };
            assert_eq!(check(|options| options.log = lines), expected, "{records}");
        }
        let url = "https://a.example/{pipelineRun}?step={step}"
            .parse()
            .unwrap();
        assert_eq!(
            check(|options| options.pipeline_run_url = Some(url)),
            Err(OptionsError::PipelineRunUrl)
        );
    }
}
