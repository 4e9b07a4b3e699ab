//! The log: one line for each message, on standard error.

use super::args::{Command, LogArgs, LogFormat};
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _};
use step_observer::sink::silenced_crates;
use step_observer::terminal;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

/// Starts the log, and returns its filter.
pub(super) fn start(command: &Command, args: &LogArgs) -> Result<String, String> {
    let default = match (command.owns_terminal(), command.is_quiet()) {
        (true, _) => "off",
        (false, true) => "warn",
        (false, false) => "info",
    };
    let chosen = args.log.as_deref().unwrap_or(default);
    // At more verbose levels than these, the kube crates log objects, which may hold secrets.
    let mut filter = format!("{chosen},kube_client::client=error,kube_runtime::watcher=info");
    for silenced in silenced_crates() {
        write!(filter, ",{silenced}=off").ok();
    }
    let filter = EnvFilter::builder().parse(&filter).map_err(|error| {
        format!("--log `{filter}`: {error}; write for example info or step_observer=debug")
    })?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter);
    match args.log_format {
        LogFormat::Text => {
            let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            subscriber
                .with_writer(io::stderr)
                .with_ansi(color)
                .fmt_fields(debug_fn(field).delimited(" "))
                .init();
        }
        LogFormat::Json => subscriber
            .json()
            .with_writer(|| EscapedJson(io::stderr()))
            .init(),
    }
    Ok(chosen.to_owned())
}

/// Writes a field. Its value may come from the cluster, so line ends and control sequences are escaped: the formatter of
/// tracing-subscriber escapes messages but not fields.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name().trim_start_matches("r#") {
        "message" => {}
        name if writer.has_ansi_escapes() => {
            write!(writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m")?;
        }
        name => write!(writer, "{name}=")?,
    }
    write!(terminal::LineEscaper(writer), "{value:?}")
}

/// Escapes control sequences that JSON allows unescaped but a terminal would obey. Each line is one write.
struct EscapedJson<W>(W);

impl<W: io::Write> io::Write for EscapedJson<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) => self.0.write_all(terminal::escape_json(text).as_bytes())?,
            Err(_) => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
