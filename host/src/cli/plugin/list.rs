//! `plugin list`: the plugins in this program, and the catalogue.

use crate::cli::args::plugin::ListArgs;
use crate::cli::outcome::{CommandError, CommandOutcome};
use crate::cli::output::print_line;
use serde_json::{Value, json};
use step_observer::plugin::{
    COMPLETE_BUILD, PluginAbout, bundled_plugins, missing_plugins, plugins_in_source,
};
use step_observer::terminal;

/// Plugins have the version of the program: all are crates of one workspace and one release.
const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) fn list(args: &ListArgs) -> Result<CommandOutcome, CommandError> {
    let listed = listed(plugins_in_source(), &bundled_plugins(), missing_plugins());
    if args.json {
        let plugins: Vec<Value> = listed.iter().map(to_json).collect();
        let text = format!("{:#}", json!({"plugins": plugins}));
        print_line(&terminal::escape_json(&text));
    } else {
        print_line(&terminal::escape_lines(&to_text(&listed)));
    }
    Ok(CommandOutcome::Complete)
}

/// Where a plugin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In this program.
    Bundled,
    /// It should be in this program, which was built without it.
    Missing,
    /// In a file of the release.
    Catalogue,
    /// In this program, put there by whoever built it.
    Own,
}

#[derive(Debug, PartialEq, Eq)]
struct Listed<'a> {
    name: &'a str,
    place: Place,
    about: Option<&'a PluginAbout>,
}

/// Returns all plugins: bundled ones, those that were added, and the catalogue, each by name.
fn listed<'a>(source: &'a [PluginAbout], bundled: &[&'a str], missing: &[&str]) -> Vec<Listed<'a>> {
    let known = source.iter().map(|about| Listed {
        name: about.name,
        place: match (about.is_bundled, missing.contains(&about.name)) {
            (false, _) => Place::Catalogue,
            (true, true) => Place::Missing,
            (true, false) => Place::Bundled,
        },
        about: Some(about),
    });
    let is_known = |name: &&&str| source.iter().any(|about| about.name == **name);
    let own = bundled.iter().filter(|name| !is_known(name));
    let own = own.map(|name| Listed {
        name,
        place: Place::Own,
        about: None,
    });
    let mut all: Vec<_> = known.chain(own).collect();
    all.sort_by_key(|plugin| (plugin.place == Place::Catalogue, plugin.name));
    all
}

/// Returns the name of the plugin's file in a release, if it has one.
fn artifact(plugin: &Listed<'_>) -> Option<String> {
    let is_file = plugin.place == Place::Catalogue;
    is_file.then(|| format!("step-observer-plugin-{}-{VERSION}.wasm", plugin.name))
}

fn to_json(plugin: &Listed<'_>) -> Value {
    let kind = match plugin.place {
        Place::Bundled | Place::Missing | Place::Own => "bundled",
        Place::Catalogue => "catalogue",
    };
    json!({
        "name": plugin.name,
        "kind": kind,
        "isMissing": plugin.place == Place::Missing,
        "version": plugin.about.map(|_| VERSION),
        "description": plugin.about.map(|about| about.description),
        "needs": plugin.about.map(|about| about.needs),
        "artifact": artifact(plugin),
    })
}

fn to_text(listed: &[Listed<'_>]) -> String {
    let mut lines = Vec::new();
    let is_file = |plugin: &&Listed<'_>| plugin.place == Place::Catalogue;
    lines.push(format!(
        "Bundled plugins {VERSION}, in this program as bundled:NAME"
    ));
    for plugin in listed.iter().filter(|plugin| !is_file(plugin)) {
        push(&mut lines, plugin);
        if plugin.place == Place::Missing {
            lines.push(format!("    missing in this program: {COMPLETE_BUILD}"));
        }
    }
    lines.push(String::new());
    lines.push(format!("Catalogue {VERSION}, files of the release"));
    for plugin in listed.iter().filter(is_file) {
        push(&mut lines, plugin);
        lines.extend(artifact(plugin).map(|file| format!("    file: {file}")));
    }
    lines.join("\n")
}

fn push(lines: &mut Vec<String>, plugin: &Listed<'_>) {
    let description = plugin.about.map(|about| about.description);
    let description = description.unwrap_or("added by whoever built this program");
    lines.push(format!("  {:<14}  {description}", plugin.name));
    let needs = plugin.about.map(|about| about.needs);
    let needs = needs.filter(|needs| *needs != "nothing");
    lines.extend(needs.map(|needs| format!("    needs: {needs}")));
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn about(name: &'static str, is_bundled: bool) -> PluginAbout {
        PluginAbout {
            name,
            description: "Does it",
            needs: "a log",
            is_bundled,
        }
    }

    static SOURCE: [PluginAbout; 3] = [about("a", false), about("b", true), about("c", true)];

    #[test]
    fn each_plugin_is_listed_with_its_place() {
        let places: Vec<_> = listed(&SOURCE, &["c", "own"], &["b"])
            .into_iter()
            .map(|plugin| (plugin.name, plugin.place))
            .collect();
        assert_eq!(
            places,
            [
                ("b", Place::Missing),
                ("c", Place::Bundled),
                ("own", Place::Own),
                ("a", Place::Catalogue),
            ]
        );
    }

    #[test]
    fn the_text_names_the_file_and_what_is_missing() {
        let text = to_text(&listed(&SOURCE, &["c", "own"], &["b"]));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[1..3],
            ["  b               Does it", "    needs: a log"]
        );
        assert!(
            lines[3].starts_with("    missing in this program: build it"),
            "{text}"
        );
        assert!(
            lines[6].ends_with("added by whoever built this program"),
            "{text}"
        );
        assert_eq!(
            lines.last(),
            Some(&format!("    file: step-observer-plugin-a-{VERSION}.wasm").as_str())
        );
    }
}
