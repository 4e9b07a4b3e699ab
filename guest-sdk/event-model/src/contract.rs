//! The versions of the plugin contract (WIT) that this host and this SDK speak: the one place that
//! names them. `wit/README.md` says what a later 0.1.z may add.

/// Package of the contract.
pub const PACKAGE: &str = "step-observer:plugin";

/// The host runs plugins of every version that begins with this.
pub const COMPATIBLE: &str = "0.1.";

/// All versions with their texts, the oldest first. Each has everything that those before it have.
pub const VERSIONS: [(&str, &str); 1] = [("0.1.0", include_str!("../../wit/v0.1/plugin.wit"))];

/// The newest version and its text.
pub const NEWEST: (&str, &str) = match VERSIONS {
    [.., newest] => newest,
};

/// World of a plugin, in every version.
pub const WORLD: &str = "plugin";

/// Interfaces that a plugin may import.
pub const IMPORTS: [&str; 2] = ["events", "logging"];

/// The interface that makes a component a plugin.
pub const TRANSFORM: &str = "transform";

/// Generates the bindings of [the newest version](contract::NEWEST), with `bindgen!` of wasmtime for the host and with
/// `generate!` of wit-bindgen for plugins. Both want the path as a literal, relative to the crate
/// that calls this.
#[macro_export]
macro_rules! bindings {
    (host $($generate:ident)::+ { $($options:tt)* }) => {
        $($generate)::+!({ path: "../guest-sdk/wit/v0.1", world: "plugin", $($options)* });
    };
    (plugin $($generate:ident)::+ { $($options:tt)* }) => {
        $($generate)::+!({ path: "wit/v0.1", world: "plugin", $($options)* });
    };
}

/// Returns whether a plugin may import what a component calls so, such as
/// `step-observer:plugin/events@0.1.0`.
#[must_use]
pub fn is_import(name: &str) -> bool {
    IMPORTS.iter().any(|interface| is(name, interface))
}

/// Returns whether the name of an export is that of the plugin interface in a version that this
/// host supports.
#[must_use]
pub fn is_transform(name: &str) -> bool {
    is(name, TRANSFORM)
}

/// Returns the text of the version that the export of a core module names, such as
/// `step-observer:plugin/transform@0.1.0#process`; the newest text for a version that is not known.
#[must_use]
pub fn wit_of(export: &str) -> Option<&'static str> {
    let version = version(export, TRANSFORM)?;
    let version = version.split('#').next().unwrap_or(version);
    let known = VERSIONS.iter().find(|(known, _)| *known == version);
    Some(known.unwrap_or(&NEWEST).1)
}

fn is(name: &str, interface: &str) -> bool {
    version(name, interface).is_some_and(|version| version.starts_with(COMPATIBLE))
}

/// Returns the version in the name of one of the contract's interfaces.
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
    fn every_0_1_z_is_compatible_and_nothing_else_is() {
        for name in ["events@0.1.0", "logging@0.1.7"] {
            assert!(is_import(&format!("{PACKAGE}/{name}")), "{name}");
        }
        for name in ["events@0.2.0", "events", "eventsx@0.1.0", "transform@0.1.0"] {
            assert!(!is_import(&format!("{PACKAGE}/{name}")), "{name}");
        }
        assert!(is_transform("step-observer:plugin/transform@0.1.1"));
        assert!(!is_transform("step-observer:plugin/transform@0.11.0"));
    }
}
