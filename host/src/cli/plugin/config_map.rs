//! Writes a plugin as YAML of one or several ConfigMaps.

use super::settings::Settings;
use crate::cli::outcome::CommandError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;
use step_observer::observe::PLUGIN_LABEL;
use step_observer::plugin::FileDigest;
use step_observer::plugin::dropin::MAX_PARTS;

/// Bound of a module's bytes in one ConfigMap: a ConfigMap holds 1 MiB, settings and signature included.
const MAX_PART_BYTES: usize = 900 * 1024;

pub(super) struct ConfigMaps {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    /// Name of the module in the ConfigMap.
    pub(super) file: String,
    pub(super) module: Vec<u8>,
    pub(super) signature: Option<String>,
    pub(super) settings: Settings,
}

/// Refuses a name that Kubernetes would refuse. A valid name needs no escapes in YAML.
fn check_name(what: &str, name: &str) -> Result<(), CommandError> {
    let valid =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    if bytes.iter().copied().all(valid) && edge(bytes.first()) && edge(bytes.last()) {
        return Ok(());
    }
    Err(format!("`{name}` is not a valid {what}: write lower-case letters, digits, - and .").into())
}

impl ConfigMaps {
    /// The YAML, one document for each ConfigMap.
    pub(super) fn yaml(&self) -> Result<String, CommandError> {
        check_name("name of a ConfigMap", &self.name)?;
        if let Some(namespace) = &self.namespace {
            check_name("namespace", namespace)?;
        }
        let total = self.module.len().div_ceil(MAX_PART_BYTES).max(1);
        if total == 1 {
            return Ok(self.map(
                &self.name,
                &self.module,
                self.settings.text.as_deref(),
                true,
            ));
        }
        if total > MAX_PARTS {
            return Err(format!(
                "it is too large for {MAX_PARTS} ConfigMaps: mount it as a file, and use --plugin-dir"
            )
            .into());
        }
        if self.settings.manifest.part.is_some() {
            return Err(
                "plugin.yaml sets `part`, but this command numbers the parts: remove it".into(),
            );
        }
        let digest = FileDigest::compute(&self.module);
        let mut text = String::new();
        for (index, part) in self.module.chunks(MAX_PART_BYTES).enumerate() {
            let number = index + 1;
            let mut settings = match (index, &self.settings.text) {
                (0, Some(own)) => format!("{}\n", own.trim_end()),
                _ => String::new(),
            };
            writeln!(settings, "plugin: {}\npart: {number}/{total}", self.name)?;
            if index > 0 || self.settings.manifest.sha256.is_none() {
                writeln!(settings, "sha256: {}", digest.as_str())?;
            }
            let name = format!("{}-{number}", self.name);
            text.push_str(&self.map(&name, part, Some(&settings), index == 0));
        }
        Ok(text)
    }

    fn map(&self, name: &str, module: &[u8], settings: Option<&str>, first: bool) -> String {
        let file = &self.file;
        let mut text =
            format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: \"{name}\"\n");
        if let Some(namespace) = &self.namespace {
            text.push_str(&format!("  namespace: \"{namespace}\"\n"));
        }
        text.push_str(&format!("  labels:\n    {PLUGIN_LABEL}: \"true\"\n"));
        let signature = self.signature.as_deref().filter(|_| first);
        let signature_file = format!("{file}.minisig");
        let texts = [
            ("plugin.yaml", settings),
            (signature_file.as_str(), signature),
        ];
        if texts.iter().any(|(_, text)| text.is_some()) {
            text.push_str("data:\n");
        }
        for (name, content) in texts {
            if let Some(content) = content {
                text.push_str(&format!("  {name}: |2\n"));
                for line in content.lines() {
                    text.push_str(&format!("    {line}\n"));
                }
            }
        }
        text.push_str(&format!(
            "binaryData:\n  {file}: {}\n",
            STANDARD.encode(module)
        ));
        text
    }
}
