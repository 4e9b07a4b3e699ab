//! What CHANGELOG.md says about a version.

/// Returns the section of a version, without its heading. `None` if there is none, or nothing in it.
pub(super) fn section(changelog: &str, version: &str) -> Option<String> {
    let heading = format!("## [{version}]");
    let is_heading = |line: &&str| {
        let rest = line.strip_prefix(heading.as_str());
        // A date may follow: ## [0.1.0] - 2026-12-01
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    let mut lines = changelog.lines().skip_while(|line| !is_heading(line));
    lines.next()?;
    let lines: Vec<&str> = lines.take_while(|line| !line.starts_with("## ")).collect();
    let text = lines.join("\n");
    let text = text.trim_matches('\n');
    (!text.trim().is_empty()).then(|| format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGELOG: &str = "\
# Changelog

## [Unreleased]

## [0.2.0] - 2026-12-01

### Added

- A release.

## [0.1.0]

- The first.
";

    #[test]
    fn a_section_ends_at_the_next_version() {
        let notes = section(CHANGELOG, "0.2.0").unwrap();
        assert_eq!(notes, "### Added\n\n- A release.\n");
        assert_eq!(section(CHANGELOG, "0.1.0").unwrap(), "- The first.\n");
    }

    #[test]
    fn a_version_without_a_section_or_with_an_empty_one_has_none() {
        for version in ["Unreleased", "0.2", "0.3.0", "0.1.00", ""] {
            assert_eq!(section(CHANGELOG, version), None, "{version}");
        }
    }
}
