//! Reads the arguments of Tekton's entrypoint in a step container.

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt::{self, Formatter};
use step_observer_core::{Gate, Inference};

/// The conditions under which a step starts, as the arguments of the entrypoint state them. Only
/// the arguments before `--` count; those after it belong to the command of the step. The arguments
/// themselves are not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entrypoint {
    /// The file for which the step waits (`-wait_file`).
    pub(super) gate: Gate,
    /// States whether `started` may be inferred before the step itself reports its start, and when.
    pub(super) inference: Inference,
}

impl Default for Entrypoint {
    fn default() -> Self {
        Self {
            gate: Gate::Open,
            inference: Inference::Immediate,
        }
    }
}

/// Reads the arguments of a step container.
pub(super) fn from_args<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Entrypoint, D::Error> {
    deserializer.deserialize_any(EntrypointArgs)
}

/// An argument. Borrows its text from the input, unless the JSON contains escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Argument<'a>(#[serde(borrow)] Cow<'a, str>);

/// Visits the arguments one by one.
struct EntrypointArgs;

impl<'de> Visitor<'de> for EntrypointArgs {
    type Value = Entrypoint;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("a sequence of arguments")
    }

    fn visit_unit<E>(self) -> Result<Entrypoint, E> {
        Ok(Entrypoint::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut args: A) -> Result<Entrypoint, A::Error> {
        let mut found = Entrypoint::default();
        let mut is_wait_file = false;
        while let Some(Argument(arg)) = args.next_element()? {
            if arg == "--" {
                break;
            }
            // Only the first `-wait_file` counts.
            if std::mem::take(&mut is_wait_file) && found.gate == Gate::Open {
                found.gate = if arg.starts_with("/tekton/run/") {
                    Gate::Predecessor
                } else {
                    Gate::Ready
                };
            }
            let flag = arg.trim_start_matches('-');
            is_wait_file = flag == "wait_file";
            if is_flag(flag, "debug_before_step") {
                found.inference = Inference::Never;
            } else if is_flag(flag, "when_expressions") && found.inference == Inference::Immediate {
                found.inference = Inference::Delayed;
            }
        }
        while args.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}

fn is_flag(arg: &str, flag: &str) -> bool {
    let value = arg.strip_prefix(flag);
    value.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::super::slim::Container;
    use super::*;

    fn entrypoint(line: &str) -> Entrypoint {
        let args: Vec<&str> = line.split(' ').collect();
        let json = serde_json::json!({"name": "step-a", "args": args}).to_string();
        serde_json::from_str::<Container>(&json).unwrap().entrypoint
    }

    #[test]
    fn gates_are_read_from_the_entrypoint_and_not_from_the_command() {
        let gate = |line: &str| entrypoint(line).gate;
        assert_eq!(
            gate("-wait_file /tekton/downward/ready -wait_file_content --"),
            Gate::Ready
        );
        assert_eq!(
            gate("-wait_file /tekton/run/0/out -post_file x --"),
            Gate::Predecessor
        );
        assert_eq!(
            gate("-post_file /tekton/run/0/out -- -wait_file /tekton/run/0/out"),
            Gate::Open
        );
        let inference = |line: &str| entrypoint(line).inference;
        assert_eq!(inference("--when_expressions [] -- ls"), Inference::Delayed);
        assert_eq!(
            inference("-debug_before_step --when_expressions=[] -- ls"),
            Inference::Never
        );
        assert_eq!(
            inference("-post_file x -- --when_expressions"),
            Inference::Immediate
        );
    }
}
