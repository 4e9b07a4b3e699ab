//! Generates the files of the Helm chart that repeat other files: the schema of its values has the schema of the
//! configuration within it, and templates can read only files below the chart.

use crate::run::{Problem, root};
use std::fs;
use std::path::Path;

/// The schema of the values, without the schemas that the program prints.
const VALUES: &str = include_str!("values.schema.json");

/// Copies: from, to.
const COPIES: [(&str, &str); 2] = [
    (
        "deploy/components/monitoring/prometheus-rule.yaml",
        "deploy/chart/files/prometheus-rule.yaml",
    ),
    (
        "deploy/components/monitoring/dashboard.json",
        "deploy/chart/files/dashboard.json",
    ),
];

/// Returns the generated files below the root of the repository, with their content. Reads the schemas in
/// `deploy/schema`.
pub(crate) fn generated() -> Result<Vec<(&'static str, String)>, Problem> {
    let mut files = vec![(
        "deploy/chart/values.schema.json",
        values(
            &read("deploy/schema/config.v1.json")?,
            &read("deploy/schema/plugin.v1.json")?,
        ),
    )];
    for (from, to) in COPIES {
        files.push((to, read(from)?));
    }
    Ok(files)
}

/// Inserts the two schemas.
fn values(config: &str, plugin: &str) -> String {
    let inserted = [
        ("CONFIG_SCHEMA", "config", config),
        ("PLUGIN_SCHEMA", "plugin", plugin),
    ];
    inserted
        .into_iter()
        .fold(VALUES.to_owned(), |text, (place, name, schema)| {
            text.replace(place, &within(name, schema))
        })
}

/// Returns a schema as the definition `name` of another. Its references become those of the other, because not every version of
/// Helm knows schemas with an identifier of their own within another.
fn within(name: &str, schema: &str) -> String {
    let is_of_a_root = |line: &&str| {
        let line = line.trim_start();
        line.starts_with("\"$id\":") || line.starts_with("\"$schema\":")
    };
    let lines: Vec<&str> = schema.lines().filter(|line| !is_of_a_root(line)).collect();
    lines
        .join("\n    ")
        .replace("\"#/$defs/", &format!("\"#/$defs/{name}/$defs/"))
}

fn read(file: &str) -> Result<String, Problem> {
    let file = root().join(Path::new(file));
    fs::read_to_string(&file).map_err(|error| Problem(format!("{}: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_inserted_with_the_indentation_of_their_place() {
        let config = "{\n  \"$id\": \"urn:x\",\n  \"a\": {\"$ref\": \"#/$defs/b\"}\n}\n";
        let text = values(config, "{}");
        let inserted = "\n    \"config\": {\n      \"a\": {\"$ref\": \"#/$defs/config/$defs/b\"}\n    },\n    \"plugin\": {}\n";
        assert!(text.contains(inserted), "{text}");
        assert!(!text.contains("_SCHEMA"));
    }
}
