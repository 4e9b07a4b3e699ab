//! Keeps only failed steps. Takes the event as JSON; returns it to keep it, and nothing to drop it.

use extism_pdk::{FnResult, plugin_fn};
use serde::Deserialize;

/// The members that the filter reads: the parser skips all others.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "type")]
    type_: String,
}

#[plugin_fn]
pub fn process(event: Vec<u8>) -> FnResult<Vec<u8>> {
    let header: Header = serde_json::from_slice(&event)?;
    if header.type_.ends_with(".failed.v1") {
        Ok(event)
    } else {
        Ok(Vec::new())
    }
}
