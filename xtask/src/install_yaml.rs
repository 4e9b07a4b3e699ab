//! `cargo xtask install-yaml`: one file for `kubectl apply -f`, with everything of the overlay `redact`. It is put together without
//! kustomize, because the kubectl of some systems is too old for `deploy`; a test compares the two.

use crate::placeholders::placeholder;
use crate::run::{Problem, root};
use std::fmt::Write as _;
use std::fs;

/// The objects, and the order of their files.
const BASE: &str = "deploy/base/kustomization.yaml";

/// The configuration: secrets are masked in every event.
const CONFIG: &str = "deploy/components/redact/config.yaml";

/// The ConfigMap that kustomize generates, without its data.
const CONFIG_MAP: &str = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: step-observer
  namespace: step-observer
  labels: {app.kubernetes.io/name: step-observer}
data:
  config.yaml: |
";

/// The line with the image, which kustomize replaces, too.
const PLACEHOLDER: &str = "image: step-observer\n";

/// First lines of the file.
const HEAD: &str = "\
# step-observer with all its objects, for `kubectl apply -f`. Tekton Pipelines must be in the cluster.
# `cargo xtask install-yaml` made it; docs/install.md describes it, and how to change it.
";

/// Prints the file.
pub(crate) fn print(args: &[String]) -> Result<(), Problem> {
    let image = match args {
        [option, image] if option == "--image" => image,
        _ => {
            return Err(Problem(
                "give the image: cargo xtask install-yaml --image REGISTRY/NAME:TAG".to_owned(),
            ));
        }
    };
    let image = checked(image).map_err(|why| Problem(format!("--image {image:?}: {why}")))?;
    print!("{}", text(image)?);
    Ok(())
}

/// Returns the file with this image.
pub(crate) fn text(image: &str) -> Result<String, Problem> {
    let mut documents = vec![config_map(&read(CONFIG)?)];
    for file in resources(&read(BASE)?) {
        documents.push(read(&format!("deploy/base/{file}"))?);
    }
    with_image(&joined(&documents), image)
}

fn read(file: &str) -> Result<String, Problem> {
    let file = root().join(file);
    fs::read_to_string(&file).map_err(|error| Problem(format!("{}: {error}", file.display())))
}

/// Returns the files that a kustomization lists as its resources.
fn resources(kustomization: &str) -> Vec<&str> {
    let after = kustomization
        .lines()
        .skip_while(|line| *line != "resources:");
    after
        .skip(1)
        .map_while(|line| line.strip_prefix("- "))
        .collect()
}

/// Returns the ConfigMap with this configuration file.
fn config_map(config: &str) -> String {
    config.lines().fold(CONFIG_MAP.to_owned(), |mut map, line| {
        let indented = if line.is_empty() { "" } else { "    " };
        writeln!(map, "{indented}{line}").ok();
        map
    })
}

/// Joins documents. The Namespace comes first: the others are in it.
fn joined(documents: &[String]) -> String {
    let (namespaces, others): (Vec<&String>, Vec<&String>) = documents
        .iter()
        .partition(|document| document.contains("kind: Namespace\n"));
    let all: Vec<&str> = namespaces
        .into_iter()
        .chain(others)
        .map(|document| document.as_str())
        .collect();
    all.join("---\n")
}

/// Returns the image if a cluster can pull it: with registry or path, and with tag or digest. The characters are those of the
/// reference grammar of the OCI distribution; none of them has a meaning within quotes of YAML.
pub(crate) fn checked(image: &str) -> Result<&str, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    let Some((place, name)) = image.rsplit_once('/') else {
        return Err("name the registry, too: REGISTRY/NAME:TAG".to_owned());
    };
    if let Some(other) = image.chars().find(|c| !allowed(*c)) {
        return Err(format!("{other:?} cannot be in the name of an image"));
    }
    let starts = |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !place.split('/').all(starts) || !starts(name) {
        return Err("a part of it is empty".to_owned());
    }
    let version = name
        .split_once([':', '@'])
        .map_or("", |(_, version)| version);
    if version.is_empty() || version.ends_with([':', '@']) {
        return Err(
            "add a tag or a digest: without, a pod may get another version at each start"
                .to_owned(),
        );
    }
    match placeholder(image) {
        Some(part) => Err(format!("`{part}` stands for a real name: put yours there")),
        None => Ok(image),
    }
}

/// Replaces the placeholder, which must be there once.
fn with_image(documents: &str, image: &str) -> Result<String, Problem> {
    let (before, after) = documents
        .split_once(PLACEHOLDER)
        .filter(|(_, after)| !after.contains(PLACEHOLDER))
        .ok_or_else(|| {
            Problem(format!(
                "{BASE} does not have `{}` once",
                PLACEHOLDER.trim()
            ))
        })?;
    Ok(format!("{HEAD}{before}image: \"{image}\"\n{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_no_cluster_can_pull_are_refused() {
        for (image, why) in [
            ("", "registry"),
            ("step-observer:0.1.0", "registry"),
            ("/x:1", "empty"),
            ("registry.local//x:1", "empty"),
            ("registry.local/x", "tag"),
            ("registry.local:5000/x", "tag"),
            ("registry.local/x:", "tag"),
            ("registry.local/x@sha256:", "tag"),
            ("registry.example.com/x:1", "example"),
            ("REGISTRY.EXAMPLE/x:1", "example"),
            ("your-registry/x:1", "your-"),
            ("REGISTRY/step-observer:0.1.0", "REGISTRY"),
            ("<registry>/x:1", "'<'"),
            ("registry.local/x:1\" #", "'\"'"),
            ("registry.local/x:1\n", "'\\n'"),
            ("$REGISTRY/x:1", "'$'"),
        ] {
            let refused = checked(image).expect_err(image);
            assert!(refused.contains(why), "{image}: {refused}");
        }
        for image in [
            "registry.local:5000/ci/x:1",
            "r.io/x@sha256:ab",
            "r.io/x:1@sha256:ab",
        ] {
            assert_eq!(checked(image), Ok(image));
        }
    }

    #[test]
    fn the_placeholder_is_replaced_once_in_quotes() {
        let text = with_image(&format!("a:\n  {PLACEHOLDER}b: c\n"), "r.io/x:1");
        let text = text.ok().unwrap();
        assert_eq!(text, format!("{HEAD}a:\n  image: \"r.io/x:1\"\nb: c\n"));
        assert!(with_image("a: b\n", "r.io/x:1").is_err());
        assert!(with_image(&format!("{PLACEHOLDER}{PLACEHOLDER}"), "r.io/x:1").is_err());
    }

    #[test]
    fn documents_are_listed_indented_and_begin_with_the_namespace() {
        let list = "kind: Kustomization\nresources:\n- a.yaml\n- b.yaml\nimages:\n- name: x\n";
        assert_eq!(resources(list), ["a.yaml", "b.yaml"]);
        assert_eq!(
            config_map("a: |\n\n  b\n"),
            format!("{CONFIG_MAP}    a: |\n\n      b\n")
        );
        let documents = ["kind: Role\n", "kind: Namespace\n"].map(str::to_owned);
        assert_eq!(joined(&documents), "kind: Namespace\n---\nkind: Role\n");
    }
}
