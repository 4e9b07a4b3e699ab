//! Plugins that are part of this program, and the list of all plugins of its source.

include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

/// A plugin in the source of this program, as its `Cargo.toml` describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PluginAbout {
    /// Its name.
    pub name: &'static str,
    /// One line about what it does.
    pub description: &'static str,
    /// What an event or the configuration must have, so that it works.
    pub needs: &'static str,
    /// Whether it is meant to be part of the program. Those of the catalogue are files of the release.
    pub is_bundled: bool,
}

/// Returns the plugins in the source of this program, bundled ones and the catalogue, by name. They have the version of the program.
#[must_use]
pub fn plugins_in_source() -> &'static [PluginAbout] {
    PLUGINS
}

/// Returns the module of a bundled plugin.
pub(crate) fn find(name: &str) -> Option<&'static [u8]> {
    GUESTS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, module)| *module)
}

/// Returns the names of the plugins that are part of this program.
#[must_use]
pub fn bundled_plugins() -> Vec<&'static str> {
    GUESTS.iter().map(|(name, _)| *name).collect()
}

/// Returns the names of the plugins that were missing when this program was built.
#[must_use]
pub fn missing_plugins() -> &'static [&'static str] {
    MISSING
}

/// Instructions for building or installing a program with all plugins, for error messages.
pub const COMPLETE_BUILD: &str =
    "build it with `cargo xtask build --release`, or install it with `cargo xtask install`";

/// Lists the names of the bundled plugins, for the error message about an unknown `name`.
pub(crate) fn known(name: &str) -> String {
    known_of(&bundled_plugins(), MISSING, name)
}

fn known_of(bundled: &[&str], missing: &[&str], name: &str) -> String {
    let names = match bundled {
        [] => "none".to_owned(),
        some => some.join(", "),
    };
    match missing {
        [] => names,
        _ if missing.contains(&name) || bundled.is_empty() => {
            format!(
                "{names} (this program was built without {}: {COMPLETE_BUILD})",
                missing.join(", ")
            )
        }
        _ => names,
    }
}

/// The code by which `build.rs` chooses the plugins.
#[cfg(test)]
#[path = "../../../build/guests.rs"]
mod guests;

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};

    #[test]
    fn modules_that_are_there_are_embedded_and_the_others_are_missing() {
        let file = |name: &str| PathBuf::from("/target/guests").join(name);
        let plugin = |(name, is_bundled): (&str, bool)| guests::Plugin {
            name: name.to_owned(),
            description: String::new(),
            needs: String::new(),
            is_bundled,
        };
        let plugins = [
            ("b", true),
            ("a", true),
            ("c", true),
            ("d", false),
            ("e", false),
        ]
        .map(plugin);
        let bundle = guests::bundle(
            vec![
                file("c.wasm"),
                file("b.txt"),
                file("own.wasm"),
                file("d.wasm"),
                file("a.wasm"),
            ],
            &plugins,
        );
        let names: Vec<_> = bundle
            .embedded
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["a", "c", "own"]);
        assert_eq!(bundle.missing, ["b"]);
        assert_eq!(
            guests::bundle(Vec::new(), &plugins).missing,
            ["a", "b", "c"]
        );
    }

    #[test]
    fn a_manifest_describes_its_plugin_or_names_what_is_missing() {
        let text = "[package]\nname = \"a\"\ndescription = \"Does it\"\nversion.workspace = true\n\
                    [package.metadata.step-observer]\nkind = \"catalogue\"\nneeds = \"a = log\"\n\
                    [lib]\nname = \"b\"\n";
        let plugin = guests::Plugin {
            name: "a".to_owned(),
            description: "Does it".to_owned(),
            needs: "a = log".to_owned(),
            is_bundled: false,
        };
        assert_eq!(guests::manifest(text), Ok(plugin));
        for (from, to, expected) in [
            ("needs", "need", "write `needs = "),
            (
                "kind = \"catalogue\"",
                "kind = \"other\"",
                "kind: `other` is not",
            ),
            ("name = \"a\"", "name = \"\"", "write `name = "),
            ("Does it", "Does \\\"it\\\"", "write `description = "),
        ] {
            let refused = guests::manifest(&text.replacen(from, to, 1));
            let refused = refused.err().unwrap_or_default();
            assert!(refused.starts_with(expected), "{from}: {refused}");
        }
    }

    #[test]
    fn modules_are_looked_for_where_cargo_builds() {
        let folder = |guests: Option<&str>, target: Option<&str>| {
            let path = |text: Option<&str>| text.map(PathBuf::from);
            guests::folder(Path::new("/source/host"), path(guests), path(target))
        };
        for (guests, target, expected) in [
            (None, None, "/source/target/guests"),
            (None, Some("/elsewhere"), "/elsewhere/guests"),
            (None, Some("out"), "/source/out/guests"),
            (Some("/my/guests"), Some("/elsewhere"), "/my/guests"),
        ] {
            assert_eq!(folder(guests, target), Path::new(expected));
        }
    }

    #[test]
    fn a_plugin_that_is_not_embedded_is_named_with_the_remedy() {
        let all = known_of(&["a", "b"], &[], "x");
        assert_eq!(all, "a, b");
        let none = known_of(&[], &["a", "b"], "x");
        assert!(none.starts_with(
            "none (this program was built without a, b: build it with `cargo xtask build"
        ));
        assert!(known_of(&["a"], &["b"], "b").contains("without b"));
        assert_eq!(known_of(&["a"], &["b"], "x"), "a");
    }
}
