//! `redact --rules`: the list of rules.

use super::explain::paint;
use crate::cli::outcome::CommandError;
use std::fmt::Write as _;
use step_observer::redact::{Options, catalog, forms};
use step_observer::terminal;

/// Seed of the examples.
const SEED: u64 = 1;
/// Characters of an example that the table shows.
const SHOWN: usize = 60;

/// A row of the list.
#[derive(serde::Serialize)]
struct Row {
    id: &'static str,
    /// `credential`: the rule recognises a secret by the secret's own form. `form`: by the text
    /// around the secret.
    kind: &'static str,
    title: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    example: String,
}

/// Lists the rules that are selected, as a table or as lines of JSON.
pub(super) fn list(options: &Options, json: bool, color: bool) -> Result<String, CommandError> {
    let kinds = catalog::kinds().map(|kind| Row {
        id: kind.id,
        kind: "credential",
        title: kind.title,
        source: Some(kind.source),
        example: kind
            .examples
            .first()
            .map_or_else(String::new, |template| catalog::example(template, SEED)),
    });
    let forms = forms::forms().into_iter().map(|form| Row {
        id: form.id,
        kind: "form",
        title: form.title,
        source: None,
        example: form
            .examples
            .first()
            .map_or_else(String::new, |line| line.replace(['→', '←'], "")),
    });
    let mut rows: Vec<Row> = kinds.chain(forms).collect();
    rows.retain(|row| options.uses(row.id));
    rows.sort_by_key(|row| (row.kind, row.id));
    if json {
        return lines(&rows);
    }
    Ok(table(&rows, color))
}

fn lines(rows: &[Row]) -> Result<String, CommandError> {
    let mut text = String::new();
    for row in rows {
        writeln!(
            text,
            "{}",
            terminal::escape_json(&serde_json::to_string(row)?)
        )?;
    }
    Ok(text)
}

fn table(rows: &[Row], color: bool) -> String {
    let width = |cell: fn(&Row) -> &str| rows.iter().map(|row| cell(row).chars().count()).max();
    let id_width = width(|row| row.id).unwrap_or(0);
    let title_width = width(|row| row.title).unwrap_or(0);
    let mut text = format!(
        "{} rules. All examples are made up. Sources and whole examples: --rules --json\n\n",
        rows.len()
    );
    let head = format!("{:<id_width$}  {:<title_width$}  EXAMPLE", "ID", "TITLE");
    writeln!(text, "{}", paint(color, "1", &head)).ok();
    for Row {
        id, title, example, ..
    } in rows
    {
        let id = paint(color, "33", &format!("{id:<id_width$}"));
        let shown: String = terminal::escape_line(example).chars().take(SHOWN).collect();
        let more = if shown.len() < example.len() {
            "…"
        } else {
            ""
        };
        writeln!(text, "{id}  {title:<title_width$}  {shown}{more}").ok();
    }
    text
}
