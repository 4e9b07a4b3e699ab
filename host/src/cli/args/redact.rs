//! The arguments of `redact`.

use clap::ValueEnum;
use std::path::PathBuf;

/// The end of `--help`.
pub(super) const AFTER_HELP: &str = "It knows credentials by their form (tokens, keys, webhooks), values under the name \
    of a secret (`password: …`, `--token …`, headers, URLs), and your own values in their encodings. All other bytes \
    pass unchanged, also those that are not UTF-8. It reads a stream without end, and passes each line on at once.\n\n\
    Examples:\n  \
    tekton logs run/build | step-observer redact           # a log that may be shown\n  \
    step-observer redact --check --explain build.log       # in CI: shows where secrets are, and fails\n  \
    step-observer redact --value-file token.txt build.log  # also masks what token.txt holds, and its base64\n\n\
    A configuration, for example:\n  \
    without: [json-web-token]\n  \
    rules: [{id: ticket, pattern: 'TICKET-[0-9]{8}', keywords: [TICKET-]}]\n  \
    replacement: {text: '***'}\n\n\
    Exit codes: 0 done, 1 a file could not be read or the configuration has mistakes, 2 wrong usage, 3 --check has \
    found secrets.";

#[derive(Debug, clap::Args)]
pub(crate) struct RedactArgs {
    /// Files to mask, in this order; `-` or none is standard input
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Configuration (YAML or JSON). Its possible members: rules, only, without, values,
    /// replacement
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Mask the content of this file, too, in its usual encodings. Repeatable
    #[arg(long = "value-file", value_name = "FILE")]
    pub(crate) value_files: Vec<PathBuf>,
    /// Leave out a rule. Repeatable
    #[arg(long, value_name = "ID")]
    pub(crate) without: Vec<String>,
    /// Use only this rule, and your own rules and values. Repeatable
    #[arg(long, value_name = "ID")]
    pub(crate) only: Vec<String>,
    /// What stands in the place of a secret: rule (the default) for [redacted:ID], text=TEXT, or token=FILE for
    /// [redacted:ID:TOKEN] with tokens that are equal for equal secrets; FILE holds their key
    #[arg(long, value_name = "WHAT", value_parser = parse_replacement)]
    pub(crate) replacement: Option<ReplacementArg>,
    /// Print where secrets are, instead of the text: file, line, rule, and the masked line
    #[arg(long)]
    pub(crate) explain: bool,
    /// Like --explain, with one JSON object for each secret: rule, title, file, line, excerpt
    #[arg(long)]
    pub(crate) json: bool,
    /// Exit with code 3 if there is a secret
    #[arg(long)]
    pub(crate) check: bool,
    /// List the rules with examples; with --json as one JSON object for each
    #[arg(long, conflicts_with_all = ["files", "value_files", "replacement", "explain", "check"])]
    pub(crate) rules: bool,
    /// When to use colours in lists
    #[arg(long, value_enum, default_value_t = ColorArg::Auto, value_name = "WHEN")]
    pub(crate) color: ColorArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorArg {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

/// What stands in the place of a secret.
#[derive(Clone, Debug)]
pub(crate) enum ReplacementArg {
    Rule,
    Text(String),
    /// The file with the key.
    Token(PathBuf),
}

fn parse_replacement(text: &str) -> Result<ReplacementArg, String> {
    match text.split_once('=') {
        None if text == "rule" => Ok(ReplacementArg::Rule),
        Some(("text", text)) => Ok(ReplacementArg::Text(text.to_owned())),
        Some(("token", file)) if !file.is_empty() => Ok(ReplacementArg::Token(file.into())),
        _ => Err("write rule, text=TEXT or token=FILE".to_owned()),
    }
}
