//! `plugin inspect`: describes a plugin.

use super::registry::{fetch, name_of};
use super::target::{engine, load, load_bytes, target_config};
use crate::cli::args::plugin::{InspectArgs, PluginTarget};
use crate::cli::args::values::Inspected;
use crate::cli::outcome::{CommandError, CommandOutcome};
use crate::cli::output::print_line;
use serde_json::json;
use std::fmt::Write as _;
use step_observer::app::read_plugin;
use step_observer::oci::Pulled;
use step_observer::plugin::{Inspection, Plugin, SetSummary};
use step_observer::terminal;

pub(super) async fn inspect(args: InspectArgs) -> Result<CommandOutcome, CommandError> {
    let InspectArgs {
        plugin,
        settings,
        registry,
        json,
    } = args;
    let (found, loaded, reference) = match plugin {
        Inspected::Here(plugin) => {
            let target = PluginTarget {
                plugin: *plugin,
                settings,
            };
            let config = target_config(target)?;
            let found = Inspection::parse(&read_plugin(&config)?)?;
            (found, load(&engine()?, &config).await, None)
        }
        Inspected::Registry(reference) => {
            let Pulled {
                manifest,
                module,
                signature: _,
            } = fetch(&reference, registry).await?;
            let found = Inspection::parse(&module)?;
            let loaded = load_bytes(&engine()?, name_of(&reference), module, settings).await;
            (found, loaded, Some(reference.pinned(manifest)))
        }
    };
    if json {
        let loaded = match &loaded {
            Ok(plugin) => {
                let (name, version) = plugin.identity();
                let (masks, rules): (Vec<_>, Vec<_>) = plugin
                    .sets()
                    .iter()
                    .partition(|set| set.catalogue.is_some());
                json!({
                    "name": name, "version": version, "onError": plugin.on_error(),
                    "snapshotted": plugin.is_snapshotted(), "ruleSets": rules, "maskSets": masks,
                })
            }
            Err(error) => json!({"error": error.to_string()}),
        };
        let mut description = serde_json::to_value(&found)?;
        if let Some(members) = description.as_object_mut() {
            members.insert("loaded".to_owned(), loaded);
            if let Some(reference) = reference {
                members.insert("reference".to_owned(), reference.to_string().into());
            }
        }
        print_line(&terminal::escape_json(&format!("{description:#}")));
    } else {
        if let Some(reference) = reference {
            print_line(&format!("{:<15}{reference}", "reference"));
        }
        print_line(&describe(&found, loaded.as_deref())?);
    }
    Ok(CommandOutcome::Complete)
}

fn describe(
    found: &Inspection,
    loaded: Result<&Plugin, &CommandError>,
) -> Result<String, CommandError> {
    let Inspection {
        form,
        file_bytes,
        module_bytes,
        sha256,
        world,
        imports,
        exports,
        config_schema,
    } = found;
    let mut text = String::new();
    let mut row =
        |name: &str, value: &str| writeln!(text, "{name:<15}{}", terminal::escape_line(value));
    match loaded {
        Ok(plugin) => {
            let (name, version) = plugin.identity();
            row("plugin", &format!("{name} {version}"))?;
        }
        Err(error) => row("plugin", &format!("is not loaded: {error}"))?,
    }
    row("form", form)?;
    let unpacked = match file_bytes == module_bytes {
        true => String::new(),
        false => format!(", {module_bytes} as WebAssembly"),
    };
    row("size", &format!("{file_bytes} bytes{unpacked}"))?;
    row("sha256", sha256)?;
    row("exports", world.as_deref().unwrap_or("no plugin"))?;
    for other in exports.iter().filter(|name| Some(*name) != world.as_ref()) {
        row("", other)?;
    }
    let mut imports = imports.iter();
    row("imports", imports.next().map_or("nothing", |name| name))?;
    for import in imports {
        row("", import)?;
    }
    if let Ok(plugin) = loaded {
        let on_error = serde_json::to_value(plugin.on_error())?;
        row("on error", on_error.as_str().unwrap_or_default())?;
        row(
            "memory",
            match plugin.is_snapshotted() {
                true => "configured once, every event starts from there",
                false => "configured again for every event, which is slower",
            },
        )?;
        for set in plugin.sets() {
            let SetSummary {
                name,
                catalogue,
                rules,
                values,
                replacement,
            } = set;
            let (count, values) = (rules.len(), format!("{values} known values"));
            match catalogue {
                Some(used) => row(
                    "masks",
                    &format!(
                        "{name}: {used} rules of the catalogue, {count} own rules, {values}, replacement: {}",
                        replacement.unwrap_or_default()
                    ),
                )?,
                None => row("rules", &format!("{name}: {count} patterns, {values}"))?,
            }
            for rules in rules.chunks(6) {
                row("", &rules.join(", "))?;
            }
        }
    }
    if let Some(schema) = config_schema {
        row("configuration", "")?;
        write!(text, "{}", terminal::escape_json(&format!("{schema:#}")))?;
    }
    Ok(text.trim_end().to_owned())
}
