//! The manifests of a release, with its image filled in: the chart, and a folder for kustomize.

use super::arguments::Image;
use crate::archive::Entry;
use crate::run::{Problem, root};
use std::fs;
use std::path::Path;

/// Where the values of the chart name the image: from, to (not included).
const IMAGE_VALUES: [&str; 2] = ["\nimage:\n", "  # Empty: Kubernetes decides.\n"];

/// Folders and files of `deploy` that kustomize needs, and their description.
const KUSTOMIZE: [&str; 4] = ["base", "components", "overlays", "README.md"];

/// Returns the content of the chart, in the folder that Helm expects.
pub(super) fn chart(version: &str, image: &Image, digest: &str) -> Result<Vec<Entry>, Problem> {
    let mut entries = Vec::new();
    read(&root().join("deploy/chart"), "step-observer", &mut entries)?;
    for entry in &mut entries {
        let changed = match (entry.path.as_str(), &entry.content) {
            ("step-observer/Chart.yaml", Some(text)) => with_version(&utf8(text), version),
            ("step-observer/values.yaml", Some(text)) => with_image(&utf8(text), image, digest),
            _ => continue,
        };
        let changed = changed
            .ok_or_else(|| Problem(format!("{}: there is no place for the release", entry.path)))?;
        entry.content = Some(changed.into_bytes());
    }
    Ok(entries)
}

/// Returns a folder for `kubectl apply -k`. Its parts can be used alone, too.
pub(super) fn kustomize(version: &str, image: &Image, digest: &str) -> Result<Vec<Entry>, Problem> {
    let folder = format!("step-observer-{version}");
    let deploy = format!("{folder}/deploy");
    let mut entries = vec![
        Entry::folder(&folder, 0o755),
        Entry::folder(&deploy, 0o755),
        Entry::file(
            &format!("{folder}/kustomization.yaml"),
            0o644,
            kustomization(image, digest),
        ),
    ];
    for part in KUSTOMIZE {
        read(
            &root().join("deploy").join(part),
            &format!("{deploy}/{part}"),
            &mut entries,
        )?;
    }
    Ok(entries)
}

fn kustomization(image: &Image, digest: &str) -> String {
    format!(
        "# The overlay `redact` with the image of this release. deploy/README.md has the other overlays and the components.\n\
         apiVersion: kustomize.config.k8s.io/v1beta1\n\
         kind: Kustomization\n\
         resources: [deploy/overlays/redact]\n\
         images:\n\
         - name: step-observer\n\
         \x20 newName: \"{}\"\n\
         \x20 digest: \"{digest}\"\n",
        image.repository
    )
}

/// Returns Chart.yaml with this version of the chart and the program.
fn with_version(text: &str, version: &str) -> Option<String> {
    let mut found = 0;
    let mut changed = String::new();
    for line in text.lines() {
        let key = ["version: ", "appVersion: "]
            .into_iter()
            .find(|key| line.starts_with(key));
        match key {
            Some(key) => {
                found += 1;
                changed.push_str(&format!("{key}\"{version}\"\n"));
            }
            None => changed.push_str(&format!("{line}\n")),
        }
    }
    (found == 2).then_some(changed)
}

/// Returns the values with this image.
fn with_image(text: &str, image: &Image, digest: &str) -> Option<String> {
    let [start, end] = IMAGE_VALUES;
    let (before, rest) = text.split_once(start)?;
    let (old, after) = rest.split_once(end)?;
    // Another form of the file is not guessed.
    let keys = ["  repository: \"\"", "  tag: \"\"", "  digest: \"\""];
    let is_known = keys.iter().all(|key| old.lines().any(|line| line == *key));
    is_known.then(|| {
        format!(
            "{before}{start}  # The image of this release.\n  repository: \"{}\"\n  tag: \"{}\"\n  \
             # Instead of the tag, which may change. Empty it to use the tag.\n  digest: \"{digest}\"\n{end}{after}",
            image.repository, image.tag
        )
    })
}

fn utf8(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Adds a file, or a folder with everything in it. Modes do not depend on the umask of whoever cloned the repository.
fn read(from: &Path, to: &str, entries: &mut Vec<Entry>) -> Result<(), Problem> {
    let problem = |error: std::io::Error| Problem(format!("{}: {error}", from.display()));
    if !from.is_dir() {
        let content = fs::read(from).map_err(problem)?;
        entries.push(Entry::file(to, 0o644, content));
        return Ok(());
    }
    entries.push(Entry::folder(to, 0o755));
    for entry in fs::read_dir(from).map_err(problem)? {
        let path = entry.map_err(problem)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        read(&path, &format!("{to}/{name}"), entries)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        Image {
            repository: "registry.local/ci/x".to_owned(),
            tag: "1.2.3".to_owned(),
        }
    }

    fn text(entries: &[Entry], path: &str) -> String {
        let entry = entries.iter().find(|entry| entry.path == path);
        utf8(entry.expect(path).content.as_ref().unwrap())
    }

    #[test]
    fn the_chart_has_the_version_and_the_image() {
        let chart = chart("1.2.3", &image(), "sha256:ab").ok().unwrap();
        let manifest = text(&chart, "step-observer/Chart.yaml");
        assert!(manifest.contains("\nversion: \"1.2.3\"\nappVersion: \"1.2.3\"\n"));
        assert!(manifest.contains("apiVersion: v2\n"));
        let values = text(&chart, "step-observer/values.yaml");
        let stored = fs::read_to_string(root().join("deploy/chart/values.yaml")).unwrap();
        for line in [
            "  repository: \"registry.local/ci/x\"",
            "  tag: \"1.2.3\"",
            "  digest: \"sha256:ab\"",
        ] {
            assert!(values.lines().any(|found| found == line), "{values}");
        }
        assert!(!values.contains("There is no published image"));
        // Nothing else has changed.
        let rest = |text: &str| text.split_once(IMAGE_VALUES[1]).unwrap().1.to_owned();
        assert_eq!(rest(&values), rest(&stored));
        assert!(
            chart
                .iter()
                .any(|entry| entry.path == "step-observer/templates/workload.yaml")
        );
    }

    #[test]
    fn another_form_of_the_chart_is_refused() {
        assert_eq!(with_version("version: 1\n", "2"), None);
        let without = "a:\nimage:\n  repository: \"\"\n  # Empty: Kubernetes decides.\n";
        assert_eq!(with_image(without, &image(), "sha256:ab"), None);
        assert_eq!(with_image("", &image(), "sha256:ab"), None);
    }

    #[test]
    fn the_folder_for_kustomize_has_the_image_and_everything_that_it_refers_to() {
        let bundle = kustomize("1.2.3", &image(), "sha256:ab").ok().unwrap();
        let file = text(&bundle, "step-observer-1.2.3/kustomization.yaml");
        assert!(file.contains("newName: \"registry.local/ci/x\"\n  digest: \"sha256:ab\"\n"));
        for path in [
            "base/kustomization.yaml",
            "overlays/redact/kustomization.yaml",
            "components/openshift/kustomization.yaml",
            "README.md",
        ] {
            text(&bundle, &format!("step-observer-1.2.3/deploy/{path}"));
        }
    }
}
