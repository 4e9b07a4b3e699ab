//! The versions of the plugin contract (WIT) that this host and this SDK support. No other place
//! lists them. `wit/README.md` describes what a later version 0.1.z may add.

/// Package of the contract.
pub const PACKAGE: &str = "step-observer:plugin";

/// Prefix of all versions whose plugins this host runs.
pub const COMPATIBLE: &str = "0.1.";

/// All versions with their WIT texts, the oldest first. Each version contains everything that the
/// versions before it contain.
pub const VERSIONS: [(&str, &str); 2] = [
    ("0.1.0", include_str!("../../wit/v0.1/plugin.wit")),
    ("0.1.1", include_str!("../../wit/v0.1.1/plugin.wit")),
];

/// The newest version and its text.
pub const NEWEST: (&str, &str) = match VERSIONS {
    [.., newest] => newest,
};

/// World of a plugin, in every version.
pub const WORLD: &str = "plugin";

/// World of a plugin that also exports [`MASKING`], from 0.1.1 on.
pub const REDACTOR_WORLD: &str = "redactor";

/// Interfaces that a plugin may import.
pub const IMPORTS: [&str; 2] = ["events", "logging"];

/// The interface that makes a component a plugin.
pub const TRANSFORM: &str = "transform";

/// The interface that a plugin may export from 0.1.1 on: it selects masks of the host's catalogue.
pub const MASKING: &str = "masking";

/// Generates the bindings of the newest version (`contract::NEWEST`), with wasmtime's `bindgen!`
/// for the host and wit-bindgen's `generate!` for plugins. Both macros need the path as a literal,
/// relative to the crate that calls `bindings!`. The host has separate bindings for the optional
/// export `masking`, because the bindings of a world require all its exports.
#[macro_export]
macro_rules! bindings {
    (host $($generate:ident)::+ { $($options:tt)* }) => {
        $($generate)::+!({ path: "../guest-sdk/wit/v0.1.1", world: "plugin", $($options)* });
    };
    (host_masking $($generate:ident)::+) => {
        $($generate)::+!({
            path: "../guest-sdk/wit/v0.1.1",
            inline: "package step-observer:host; world masker { export step-observer:plugin/masking@0.1.1; }",
        });
    };
    (plugin $($generate:ident)::+ { $($options:tt)* }) => {
        $($generate)::+!({ path: "wit/v0.1.1", world: "redactor", $($options)* });
    };
}

/// Returns whether a plugin may import the interface with this full name, such as
/// `step-observer:plugin/events@0.1.0`.
#[must_use]
pub fn is_import(name: &str) -> bool {
    IMPORTS.iter().any(|interface| is(name, interface))
}

/// Returns whether an export with this name is the plugin interface, in a version that this host
/// supports.
#[must_use]
pub fn is_transform(name: &str) -> bool {
    is(name, TRANSFORM)
}

/// Returns whether an export with this name selects masks, in a version that this host supports.
#[must_use]
pub fn is_masking(name: &str) -> bool {
    is(name, MASKING)
}

/// Returns the WIT text for the version in the name of a core module's export, such as
/// `step-observer:plugin/transform@0.1.0#process`. Returns the newest text if the version is
/// unknown, and `None` if the name is not an export of the plugin interface.
#[must_use]
pub fn wit_of(export: &str) -> Option<&'static str> {
    let version = version(export, TRANSFORM)?;
    let version = version.split('#').next().unwrap_or(version);
    let known = VERSIONS.iter().find(|(known, _)| *known == version);
    Some(known.unwrap_or(&NEWEST).1)
}

/// Returns the world of a core module with these exports.
#[must_use]
pub fn world_of<'a>(exports: impl IntoIterator<Item = &'a str>) -> &'static str {
    match exports.into_iter().any(is_masking) {
        true => REDACTOR_WORLD,
        false => WORLD,
    }
}

fn is(name: &str, interface: &str) -> bool {
    version(name, interface).is_some_and(|version| version.starts_with(COMPATIBLE))
}

/// Returns the version in the full name of an interface of the contract, or `None` if it is the
/// name of something else.
fn version<'a>(name: &'a str, interface: &str) -> Option<&'a str> {
    let name = name.strip_prefix(PACKAGE)?.strip_prefix('/')?;
    name.strip_prefix(interface)?.strip_prefix('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_that_of_its_version() {
        for (version, wit) in VERSIONS {
            assert!(wit.starts_with(&format!("package {PACKAGE}@{version};\n")));
            assert!(wit.contains(&format!("\nworld {WORLD} {{\n")));
            assert!(version.starts_with(COMPATIBLE));
            assert!(wit.contains(&format!("\n    export {TRANSFORM};\n")));
        }
        let (_, newest) = NEWEST;
        assert!(newest.contains(&format!(
            "\nworld {REDACTOR_WORLD} {{\n    include {WORLD};\n    export {MASKING};\n"
        )));
        for interface in IMPORTS {
            assert!(newest.contains(&format!("\n    import {interface};\n")));
        }
    }

    #[test]
    fn a_module_gets_the_text_of_its_own_version() {
        for (version, wit) in VERSIONS {
            let export = format!("{PACKAGE}/{TRANSFORM}@{version}#process");
            assert_eq!(wit_of(&export), Some(wit));
        }
        let later = "step-observer:plugin/transform@0.1.99#process";
        assert_eq!(wit_of(later), Some(NEWEST.1));
        assert_eq!(wit_of("cabi_realloc"), None);
    }

    #[test]
    fn a_module_that_selects_masks_has_the_world_of_a_redactor() {
        let process = "step-observer:plugin/transform@0.1.1#process";
        let masks = "step-observer:plugin/masking@0.1.1#mask-sets";
        assert_eq!(world_of(["memory", process]), WORLD);
        assert_eq!(world_of(["memory", process, masks]), REDACTOR_WORLD);
    }

    #[test]
    fn every_0_1_z_is_compatible_and_nothing_else_is() {
        for name in ["events@0.1.0", "logging@0.1.7"] {
            assert!(is_import(&format!("{PACKAGE}/{name}")), "{name}");
        }
        for name in ["events@0.2.0", "events", "eventsx@0.1.0", "transform@0.1.0"] {
            assert!(!is_import(&format!("{PACKAGE}/{name}")), "{name}");
        }
        assert!(is_transform("step-observer:plugin/transform@0.1.1"));
        assert!(!is_transform("step-observer:plugin/transform@0.11.0"));
        assert!(is_masking("step-observer:plugin/masking@0.1.1#mask-sets"));
        assert!(!is_masking("step-observer:plugin/masking@0.2.0"));
    }
}
