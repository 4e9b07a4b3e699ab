//! The sink of `run` when neither the file nor the command line names one.

use super::outcome::CommandError;
use std::collections::BTreeMap;
use step_observer::http::{ExtraRoots, HttpUrl};
use step_observer::sink::{HttpConfig, SinkKind, TektonConfig};
use tracing::warn;

/// Returns the sink of a Knative SinkBinding (`K_SINK`, `K_CE_OVERRIDES`, `K_CA_CERTS`), else the sink that Tekton
/// itself uses.
pub(super) fn default_sink() -> Result<SinkKind, CommandError> {
    #[derive(Default, serde::Deserialize)]
    struct Overrides {
        #[serde(default)]
        extensions: BTreeMap<String, String>,
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the edge where the environment is read"
    )]
    let variable = |name| {
        std::env::var(name)
            .ok()
            .filter(|text| !text.trim().is_empty())
    };
    let Some(url) = variable("K_SINK") else {
        return Ok(SinkKind::Tekton(TektonConfig::default()));
    };
    let url = HttpUrl::try_from(url).map_err(|problem| format!("K_SINK: {problem}"))?;
    let overrides = match variable("K_CE_OVERRIDES") {
        None => Overrides::default(),
        // Hides the error text of the parser, which would quote the value.
        Some(text) => serde_json::from_str::<serde_json::Map<_, _>>(&text)
            .and_then(|overrides| serde_json::from_value(overrides.into()))
            .map_err(
                |_| "K_CE_OVERRIDES is not of the form {\"extensions\": {\"name\": \"value\"}}",
            )?,
    };
    let roots = match variable("K_CA_CERTS") {
        None => ExtraRoots::default(),
        Some(pem) => {
            let (roots, left_out) = ExtraRoots::from_pem(&pem).map_err(|problem| {
                format!(
                    "K_CA_CERTS: {problem}; it must hold certificates of the authorities of K_SINK"
                )
            })?;
            if left_out > 0 {
                warn!(
                    left_out,
                    "K_CA_CERTS has certificates that no authority can have"
                );
            }
            roots
        }
    };
    let http = HttpConfig {
        roots,
        extensions: overrides.extensions,
        ..HttpConfig::new(url)
    };
    Ok(SinkKind::Http(http.into()))
}
