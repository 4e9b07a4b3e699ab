//! The arguments of `tap` and `top`.

use super::values::{parse_duration, parse_plugin};
use std::path::PathBuf;
use step_observer::bounded::namespace_name;
use step_observer::config::ConfigDuration;
use step_observer::http::HttpUrl;
use step_observer::plugin::PluginConfig;

/// Address of an observer that is reached by `kubectl port-forward`, as in `deploy/base/config.yaml`.
const DEFAULT_OBSERVER: &str = "http://127.0.0.1:8082";

pub(in crate::cli) const AFTER_HELP: &str = "Without --observer it watches the cluster of KUBECONFIG, and needs no installation: only the rights to \
    list and watch pods and taskruns.tekton.dev, for one namespace with --namespace, and to get pods/log for --logs. With \
    --observer it shows what a running observer reports, and needs access to its admin address only.\n\n\
    It shows transitions that come after its start. The state is started, succeeded, failed or skipped. With --json each line is \
    a CloudEvent in JSON. It ends with Ctrl-C, or when its output is closed.\n\n\
    Examples:\n  step-observer tap --namespace ci\n  step-observer tap --failed --logs\n  \
    step-observer tap --observer http://127.0.0.1:8082 --sink broker --json | jq .subject";

#[derive(Debug, clap::Args)]
pub(crate) struct TapArgs {
    /// Show only runs in whose PipelineRun, task or TaskRun name this text occurs
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Show only this namespace. Repeatable; the default is all
    #[arg(long = "namespace", short = 'n', value_name = "NAME", value_parser = namespace_name)]
    pub(crate) namespaces: Vec<String>,
    /// Show only steps with this name
    #[arg(long, value_name = "NAME")]
    pub(crate) step: Option<String>,
    /// Show only steps that fail
    #[arg(long)]
    pub(crate) failed: bool,
    /// Show transitions of the last TIME first, such as 5m, as far as they are known
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) since: Option<ConfigDuration>,
    /// Print each event as one line of JSON: the CloudEvent, as the first sink gets it (--observer) or as the plugins leave it
    #[arg(long)]
    pub(crate) json: bool,
    /// Show what a running observer reports, instead of watching the cluster; without URL the one at
    /// http://127.0.0.1:8082 (`kubectl port-forward`). Repeatable, for observers that share the work
    #[arg(
        long = "observer", value_name = "URL", num_args = 0..=1, default_missing_value = DEFAULT_OBSERVER, value_parser = parse_url,
        conflicts_with_all = ["selector", "plugins", "logs"]
    )]
    pub(crate) observers: Vec<HttpUrl>,
    /// File with the token for the observer, if it has `admin.auth`. It is read for every request
    #[arg(long, value_name = "FILE", requires = "observers")]
    pub(crate) token_file: Option<PathBuf>,
    /// Show only events that this sink of the observer gets; with --json, as it gets them
    #[arg(long, value_name = "NAME", requires = "observers")]
    pub(crate) sink: Option<String>,
    /// Watch only objects with these labels
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,
    /// Read the logs of steps when they end, masked by redact-secrets, and print them below the line, or with --json in the
    /// event
    #[arg(long)]
    pub(crate) logs: bool,
    /// Pass the events through a plugin, after redact-secrets: a file or bundled:NAME, with its configuration as a JSON file.
    /// Repeatable, in order
    #[arg(long = "plugin", value_name = "FILE[=CONFIG.json]", value_parser = parse_plugin)]
    pub(crate) plugins: Vec<PluginConfig>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TopArgs {
    /// Address of the observer
    #[arg(long, value_name = "URL", default_value = DEFAULT_OBSERVER, value_parser = parse_url)]
    pub(crate) observer: HttpUrl,
    /// File with the token for the observer, if it has `admin.auth`. It is read for every request
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

fn parse_url(text: &str) -> Result<HttpUrl, String> {
    HttpUrl::try_from(text.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::cli::args::{Args, Command};
    use clap::Parser as _;

    fn observers(args: &[&str]) -> Result<Vec<String>, String> {
        let args = [&["step-observer", "tap"], args].concat();
        let args = Args::try_parse_from(args).map_err(|error| error.to_string())?;
        let Command::Tap(tap) = args.command else {
            panic!("another command");
        };
        Ok(tap.observers.into_iter().map(String::from).collect())
    }

    #[test]
    fn an_observer_has_a_default_address_and_may_be_repeated() {
        assert!(observers(&[]).unwrap().is_empty());
        assert_eq!(
            observers(&["--observer", "--failed"]).unwrap(),
            ["http://127.0.0.1:8082/"]
        );
        let two = ["--observer", "http://a:1", "--observer=http://b:2/x"];
        assert_eq!(observers(&two).unwrap(), ["http://a:1/", "http://b:2/x"]);
    }

    #[test]
    fn options_of_the_other_source_are_refused() {
        for of_cluster in [&["--logs"][..], &["-l", "a=b"]] {
            let args = [&["--observer"], of_cluster].concat();
            let problem = observers(&args).unwrap_err();
            assert!(problem.contains("cannot be used with"), "{problem}");
        }
        for of_observer in [["--sink", "broker"], ["--token-file", "token"]] {
            let problem = observers(&of_observer).unwrap_err();
            assert!(problem.contains("--observer"), "{problem}");
        }
        let problem = observers(&["--observer", "shop"]).unwrap_err();
        assert!(problem.contains("write http://host/path"), "{problem}");
    }
}
