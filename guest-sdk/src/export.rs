//! The functions that the code of `export_plugin!` calls.

use crate::Plugin;
use crate::bindings::exports::step_observer::plugin::masking::MaskSet;
use crate::bindings::exports::step_observer::plugin::transform::{RuleSet, Setup, Verdict};
use crate::bindings::step_observer::plugin::events::Event;
use std::cell::OnceCell;
use std::thread::LocalKey;

/// Holds the configured plugin. A static of this type needs no `Sync`, because WebAssembly has one
/// thread.
pub type Slot<P> = OnceCell<P>;

/// Makes the plugin from its configuration and keeps it.
///
/// # Errors
///
/// The configuration does not have the plugin's type, or the plugin refuses it.
pub fn configure<P: Plugin>(
    slot: &'static LocalKey<Slot<P>>,
    name: &str,
    version: &str,
    config: &str,
) -> Result<Setup, String> {
    set_panic_hook();
    let config = read_config::<P>(&format!("{name} {version}"), config)?;
    let plugin = P::configure(config)?;
    let setup = Setup {
        name: name.to_owned(),
        version: version.to_owned(),
        rule_sets: rule_sets(&plugin),
    };
    slot.with(|slot| slot.set(plugin))
        .map_err(|_| "configured twice".to_owned())?;
    Ok(setup)
}

/// Name of a rule set without rules, in a plugin that has masks only.
const FOR_HOSTS_WITHOUT_MASKS: &str = "for-hosts-without-masks";

/// Returns the rule sets of a plugin. A host of 0.1.0 does not know masks, so that the plugin fails there on every event. By a rule set, such a
/// host knows a plugin that redacts, and sends these events without log and free text unless the operator has set `onError`.
fn rule_sets<P: Plugin>(plugin: &P) -> Vec<RuleSet> {
    let sets = plugin.rule_sets();
    match sets.is_empty() && !plugin.mask_sets().is_empty() {
        true => vec![RuleSet {
            name: FOR_HOSTS_WITHOUT_MASKS.to_owned(),
            rules: Vec::new(),
            values: Vec::new(),
        }],
        false => sets,
    }
}

/// Returns the mask sets of the configured plugin.
///
/// # Errors
///
/// The plugin is not configured.
pub fn mask_sets<P: Plugin>(slot: &'static LocalKey<Slot<P>>) -> Result<Vec<MaskSet>, String> {
    slot.with(|slot| match slot.get() {
        Some(plugin) => Ok(plugin.mask_sets().into_iter().map(Into::into).collect()),
        None => Err("mask-sets was called before configure".to_owned()),
    })
}

/// Reads the configuration of a plugin; `whose` is the name and version of the plugin.
///
/// # Errors
///
/// The configuration does not have the plugin's type.
pub fn read_config<P: Plugin>(whose: &str, config: &str) -> Result<P::Config, String> {
    serde_json::from_str(config).map_err(|error| {
        let error = without_values(&error);
        match config {
            "null" => format!("configuration of {whose}: it needs one, and there is none: {error}"),
            _ => format!("configuration of {whose}: {error}"),
        }
    })
}

/// Returns the text of an error of serde without the values that it quotes, because a configuration
/// may hold secrets.
fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let quotes = ["invalid type: ", "invalid value: ", "unknown variant "];
    let between = |mark: char| text.find(mark).zip(text.rfind(mark));
    let (first, last, mark) = if quotes.iter().any(|start| text.starts_with(start)) {
        // serde quotes the value first: numbers and booleans between backticks, texts between
        // quotes. The expected type comes last and holds no value of the configuration.
        let end = text.rfind(", expected").unwrap_or(text.len());
        let found = text.get(..end).unwrap_or_default();
        let quoted = |mark: char| found.find(mark).zip(found.rfind(mark));
        match (quoted('"'), quoted('`')) {
            (Some((text, end)), Some((tick, _))) if text < tick => (text, end, '"'),
            (_, Some((first, last))) => (first, last, '`'),
            (Some((first, last)), None) => (first, last, '"'),
            (None, None) => return text,
        }
    } else {
        match between('"') {
            Some((first, last)) => (first, last, '"'),
            None => return text,
        }
    };
    if first == last {
        return text;
    }
    let (before, after) = (text.get(..first), text.get(last + 1..));
    format!(
        "{}{mark}…{mark}{}",
        before.unwrap_or_default(),
        after.unwrap_or_default()
    )
}

/// Lets the plugin process an event.
///
/// # Errors
///
/// The plugin returns an error, or it was not configured.
pub fn process<P: Plugin>(
    slot: &'static LocalKey<Slot<P>>,
    event: &Event,
) -> Result<Verdict, String> {
    slot.with(|slot| match slot.get() {
        Some(plugin) => plugin.process(event),
        None => Err("process was called before configure".to_owned()),
    })
}

/// Makes a panic log its position in the source, because a trap has no text. The message of the
/// panic is not logged, because it may hold data of an event.
fn set_panic_hook() {
    if cfg!(target_arch = "wasm32") {
        std::panic::set_hook(Box::new(|panic| {
            if let Some(place) = panic.location() {
                crate::log(crate::Level::Error, &format!("panicked at {place}"));
            }
        }));
    }
}

/// Exports a type that implements [`Plugin`](crate::Plugin) as the plugin of this crate.
///
/// The plugin has the name and version of the crate. With `config_schema = "FILE"` the module
/// carries the JSON Schema of its configuration, which `step-observer plugin inspect` shows. The
/// path is relative to the source file.
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty, config_schema = $schema:literal) => {
        $crate::export_plugin!($plugin);

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "a custom section is no code")]
        const _: () = {
            const SCHEMA: &[u8] = ::core::include_bytes!($schema);

            #[used]
            #[unsafe(link_section = "step-observer:config-schema")]
            static SECTION: [u8; SCHEMA.len()] = *::core::include_bytes!($schema);
        };
    };
    ($plugin:ty) => {
        // Natively nothing is exported, but the compiler checks that the type is a plugin.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(
            <$plugin as $crate::Plugin>::Config,
        ) -> ::core::result::Result<$plugin, ::std::string::String> =
            <$plugin as $crate::Plugin>::configure;

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            ::std::thread_local! {
                static PLUGIN: $crate::export::Slot<$plugin> =
                    const { $crate::export::Slot::new() };
            }

            struct Exported;

            impl $crate::bindings::exports::step_observer::plugin::transform::Guest for Exported {
                fn configure(
                    config: ::std::string::String,
                ) -> ::core::result::Result<
                    $crate::bindings::exports::step_observer::plugin::transform::Setup,
                    ::std::string::String,
                > {
                    $crate::export::configure::<$plugin>(
                        &PLUGIN,
                        ::core::env!("CARGO_PKG_NAME"),
                        ::core::env!("CARGO_PKG_VERSION"),
                        &config,
                    )
                }

                fn process(
                    event: &$crate::bindings::step_observer::plugin::events::Event,
                ) -> ::core::result::Result<$crate::Verdict, ::std::string::String> {
                    $crate::export::process::<$plugin>(&PLUGIN, event)
                }
            }

            impl $crate::bindings::exports::step_observer::plugin::masking::Guest for Exported {
                fn mask_sets() -> ::core::result::Result<
                    ::std::vec::Vec<
                        $crate::bindings::exports::step_observer::plugin::masking::MaskSet,
                    >,
                    ::std::string::String,
                > {
                    $crate::export::mask_sets::<$plugin>(&PLUGIN)
                }
            }

    $crate::bindings::export_redactor!(Exported with_types_in $crate::bindings);
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_of_any_type_of_a_configuration_is_repeated() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "lowercase")]
        enum Mode {
            Fast,
        }
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only read")]
        struct Config {
            #[serde(default)]
            name: String,
            #[serde(default)]
            count: u8,
            mode: Option<Mode>,
            #[serde(default)]
            deep: Vec<std::collections::BTreeMap<String, bool>>,
        }
        for (config, expected) in [
            (
                r#"{"name": 90210}"#,
                "invalid type: integer `…`, expected a string",
            ),
            (
                r#"{"name": -90210.5}"#,
                "invalid type: floating point `…`, expected a string",
            ),
            (
                r#"{"name": true}"#,
                "invalid type: boolean `…`, expected a string",
            ),
            (
                r#"{"count": 90210}"#,
                "invalid value: integer `…`, expected u8",
            ),
            (
                r#"{"count": "a\"90210`, expected"}"#,
                "invalid type: string \"…\", expected u8",
            ),
            (
                r#"{"mode": "90210"}"#,
                "unknown variant `…`, expected `fast`",
            ),
            (
                r#"{"deep": [{"a": 90210}]}"#,
                "invalid type: integer `…`, expected a boolean",
            ),
            (r#"{"nmae": 1}"#, "unknown field `nmae`"),
        ] {
            let error = serde_json::from_str::<Config>(config).unwrap_err();
            let said = without_values(&error);
            assert!(said.starts_with(expected), "{said}");
            assert!(!said.contains("90210") && !said.contains("true"), "{said}");
        }
    }
}
