//! Which transitions are shown. Pure.

use super::line::StepLine;
use crate::cli::args::tap::TapArgs;
use step_observer::observer_client::StepPhase;

/// The filter of the command line.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    name: Option<String>,
    namespaces: Vec<String>,
    step: Option<String>,
    failed: bool,
}

impl Filter {
    pub(super) fn new(args: &TapArgs) -> Self {
        Self {
            name: args.name.clone(),
            namespaces: args.namespaces.clone(),
            step: args.step.clone(),
            failed: args.failed,
        }
    }

    pub(super) fn matches(&self, line: &StepLine<'_>) -> bool {
        let names = [line.pipeline_run, line.pipeline_task, Some(line.task_run)];
        let contains = |part: &String| names.iter().flatten().any(|name| name.contains(&**part));
        self.name.as_ref().is_none_or(contains)
            && (self.namespaces.is_empty()
                || self.namespaces.iter().any(|name| name == line.namespace))
            && self.step.as_ref().is_none_or(|step| step == line.step)
            && (!self.failed || line.phase == StepPhase::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_filter_must_match() {
        let line = StepLine {
            namespace: "ci",
            pipeline_run: Some("shop-web-7"),
            pipeline_task: Some("release"),
            task_run: "shop-web-7-release",
            step: "sign",
            phase: StepPhase::Failed,
            ..StepLine::default()
        };
        let all = Filter {
            name: Some("web-7".to_owned()),
            namespaces: vec!["other".to_owned(), "ci".to_owned()],
            step: Some("sign".to_owned()),
            failed: true,
        };
        assert!(all.matches(&line) && Filter::default().matches(&line));
        let others = [
            Filter {
                name: Some("web-8".to_owned()),
                ..all.clone()
            },
            Filter {
                namespaces: vec!["c".to_owned()],
                ..all.clone()
            },
            Filter {
                step: Some("sig".to_owned()),
                ..all.clone()
            },
        ];
        for other in others {
            assert!(!other.matches(&line), "{other:?}");
        }
        assert!(!all.matches(&StepLine {
            phase: StepPhase::Succeeded,
            ..line
        }));
    }
}
