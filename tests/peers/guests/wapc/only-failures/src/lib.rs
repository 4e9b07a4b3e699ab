//! Lets only failed steps pass. Gets the event as JSON, gives it back to keep it, nothing to drop it.

use serde::Deserialize;
use wapc_guest::prelude::{CallResult, register_function};

/// All that is looked at: the parser skips the rest without building anything of it.
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
