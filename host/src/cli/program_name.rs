//! The name under which the program is called. As `kubectl-steps` or `tkn-steps` it is a plugin of kubectl or tkn, and its
//! help shows the commands as they are typed there.

use super::args::Args;
use clap::builder::StyledStr;
use clap::{Command, CommandFactory as _, FromArgMatches as _};
use std::ffi::OsStr;
use std::path::Path;

/// The name of the program in its own help.
const OWN_NAME: &str = "step-observer";

/// Reads the command line. Ends the process after a mistake, and after `--help`.
pub(super) fn parse() -> Args {
    let called_as = std::env::args_os().next().unwrap_or_default();
    let command = match plugin_name(&called_as) {
        Some(name) => renamed(Args::command(), name).bin_name(name),
        None => Args::command(),
    };
    let matches = command.get_matches();
    Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Returns how the program is called as a plugin (<https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/>,
/// <https://tekton.dev/docs/cli/> "plugins").
fn plugin_name(called_as: &OsStr) -> Option<&'static str> {
    let file = Path::new(called_as).file_name()?.to_str()?;
    match file.strip_suffix(".exe").unwrap_or(file) {
        "kubectl-steps" => Some("kubectl steps"),
        "tkn-steps" => Some("tkn steps"),
        _ => None,
    }
}

/// Replaces the name in the examples of a command and of those below it.
fn renamed(command: Command, name: &str) -> Command {
    let examples = command.get_after_help().map(StyledStr::to_string);
    let command = match examples {
        Some(examples) => command.after_help(in_examples(&examples, name)),
        None => command,
    };
    command.mut_subcommands(|below| renamed(below, name))
}

/// Replaces the name where a command begins; other places name files or namespaces.
fn in_examples(text: &str, name: &str) -> String {
    let begins = [
        ("  ", " "),
        ("`", " "),
        ("(", " "),
        ("| ", " "),
        ("&& ", " "),
    ];
    begins
        .iter()
        .fold(text.to_owned(), |text, (before, after)| {
            text.replace(
                &format!("{before}{OWN_NAME}{after}"),
                &format!("{before}{name}{after}"),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_links_of_plugins_change_the_name() {
        let name = |called: &str| plugin_name(OsStr::new(called));
        assert_eq!(name("/usr/bin/kubectl-steps"), Some("kubectl steps"));
        assert_eq!(name("tkn-steps.exe"), Some("tkn steps"));
        for other in [
            "step-observer",
            "./target/debug/step-observer",
            "kubectl-steps-2",
            "",
            "/",
        ] {
            assert_eq!(name(other), None, "{other}");
        }
    }

    #[test]
    fn examples_are_commands_that_can_be_typed() {
        let text = "Start with `step-observer demo`:\n  step-observer tap && step-observer top\n  kubectl -n step-observer get pods";
        assert_eq!(
            in_examples(text, "kubectl steps"),
            "Start with `kubectl steps demo`:\n  kubectl steps tap && kubectl steps top\n  kubectl -n step-observer get pods"
        );
        let mut command = renamed(Args::command(), "kubectl steps").bin_name("kubectl steps");
        let help = command.render_help().to_string();
        assert!(help.contains("Usage: kubectl steps "), "{help}");
        assert!(
            help.contains("`kubectl steps demo`") && !help.contains("step-observer demo"),
            "{help}"
        );
    }
}
