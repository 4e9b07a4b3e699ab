//! A container image for several processors, as an OCI image layout in an archive
//! (<https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md>). It has the content and the settings of the image that
//! `cargo xtask image` makes with buildah, and needs no other program.

use crate::archive::{Entry, gzip, json, sha256, tar};
use crate::run::Problem;
use crate::static_build::Arch;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The same for all: the time says nothing about an image that anybody can build again.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// Settings of the image, from the last stage of the Dockerfile.
#[derive(Debug, PartialEq, Eq)]
struct Settings {
    user: String,
    /// JSON.
    entrypoint: String,
    /// JSON.
    command: String,
    labels: Vec<(String, String)>,
}

/// An archive, and the digest of the image in it: `sha256:…`.
pub(super) struct Image {
    pub(super) archive: Vec<u8>,
    pub(super) digest: String,
}

/// The files of a layout.
struct Layout(Vec<Entry>);

/// Makes the image. `recipe` is the last stage of the Dockerfile.
pub(super) fn image(
    platforms: &[(Arch, Vec<Entry>)],
    recipe: &str,
    tag: &str,
) -> Result<Image, Problem> {
    let settings = Settings::parse(recipe)
        .map_err(|why| Problem(format!("deploy/image/Dockerfile: {why}")))?;
    let mut layout = Layout(vec![
        Entry::folder("blobs", 0o755),
        Entry::folder("blobs/sha256", 0o755),
        Entry::file("oci-layout", 0o644, r#"{"imageLayoutVersion":"1.0.0"}"#),
    ]);
    let mut manifests = Vec::new();
    for (arch, entries) in platforms {
        let layer = tar(entries)?;
        let unpacked = sha256(&layer)?;
        let layer = layout.blob(LAYER, &gzip(&layer)?, "")?;
        let config = settings.config(*arch, &unpacked);
        let config = layout.blob(CONFIG, config.as_bytes(), "")?;
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{config},"layers":[{layer}]}}"#
        );
        let platform = format!(
            r#","platform":{{"architecture":"{}","os":"linux"}}"#,
            arch.name()
        );
        manifests.push(layout.blob(MANIFEST, manifest.as_bytes(), &platform)?);
    }
    let index = index(&manifests.join(","));
    let digest = format!("sha256:{}", sha256(index.as_bytes())?);
    let name = format!(
        r#","annotations":{{"org.opencontainers.image.ref.name":{}}}"#,
        json(tag)
    );
    let index = layout.blob(INDEX, index.as_bytes(), &name)?;
    let first = self::index(&index);
    layout.0.push(Entry::file("index.json", 0o644, first));
    Ok(Image {
        archive: tar(&layout.0)?,
        digest,
    })
}

fn index(manifests: &str) -> String {
    format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{manifests}]}}"#)
}

// === impl Layout ===

impl Layout {
    /// Adds a blob, once. Returns its descriptor, with more members.
    fn blob(&mut self, kind: &str, content: &[u8], more: &str) -> Result<String, Problem> {
        let digest = sha256(content)?;
        let path = format!("blobs/sha256/{digest}");
        if !self.0.iter().any(|entry| entry.path == path) {
            self.0.push(Entry::file(&path, 0o644, content));
        }
        let size = content.len();
        Ok(format!(
            r#"{{"mediaType":"{kind}","digest":"sha256:{digest}","size":{size}{more}}}"#
        ))
    }
}

// === impl Settings ===

impl Settings {
    /// Reads the instructions that make no files.
    fn parse(recipe: &str) -> Result<Self, String> {
        let recipe = recipe.replace("\\\n", " ");
        let instruction = |name: &str| {
            let found = recipe.lines().find_map(|line| line.strip_prefix(name));
            let found = found.map(|text| text.trim().to_owned());
            found.ok_or_else(|| format!("there is no {}", name.trim()))
        };
        let mut labels = Vec::new();
        let text = instruction("LABEL ")?;
        let mut rest = text.as_str();
        while let Some((name, after)) = rest.split_once("=\"") {
            let (value, after) = after.split_once('"').ok_or("a label has no end")?;
            labels.push((name.trim().to_owned(), value.to_owned()));
            rest = after;
        }
        labels.sort();
        Ok(Self {
            user: instruction("USER ")?,
            entrypoint: instruction("ENTRYPOINT ")?,
            command: instruction("CMD ")?,
            labels,
        })
    }

    fn config(&self, arch: Arch, layer: &str) -> String {
        let labels: Vec<String> = self
            .labels
            .iter()
            .map(|(name, value)| format!("{}:{}", json(name), json(value)))
            .collect();
        format!(
            r#"{{"created":"{CREATED}","architecture":"{}","os":"linux","config":{{"User":{},"Entrypoint":{},"Cmd":{},"Labels":{{{}}}}},"rootfs":{{"type":"layers","diff_ids":["sha256:{layer}"]}},"history":[{{"created":"{CREATED}","created_by":"cargo xtask release"}}]}}"#,
            arch.name(),
            json(&self.user),
            self.entrypoint,
            self.command,
            labels.join(",")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_those_of_the_dockerfile() {
        let recipe = crate::image::last_stage().ok().unwrap();
        let settings = Settings::parse(&recipe).unwrap();
        assert_eq!(settings.user, "65532:65532");
        assert_eq!(settings.entrypoint, r#"["/usr/local/bin/step-observer"]"#);
        assert_eq!(settings.command, r#"["run"]"#);
        let version = settings
            .labels
            .iter()
            .find(|(name, _)| name == "org.opencontainers.image.version");
        assert_eq!(version.unwrap().1, env!("CARGO_PKG_VERSION"));
        assert_eq!(settings.labels.len(), 4);
        let config = settings.config(Arch::Arm64, "ab");
        assert!(config.contains(r#""architecture":"arm64""#), "{config}");
        assert!(
            config.contains(r#""User":"65532:65532","Entrypoint":["/usr/local/bin/step-observer"],"Cmd":["run"]"#),
            "{config}"
        );
        for without in ["USER ", "ENTRYPOINT ", "CMD ", "LABEL "] {
            assert!(Settings::parse(&recipe.replace(without, "RUN ")).is_err());
        }
    }
}
