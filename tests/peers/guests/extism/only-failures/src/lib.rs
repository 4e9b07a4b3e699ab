//! Lets only failed steps pass. Gets the event as JSON, gives it back to keep it, nothing to drop it.

use extism_pdk::{FnResult, plugin_fn};
use serde::Deserialize;

/// All that is looked at: the parser skips the rest without building anything of it.
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
