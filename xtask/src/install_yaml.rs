//! `cargo xtask install-yaml`: one file for `kubectl apply -f`, with everything of the overlay `redact`.

use crate::run::{Problem, output, root, target_dir};
use std::path::PathBuf;
use std::process::Command;

/// The overlay that the file holds: secrets are masked in every event.
const OVERLAY: &str = "deploy/overlays/redact";

/// The image of the overlay, which nobody can pull.
const PLACEHOLDER: &str = concat!("image: step-observer:", env!("CARGO_PKG_VERSION"));

/// First lines of the file.
const HEAD: &str = "\
# step-observer with all its objects, for `kubectl apply -f`. Tekton Pipelines must be in the cluster.
# `cargo xtask install-yaml` made it; docs/install.md describes it, and how to change it.
";

/// Parts of names that stand for others in examples (RFC 2606 reserves the first).
const EXAMPLES: [&str; 5] = ["example", "placeholder", "changeme", "your-", "my-registry"];

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
    let rendered = output(
        Command::new(kubectl())
            .arg("kustomize")
            .arg(root().join(OVERLAY)),
    )
    .map_err(|Problem(why)| {
        Problem(format!(
            "{why} (kubectl: `cargo xtask receivers`, or Debian's kubernetes-client)"
        ))
    })?;
    print!("{}", with_image(&rendered, image)?);
    Ok(())
}

/// Returns the path of kubectl: the one that `cargo xtask receivers` unpacked, or that of the machine.
fn kubectl() -> PathBuf {
    let unpacked = target_dir().join("receivers/kubectl/usr/bin/kubectl");
    match unpacked.is_file() {
        true => unpacked,
        false => PathBuf::from("kubectl"),
    }
}

/// Returns the image if a cluster can pull it: with registry or path, and with tag or digest. The characters are those of the
/// reference grammar of the OCI distribution; none of them has a meaning within quotes of YAML.
fn checked(image: &str) -> Result<&str, String> {
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
    let lower = image.to_lowercase();
    match EXAMPLES.iter().find(|part| lower.contains(**part)) {
        Some(part) => Err(format!("`{part}` stands for a real name: put yours there")),
        None => Ok(image),
    }
}

/// Replaces the placeholder, which must be there once.
fn with_image(rendered: &str, image: &str) -> Result<String, Problem> {
    let (before, after) = rendered
        .split_once(PLACEHOLDER)
        .filter(|(_, after)| after.starts_with('\n') && !after.contains(PLACEHOLDER))
        .ok_or_else(|| Problem(format!("{OVERLAY} does not have `{PLACEHOLDER}` once")))?;
    Ok(format!("{HEAD}{before}image: \"{image}\"{after}"))
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
        let text = with_image(&format!("a:\n  {PLACEHOLDER}\nb: c\n"), "r.io/x:1");
        let text = text.ok().unwrap();
        assert_eq!(text, format!("{HEAD}a:\n  image: \"r.io/x:1\"\nb: c\n"));
        assert!(with_image("a: b\n", "r.io/x:1").is_err());
        assert!(with_image(&format!("{PLACEHOLDER}\n{PLACEHOLDER}\n"), "r.io/x:1").is_err());
        assert!(with_image(&format!("{PLACEHOLDER}-rc\n"), "r.io/x:1").is_err());
    }
}
