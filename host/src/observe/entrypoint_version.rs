//! Decides whether the entrypoint of a pod writes `Reason` into its termination messages: it does since Tekton 0.57
//! (§2 of `docs/tekton-semantics.md`).

use super::slim::{SlimPod, SlimTaskRun};

/// The first version with `Reason` and `terminationReason`, as major and minor number.
const FIRST_WITH_REASONS: (u32, u32) = (0, 57);

/// Annotation that Tekton writes to its TaskRuns and Pods. The value is a version only if Tekton was built so; the
/// releases of the last years write a part of the hash of a commit.
const RELEASE: &str = "pipeline.tekton.dev/release";

/// Names of the init container that copies the entrypoint: today's, and that of Tekton before 0.29.
const COPIES_ENTRYPOINT: [&str; 2] = ["prepare", "place-tools"];

/// API versions of the owner reference of a pod that only Tekton before 0.57 writes.
const OLD_OWNERS: [&str; 2] = ["tekton.dev/v1alpha1", "tekton.dev/v1beta1"];

impl SlimPod {
    /// Returns true if the entrypoint of this pod certainly writes no `Reason`. All evidence is written when the pod is
    /// created, so the answer is the same after a restart. The image is the best evidence, because it holds the
    /// entrypoint itself.
    pub(super) fn is_without_reasons(&self) -> bool {
        let image = (self.spec.init_containers.iter())
            .filter(|container| COPIES_ENTRYPOINT.contains(&&*container.name))
            .find_map(|container| version_of_image(&container.image));
        let annotation = || self.metadata.annotations.get(RELEASE);
        match image.or_else(|| annotation().and_then(|release| version(release))) {
            Some(version) => version < FIRST_WITH_REASONS,
            None => (self.owner()).is_some_and(|owner| OLD_OWNERS.contains(&&*owner.api_version)),
        }
    }
}

impl SlimTaskRun {
    /// Returns true if the annotation shows that Tekton before 0.57 was the last one to write this TaskRun.
    pub(super) fn is_without_reasons(&self) -> bool {
        let release = self.metadata.annotations.get(RELEASE);
        let version = release.and_then(|release| version(release));
        version.is_some_and(|version| version < FIRST_WITH_REASONS)
    }
}

/// Returns the version in the tag of an image of the entrypoint, such as
/// `registry.example/tekton/entrypoint-bff0a22da108bc2f16c818c97641a296:v0.44.4@sha256:…`.
fn version_of_image(image: &str) -> Option<(u32, u32)> {
    let named = image.split_once('@').map_or(image, |(named, _)| named);
    let (_, last) = named.rsplit_once('/')?;
    let (name, tag) = last.split_once(':')?;
    name.contains("entrypoint").then(|| version(tag))?
}

/// Returns the major and the minor number of a version such as `v0.44.4`, `0.44` or `v1.9.0-rc1`; `None` for the hash
/// of a commit, and for any other text.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix('v').unwrap_or(text).splitn(3, '.');
    let mut number = || {
        let digits = numbers.next()?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok())?
    };
    Some((number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_version_is_read_and_a_hash_is_none() {
        for (text, expected) in [
            ("v0.44.0", Some((0, 44))),
            ("0.56.1", Some((0, 56))),
            ("v0.57", Some((0, 57))),
            ("v1.15.0-rc1", Some((1, 15))),
            ("3ee1745", None),
            ("0123456", None),
            ("devel", None),
            ("v0", None),
            ("v0.", None),
            ("v0.x", None),
            ("v0.-1", None),
            ("v0.+1", None),
            ("v0.4294967296", None),
            ("", None),
        ] {
            assert_eq!(version(text), expected, "{text}");
        }
    }

    #[test]
    fn the_tag_of_an_image_is_read_beside_port_and_digest() {
        for (image, expected) in [
            (
                "registry.example/tekton/entrypoint-bff0a22d:v0.44.4",
                Some((0, 44)),
            ),
            (
                "mirror.example:5000/tekton/entrypoint:v0.40.0@sha256:ee6c",
                Some((0, 40)),
            ),
            ("mirror.example:5000/tekton/entrypoint@sha256:ee6c", None),
            ("mirror.example:5000/tekton/entrypoint", None),
            ("localhost/tekton/entrypoint:dev", None),
            ("registry.example/busybox:v0.1.0", None),
            ("", None),
        ] {
            assert_eq!(version_of_image(image), expected, "{image}");
        }
    }

    #[test]
    fn the_best_evidence_of_a_pod_decides() {
        let old = "example.com/entrypoint:v0.44.4";
        let new = "example.com/entrypoint:v1.15.0";
        let (v1, v1beta1) = ("tekton.dev/v1", "tekton.dev/v1beta1");
        for (container, image, release, owner, expected) in [
            // By the image.
            ("prepare", old, json!("v1.15.0"), v1, true),
            ("place-tools", old, json!("3ee1745"), v1, true),
            ("prepare", new, json!("v0.44.0"), v1beta1, false),
            // A container of a tenant is no evidence.
            ("sidecar-prepare", old, json!("3ee1745"), v1, false),
            // By the annotation.
            ("prepare", "x", json!("v0.44.0"), v1, true),
            ("prepare", "x", json!("v0.57.0"), v1beta1, false),
            // By the owner.
            ("prepare", "x", json!("3ee1745"), v1beta1, true),
            ("prepare", "x", json!(null), v1beta1, true),
            ("prepare", "x", json!("3ee1745"), v1, false),
            ("prepare", "x", json!(null), v1, false),
        ] {
            let pod = json!({
                "metadata": {
                    "annotations": {RELEASE: release},
                    "ownerReferences": [{"apiVersion": owner, "kind": "TaskRun", "name": "a", "uid": "u", "controller": true}],
                },
                "spec": {"initContainers": [{"name": container, "image": image}]},
            });
            let read: SlimPod = serde_json::from_str(&pod.to_string()).unwrap();
            assert_eq!(read.is_without_reasons(), expected, "{pod}");
        }
    }

    #[test]
    fn of_a_task_run_only_a_version_is_evidence() {
        for (release, expected) in [("v0.44.0", true), ("v0.57.0", false), ("0123abc", false)] {
            let run = json!({"metadata": {"annotations": {RELEASE: release}}});
            let read: SlimTaskRun = serde_json::from_str(&run.to_string()).unwrap();
            assert_eq!(read.is_without_reasons(), expected, "{release}");
        }
    }
}
