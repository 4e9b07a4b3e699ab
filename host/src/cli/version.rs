//! The text of `--version`: the version in the first line, then the parts of this build.

use std::sync::LazyLock;
use step_observer::plugin::{COMPLETE_BUILD, bundled_plugins, missing_plugins};

/// Returns the text after the name of the program.
pub(super) fn long() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        text(
            &bundled_plugins(),
            missing_plugins(),
            cfg!(feature = "kafka"),
        )
    });
    TEXT.as_str()
}

fn text(bundled: &[&str], missing: &[&str], kafka: bool) -> String {
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
    let mut sinks = vec!["stdout", "file", "http", "nats", "tekton"];
    if kafka {
        sinks.push("kafka");
    }
    lines.push(format!("sinks: {}", list(&sinks)));
    if !kafka {
        lines.push(
            "missing sinks: kafka (build with `cargo xtask build --release --features kafka`)"
                .to_owned(),
        );
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_part_is_listed_with_the_way_to_get_it() {
        let complete = text(&["a", "b"], &[], true);
        assert!(!complete.contains("missing"), "{complete}");
        let plain = text(&[], &["a", "b"], false);
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
