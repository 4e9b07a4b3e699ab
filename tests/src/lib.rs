//! The test kit: the program as a process, a fake API server, recordings, sinks, proxies, peers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "test kit"
)]

pub mod admin;
pub mod api_server;
pub mod budget;
pub mod deployed;
pub mod e2e;
pub mod events;
pub mod forward_proxy;
pub mod helm;
pub mod journaled;
pub mod kafka;
pub mod known_secrets;
pub mod languages;
pub mod live_page;
pub mod load;
pub mod load_program;
pub mod manifests;
pub mod masking;
pub mod measure;
pub mod nats;
pub mod needles;
pub mod observer;
pub mod otlp;
pub mod peer;
pub mod planted;
pub mod plugins;
pub mod pod_security;
pub mod program;
pub mod proxy;
pub mod receivers;
pub mod recording;
pub mod registry;
pub mod replay;
pub mod secrets;
pub mod simulated;
pub mod sink;
pub mod sources;
pub mod tap;
pub mod terminal;
pub mod tls;

use std::path::PathBuf;
use step_observer_event_model::contract;

/// Returns a path below the folder of this crate.
#[must_use]
pub fn path(below: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// Returns the path of a bundled plugin, which `cargo xtask test` has built before.
#[must_use]
pub fn guest(name: &str) -> PathBuf {
    let folder = match std::env::var_os("STEP_OBSERVER_GUESTS") {
        Some(folder) => PathBuf::from(folder),
        None => path("../target/guests"),
    };
    let file = folder.join(format!("{name}.wasm"));
    assert!(
        file.exists(),
        "{} does not exist: run `cargo xtask guests`",
        file.display()
    );
    file
}

/// Encodes an event as the journal stores it.
#[must_use]
pub fn accepted(event: serde_json::Value) -> bytes::Bytes {
    let envelope = step_observer::event::from_json(event).unwrap();
    step_observer::event::structured(&envelope.event).unwrap()
}

/// Makes a component from a core module in WAT, with the plugin world.
#[must_use]
pub fn component(wat: &str) -> Vec<u8> {
    let mut module = wat::parse_str(wat).unwrap();
    let mut resolve = wit_parser::Resolve::default();
    // Uses the first version of the contract, because test modules import its names.
    let (_, wit) = contract::VERSIONS[0];
    let package = resolve.push_str("plugin.wit", wit).unwrap();
    let world = resolve
        .select_world(&[package], Some(contract::WORLD))
        .unwrap();
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding, false).unwrap();
    wrap(&module)
}

/// Makes a component from a core module whose metadata names its world.
#[must_use]
pub fn wrap(module: &[u8]) -> Vec<u8> {
    wit_component::ComponentEncoder::default()
        .module(module)
        .unwrap()
        .encode()
        .unwrap()
}
