//! Parsers for values of arguments.

use std::path::PathBuf;
use step_observer::bounded::Bounded;
use step_observer::config::ConfigDuration;
use step_observer::http::HttpUrl;
use step_observer::observe::Speed;
use step_observer::oci::{Reference, ReferenceError};
use step_observer::plugin::{PluginConfig, PluginFrom};
use step_observer::sink::{FileConfig, HttpConfig, SinkKind, StdoutConfig, TektonConfig};

pub(super) fn parse_speed(text: &str) -> Result<Speed, String> {
    match text.parse::<f64>() {
        _ if text == "max" => Ok(Speed::Max),
        Ok(0.0) => Ok(Speed::Max),
        Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(Speed::Times(factor)),
        Ok(_) | Err(_) => {
            Err("write a factor such as 1 or 10, or max (or 0) for no pauses".to_owned())
        }
    }
}

pub(super) fn parse_duration(text: &str) -> Result<ConfigDuration, String> {
    ConfigDuration::try_from(text.to_owned())
}

pub(super) fn parse_sink(text: &str) -> Result<SinkKind, String> {
    if text == "stdout" {
        return Ok(SinkKind::Stdout(StdoutConfig::default()));
    }
    if text == "tekton" {
        return Ok(SinkKind::Tekton(TektonConfig::default()));
    }
    if let Some(path) = text.strip_prefix("file:").filter(|path| !path.is_empty()) {
        return Ok(SinkKind::File(FileConfig::new(path)));
    }
    if text.contains("://") {
        return HttpUrl::try_from(text.to_owned())
            .map(|url| SinkKind::Http(HttpConfig::new(url).into()));
    }
    Err("write stdout, file:PATH, tekton, or an http:// or https:// URL".to_owned())
}

pub(super) fn parse_plugin(text: &str) -> Result<PluginConfig, String> {
    let (place, config) = match text.split_once('=') {
        Some((place, path)) => (place, read_json(path)?),
        None => (text, serde_json::Value::Null),
    };
    let (name, from) = match place.strip_prefix("bundled:") {
        Some(name) => (name.to_owned(), PluginFrom::Bundled(name.to_owned())),
        None => {
            let path = PathBuf::from(place);
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let name = file.split('.').next().unwrap_or_default().to_owned();
            (name, PluginFrom::File(path))
        }
    };
    if name.is_empty() {
        return Err("write the path of a module, or bundled:NAME".to_owned());
    }
    Ok(PluginConfig {
        config,
        ..PluginConfig::new(name, from)
    })
}

/// A plugin to describe.
#[derive(Clone, Debug)]
pub(crate) enum Inspected {
    /// A file or a bundled plugin.
    Here(Box<PluginConfig>),
    /// A plugin in a registry.
    Registry(Reference),
}

/// Reads a plugin to describe: those of [`parse_plugin`], or one in a registry.
pub(super) fn parse_inspected(text: &str) -> Result<Inspected, String> {
    match text.starts_with("oci://") {
        true => text
            .parse()
            .map(Inspected::Registry)
            .map_err(|error: ReferenceError| error.to_string()),
        false => parse_plugin(text).map(|plugin| Inspected::Here(plugin.into())),
    }
}

fn read_json(path: &str) -> Result<serde_json::Value, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("failed to read {path}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("{path} is not JSON: {error}"))
}

/// Reads a shard: its number, or the name of a pod that ends in it (`step-observer-2`).
pub(super) fn parse_shard(text: &str) -> Result<Bounded<0, 1023, u32>, String> {
    let ordinal = text.rsplit('-').next().unwrap_or(text);
    let is_number = ordinal.bytes().all(|byte| byte.is_ascii_digit()) && !ordinal.is_empty();
    if !is_number {
        return Err(
            "give a number, or a pod's name that ends in its ordinal, such as step-observer-2"
                .to_owned(),
        );
    }
    ordinal.parse()
}
