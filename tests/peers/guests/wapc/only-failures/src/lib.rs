//! Keeps only failed steps. Takes the event as JSON; returns it to keep it, and nothing to drop it.

use serde::Deserialize;
use wapc_guest::prelude::{CallResult, register_function};

/// The members that the filter reads: the parser skips all others.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "type")]
    type_: String,
}

#[unsafe(no_mangle)]
pub extern "C" fn wapc_init() {
    register_function("process", process);
}

fn process(event: &[u8]) -> CallResult {
    let header: Header = serde_json::from_slice(event)?;
    if header.type_.ends_with(".failed.v1") {
        Ok(event.to_vec())
    } else {
        Ok(Vec::new())
    }
}
