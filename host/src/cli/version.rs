//! The text of `--version`: the version in the first line, then the parts of this build.

use std::sync::LazyLock;
use step_observer::plugin::{COMPLETE_BUILD, bundled_plugins, missing_plugins};
use step_observer::sink::wire_names;

/// Returns the text after the name of the program.
pub(super) fn long() -> &'static str {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| text(&bundled_plugins(), missing_plugins(), &wire_names()));
    TEXT.as_str()
}

fn text(bundled: &[&str], missing: &[&str], sinks: &[(&str, Option<&str>)]) -> String {
    let list = |names: &[&str]| match names {
        [] => "none".to_owned(),
        some => some.join(", "),
    };
    let mut lines = vec![
        env!("CARGO_PKG_VERSION").to_owned(),
        format!("bundled plugins: {}", list(bundled)),
    ];
    if !missing.is_empty() {
        lines.push(format!(
            "missing plugins: {} ({COMPLETE_BUILD})",
            list(missing)
        ));
    }
    let built = sinks.iter().filter(|(_, feature)| feature.is_none());
    let built: Vec<_> = built.map(|(name, _)| *name).collect();
    lines.push(format!("sinks: {}", list(&built)));
    for (name, feature) in sinks {
        if let Some(feature) = feature {
            lines.push(format!(
                "missing sinks: {name} (build with `cargo xtask build --release --features {feature}`)"
            ));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_part_is_listed_with_the_way_to_get_it() {
        let complete = text(&["a", "b"], &[], &[("stdout", None), ("kafka", None)]);
        assert!(!complete.contains("missing"), "{complete}");
        let plain = text(
            &[],
            &["a", "b"],
            &[("stdout", None), ("kafka", Some("kafka"))],
        );
        let lines: Vec<_> = plain.lines().collect();
        assert_eq!(lines[0], env!("CARGO_PKG_VERSION"));
        assert_eq!(lines[1], "bundled plugins: none");
        assert!(
            lines[2]
                .starts_with("missing plugins: a, b (build it with `cargo xtask build --release`")
        );
        assert!(lines[2].contains("`cargo xtask install`"));
        assert!(lines[4].starts_with("missing sinks: kafka (build with"));
    }
}
