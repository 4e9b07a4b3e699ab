//! The run that an event is about: which trace it is in, and what its resource is.

use crate::event::StepEvent;
use crate::ids::{SpanId, TraceContext};
use crate::message::{KeyValue, text};
use crate::options::Options;
use crate::run_end::{RunEnd, RunKind};
use crate::semantic;
use crate::url_template::UrlValues;

/// Longest text of an attribute in bytes. A longer one is cut; only a plugin can have made it.
const MAX_ATTRIBUTE_BYTES: usize = 1024;

/// The run that an event is about.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) namespace: Option<&'a str>,
    pub(crate) task_run: Option<&'a str>,
    pub(crate) task_run_uid: Option<&'a str>,
    pub(crate) pipeline_run: Option<&'a str>,
    pub(crate) pipeline_run_uid: Option<&'a str>,
    pub(crate) pipeline: Option<&'a str>,
    pub(crate) pipeline_task: Option<&'a str>,
    pub(crate) task: Option<&'a str>,
    pub(crate) attempt: u32,
    pub(crate) context: TraceContext,
}

/// A span above another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) span: SpanId,
    /// Whether another program made it.
    pub(crate) is_remote: bool,
}

impl<'a> Run<'a> {
    pub(crate) fn of_step(event: &'a StepEvent<'_>, options: &Options) -> Self {
        let (task_run_uid, pipeline_run_uid) = (event.task_run_uid(), event.pipeline_run_uid());
        // An event without any UID has its own trace. The observer makes no such event.
        let of_pipeline = pipeline_run_uid.filter(|_| !options.own_traces);
        let uid = of_pipeline.or(task_run_uid).unwrap_or(event.id());
        Self {
            namespace: event.namespace(),
            task_run: event.task_run(),
            task_run_uid,
            pipeline_run: event.pipeline_run(),
            pipeline_run_uid,
            pipeline: event.pipeline(),
            pipeline_task: event.pipeline_task(),
            task: event.task(),
            attempt: event.attempt(),
            context: context(event.trace_context(), uid, options),
        }
    }

    pub(crate) fn of_end(end: &'a RunEnd, options: &Options) -> Self {
        let (task_run_uid, pipeline_run_uid) = match end.kind {
            RunKind::TaskRun => (Some(&*end.uid), end.pipeline_run_uid.as_deref()),
            RunKind::PipelineRun => (None, Some(&*end.uid)),
        };
        let of_pipeline = pipeline_run_uid.filter(|_| !options.own_traces);
        let uid = of_pipeline.unwrap_or(&end.uid);
        Self {
            namespace: Some(&end.namespace),
            task_run: end.task_run.as_deref(),
            task_run_uid,
            pipeline_run: end.pipeline_run.as_deref(),
            pipeline_run_uid,
            pipeline: end.pipeline.as_deref(),
            pipeline_task: end.pipeline_task.as_deref(),
            task: end.task.as_deref(),
            attempt: end.attempt,
            context: context(end.trace_context(), uid, options),
        }
    }

    /// `cicd.pipeline.run.id`: the UID of the PipelineRun, or of a TaskRun without one.
    pub(crate) fn id(&self) -> Option<&'a str> {
        self.pipeline_run_uid.or(self.task_run_uid)
    }

    /// `cicd.pipeline.name`. A PipelineRun with an embedded Pipeline gives it its own name, as Tekton
    /// does in the label `tekton.dev/pipeline`. A TaskRun without PipelineRun is a pipeline of its Task.
    fn pipeline_name(&self) -> Option<&'a str> {
        let of_pipeline = self.pipeline.or(self.pipeline_run);
        of_pipeline.or(self.task).or(self.task_run)
    }

    /// `cicd.pipeline.task.name`.
    pub(crate) fn task_name(&self) -> Option<&'a str> {
        self.pipeline_task.or(self.task).or(self.task_run)
    }

    /// Name of the span of a PipelineRun: `{action} {pipeline}` (semantic conventions, "CICD spans").
    pub(crate) fn pipeline_span_name(&self) -> String {
        ["RUN", self.pipeline_name().unwrap_or_default()]
            .join(" ")
            .trim_end()
            .to_owned()
    }

    /// The span above the PipelineRun.
    pub(crate) fn above_pipeline_run(&self) -> Option<Parent> {
        let remote = |span| Parent {
            span,
            is_remote: true,
        };
        self.context.parent.map(remote)
    }

    /// The span above the TaskRun: that of the PipelineRun, unless it is not sent and Tekton gave one.
    /// A derived id that is not sent still groups the TaskRuns of the run.
    pub(crate) fn above_task_run(&self, options: &Options) -> Option<Parent> {
        let tekton = self.above_pipeline_run();
        let own = self.pipeline_run_uid.filter(|_| !options.own_traces);
        let own = own.map(|uid| Parent {
            span: SpanId::of_pipeline_run(uid),
            is_remote: false,
        });
        match options.pipeline_runs {
            true => own.or(tekton),
            false => tekton.or(own),
        }
    }

    /// The span above a step: that of its TaskRun.
    pub(crate) fn above_step(&self, options: &Options) -> Option<Parent> {
        let of_task_run = self.task_run_uid.map(|uid| Parent {
            span: SpanId::of_task_run(uid, self.attempt),
            is_remote: false,
        });
        of_task_run.or_else(|| self.above_task_run(options))
    }

    /// Attributes of the resource but those of version control.
    pub(crate) fn resource(&self, options: &Options) -> Vec<KeyValue> {
        let mut resource = vec![text(semantic::SERVICE_NAME, &*options.service_name)];
        add(
            &mut resource,
            semantic::CLUSTER,
            options.cluster_name.as_deref(),
        );
        add(&mut resource, semantic::NAMESPACE, self.namespace);
        add(&mut resource, semantic::PIPELINE_NAME, self.pipeline_name());
        add(&mut resource, semantic::PIPELINE_RUN_ID, self.id());
        add(&mut resource, semantic::PIPELINE_RUN, self.pipeline_run);
        let url = options.pipeline_run_url.as_ref();
        let url = url.filter(|_| self.pipeline_run.is_some()).and_then(|url| {
            url.fill(&UrlValues {
                namespace: self.namespace,
                pipeline_run: self.pipeline_run,
                uid: self.pipeline_run_uid,
                ..UrlValues::default()
            })
        });
        resource.extend(url.map(|url| text(semantic::PIPELINE_RUN_URL, url)));
        resource
    }

    /// `cicd.pipeline.task.run.url.full`, of the TaskRun or of one of its steps.
    pub(crate) fn task_run_url(&self, options: &Options, step: Option<&str>) -> Option<String> {
        options.task_run_url.as_ref()?.fill(&UrlValues {
            namespace: self.namespace,
            pipeline_run: self.pipeline_run,
            task_run: self.task_run,
            step,
            uid: self.task_run_uid,
        })
    }
}

/// Attributes of version control, from labels.
pub(crate) fn vcs(event: &StepEvent<'_>, options: &Options) -> Vec<KeyValue> {
    let mut attributes = Vec::new();
    for (name, label) in &options.vcs {
        let value = event.label(label).map(|value| match &**name {
            semantic::REPOSITORY_URL => value.strip_suffix(".git").unwrap_or(value),
            _ => value,
        });
        add(&mut attributes, name, value);
    }
    attributes
}

/// Adds an attribute, if its value is known.
pub(crate) fn add(attributes: &mut Vec<KeyValue>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        attributes.push(text(key, cut(value)));
    }
}

/// Cuts a text that is too long, between two characters.
pub(crate) fn cut(value: &str) -> &str {
    let end = value.floor_char_boundary(MAX_ATTRIBUTE_BYTES);
    value.get(..end).unwrap_or_default()
}

fn context(tekton: Option<TraceContext>, uid: &str, options: &Options) -> TraceContext {
    let tekton = tekton.filter(|_| !options.own_traces);
    tekton.unwrap_or_else(|| TraceContext::of_uid(uid))
}
