//! Results of steps, TaskRuns and PipelineRuns in the terms of OpenTelemetry, from Tekton's conditions.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use step_observer_event_model::Phase;

/// `error.type` of an error without a known class
/// (OpenTelemetry semantic conventions 1.44, attribute registry, `error.type`).
pub(crate) const OTHER_ERROR: &str = "_OTHER";
/// Longest reason in bytes that becomes an `error.type`.
const MAX_REASON_BYTES: usize = 64;

/// Values of `cicd.pipeline.result` and `cicd.pipeline.task.run.result`
/// (OpenTelemetry semantic conventions 1.44, attribute registry, `cicd`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RunResult {
    /// It succeeded.
    Success,
    /// It did not succeed: a command failed, a test, a build.
    Failure,
    /// The system failed: no image, no memory, no node, an invalid definition.
    Error,
    /// It took longer than allowed.
    Timeout,
    /// Somebody cancelled it.
    Cancellation,
    /// It was not executed.
    Skip,
}

// === impl RunResult ===

impl RunResult {
    /// All results.
    pub const ALL: [Self; 6] = [
        Self::Success,
        Self::Failure,
        Self::Error,
        Self::Timeout,
        Self::Cancellation,
        Self::Skip,
    ];

    /// The value of the attribute.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Cancellation => "cancellation",
            Self::Skip => "skip",
        }
    }

    /// Returns whether the status of the span is an error. A cancelled or skipped run leaves it unset.
    #[must_use]
    pub const fn is_error(self) -> bool {
        match self {
            Self::Failure | Self::Error | Self::Timeout => true,
            Self::Success | Self::Cancellation | Self::Skip => false,
        }
    }

    /// Result of a TaskRun, or of one attempt of it, from `status` and `reason` of its condition
    /// `Succeeded`. `None` if it has not ended.
    ///
    /// The reasons are those of tektoncd/pipeline: `TaskRunReason*` in
    /// `pkg/apis/pipeline/v1/taskrun_types.go`, and `Reason*` in `pkg/pod/status.go`, which become the
    /// reason of the TaskRun. An unknown reason is a failure.
    #[must_use]
    pub fn of_task_run(status: &str, reason: &str) -> Option<Self> {
        match status {
            "True" => Some(Self::Success),
            "False" => Some(of_failed_task_run(reason)),
            _ => None,
        }
    }

    /// Result of a PipelineRun from `status` and `reason` of its condition `Succeeded`. `None` if it
    /// has not ended.
    ///
    /// The reasons are the `PipelineRunReason*` of tektoncd/pipeline,
    /// `pkg/apis/pipeline/v1/pipelinerun_types.go`. An unknown reason is a failure.
    #[must_use]
    pub fn of_pipeline_run(status: &str, reason: &str) -> Option<Self> {
        match status {
            "True" => Some(Self::Success),
            "False" => Some(of_failed_pipeline_run(reason)),
            _ => None,
        }
    }

    /// Result of a step from the phase and the reason of its event. `None` if it has not ended.
    ///
    /// The reasons are those of the entrypoint (`TimeoutExceeded`, `Cancelled`, `Continued`), of the
    /// kubelet, of the pod and of the TaskRun: `docs/tekton-semantics.md` §3 to §6.
    #[must_use]
    pub fn of_step(phase: Phase, reason: &str) -> Option<Self> {
        match phase {
            Phase::Started => None,
            Phase::Succeeded => Some(Self::Success),
            Phase::Skipped => Some(Self::Skip),
            Phase::Failed => Some(of_failed_step(reason)),
        }
    }

    /// `error.type` of a result: the reason, or `_OTHER` if the reason could be free text. `None`
    /// unless the result is an error.
    #[must_use]
    pub fn error_type(self, reason: &str) -> Option<Cow<'_, str>> {
        let is_word = |reason: &str| {
            let allowed =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
            (1..=MAX_REASON_BYTES).contains(&reason.len()) && reason.bytes().all(allowed)
        };
        self.is_error().then_some(match is_word(reason) {
            true => reason.into(),
            false => OTHER_ERROR.into(),
        })
    }
}

fn of_failed_task_run(reason: &str) -> RunResult {
    match reason {
        "TaskRunCancelled" => RunResult::Cancellation,
        "TaskRunTimeout" => RunResult::Timeout,
        // The definition cannot be executed.
        "InvalidParamValue"
        | "ResourceVerificationFailed"
        | "TaskRunResolutionFailed"
        | "TaskRunValidationFailed"
        | "TaskValidationFailed"
        // The pod cannot be made, or its containers cannot be started.
        | "CreateContainerConfigError"
        | "ExceededNodeResources"
        | "ExceededResourceQuota"
        | "PodAdmissionFailed"
        | "PodCreationFailed"
        | "PullImageFailed"
        | "TaskRunImagePullFailed"
        // Something else than a step's command ended it.
        | "InitContainerFailed"
        | "InitContainerOOM"
        | "PodEvicted"
        | "SidecarOOM"
        | "StepOOM"
        | "TaskRunStopSidecarFailed" => RunResult::Error,
        // Failed, StepFailed, SidecarFailed, FailureIgnored, TaskRunResultLargerThanAllowedLimit.
        _ => RunResult::Failure,
    }
}

fn of_failed_pipeline_run(reason: &str) -> RunResult {
    match reason {
        // `PipelineRunCancelled` is that of Tekton before 0.36.
        "Cancelled"
        | "PipelineRunCancelled"
        | "CancelledRunningFinally"
        | "StoppedRunningFinally" => RunResult::Cancellation,
        "PipelineRunTimeout" => RunResult::Timeout,
        "CELEvaluationFailed"
        | "CouldntGetPipeline"
        | "CouldntGetPipelineResult"
        | "CouldntGetTask"
        | "CreateRunFailed"
        | "InvalidMatrixParameterTypes"
        | "InvalidParamValue"
        | "InvalidPipelineResourceBindings"
        | "InvalidPipelineResultReference"
        | "InvalidTaskResultReference"
        | "InvalidTaskRunSpecs"
        | "InvalidWorkspaceBindings"
        | "ObjectParameterMissKeys"
        | "ParamArrayIndexingInvalid"
        | "ParameterMissing"
        | "ParameterTypeMismatch"
        | "PipelineInvalidGraph"
        | "PipelineRunCouldntCancel"
        | "PipelineRunCouldntTimeOut"
        | "PipelineValidationFailed"
        | "RequiredWorkspaceMarkedOptional"
        | "ResourceVerificationFailed" => RunResult::Error,
        // Failed.
        _ => RunResult::Failure,
    }
}

fn of_failed_step(reason: &str) -> RunResult {
    match reason {
        "Cancelled" => RunResult::Cancellation,
        // `DeadlineExceeded`: the pod was active longer than its `activeDeadlineSeconds`.
        "TimeoutExceeded" | "DeadlineExceeded" => RunResult::Timeout,
        // The kubelet's reasons for containers, then those of pods.
        "ContainerCannotRun"
        | "ContainerStatusUnknown"
        | "CreateContainerError"
        | "ErrImagePull"
        | "ImagePullBackOff"
        | "ImagePullFailed"
        | "InvalidImageName"
        | "OOMKilled"
        | "StartError"
        | "Evicted"
        | "NodeLost"
        | "NodeShutdown"
        | "PodDeleted"
        | "Preempting"
        | "Terminated" => RunResult::Error,
        // Tekton rewrites unfinished steps with the reason of the TaskRun (§4). Error, Continued.
        _ => of_failed_task_run(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RunResult::{Cancellation, Error, Failure, Skip, Success, Timeout};
    use proptest::prelude::*;

    #[test]
    fn results_of_task_runs_follow_their_conditions() {
        for (status, reason, expected) in [
            ("True", "Succeeded", Some(Success)),
            ("True", "", Some(Success)),
            ("Unknown", "Running", None),
            ("Unknown", "ToBeRetried", None),
            ("", "Failed", None),
            ("False", "Failed", Some(Failure)),
            ("False", "StepFailed", Some(Failure)),
            ("False", "FailureIgnored", Some(Failure)),
            ("False", "SomethingNew", Some(Failure)),
            ("False", "TaskRunCancelled", Some(Cancellation)),
            ("False", "TaskRunTimeout", Some(Timeout)),
            ("False", "TaskRunImagePullFailed", Some(Error)),
            ("False", "StepOOM", Some(Error)),
            ("False", "TaskRunValidationFailed", Some(Error)),
        ] {
            assert_eq!(
                RunResult::of_task_run(status, reason),
                expected,
                "{status} {reason}"
            );
        }
    }

    #[test]
    fn results_of_pipeline_runs_follow_their_conditions() {
        for (status, reason, expected) in [
            ("True", "Completed", Some(Success)),
            ("Unknown", "Cancelled", None),
            ("False", "Cancelled", Some(Cancellation)),
            ("False", "PipelineRunTimeout", Some(Timeout)),
            ("False", "CouldntGetPipeline", Some(Error)),
            ("False", "Failed", Some(Failure)),
            ("False", "SomethingNew", Some(Failure)),
        ] {
            assert_eq!(
                RunResult::of_pipeline_run(status, reason),
                expected,
                "{status} {reason}"
            );
        }
    }

    #[test]
    fn results_of_steps_follow_phase_and_reason() {
        for (phase, reason, expected) in [
            (Phase::Started, "", None),
            (Phase::Succeeded, "Completed", Some(Success)),
            (Phase::Skipped, "TaskRunCancelled", Some(Skip)),
            (Phase::Failed, "Error", Some(Failure)),
            (Phase::Failed, "Continued", Some(Failure)),
            (Phase::Failed, "", Some(Failure)),
            (Phase::Failed, "OOMKilled", Some(Error)),
            (Phase::Failed, "Evicted", Some(Error)),
            (Phase::Failed, "TaskRunImagePullFailed", Some(Error)),
            (Phase::Failed, "TimeoutExceeded", Some(Timeout)),
            (Phase::Failed, "TaskRunTimeout", Some(Timeout)),
            (Phase::Failed, "Cancelled", Some(Cancellation)),
            (Phase::Failed, "TaskRunCancelled", Some(Cancellation)),
        ] {
            assert_eq!(
                RunResult::of_step(phase, reason),
                expected,
                "{phase} {reason}"
            );
        }
    }

    #[test]
    fn words_of_results_are_the_same_in_attributes_and_in_records() {
        for result in RunResult::ALL {
            assert_eq!(serde_json::to_value(result).unwrap(), result.as_str());
        }
    }

    #[test]
    fn an_error_type_is_a_word_and_only_errors_have_one() {
        assert_eq!(
            Failure.error_type("StepFailed").as_deref(),
            Some("StepFailed")
        );
        assert_eq!(Success.error_type("Completed"), None);
        assert_eq!(Cancellation.error_type("TaskRunCancelled"), None);
        for text in ["", "two words", "ü", "x\n", &"x".repeat(65)] {
            assert_eq!(
                Timeout.error_type(text).as_deref(),
                Some(OTHER_ERROR),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn exactly_the_ended_have_a_result(status in "True|False|Unknown|[a-z]{0,4}", reason in "\\PC{0,30}") {
            let ended = status == "True" || status == "False";
            prop_assert_eq!(RunResult::of_task_run(&status, &reason).is_some(), ended);
            prop_assert_eq!(RunResult::of_pipeline_run(&status, &reason).is_some(), ended);
        }
    }
}
