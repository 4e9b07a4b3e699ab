//! What the suites share: recordings, a fake API server, a sink that counts, a network that fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test kit"
)]

pub mod api_server;
pub mod e2e;
pub mod forward_proxy;
pub mod kafka;
pub mod load;
pub mod manifests;
pub mod nats;
pub mod proxy;
pub mod receivers;
pub mod recording;
pub mod simulated;
pub mod sink;
pub mod tls;

use std::path::PathBuf;
use step_observer_event_model::contract;

/// A path below the folder of this crate.
#[must_use]
pub fn path(below: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// The program, which `cargo xtask test` has built before.
#[must_use]
pub fn program() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let folder = exe.ancestors().nth(2).unwrap();
    let program = folder.join("step-observer");
    assert!(
        program.exists(),
        "{} is not there: run `cargo xtask test`",
        program.display()
    );
    program
}

/// A bundled plugin as WebAssembly, which `cargo xtask test` has built before.
#[must_use]
pub fn guest(name: &str) -> PathBuf {
    let folder = match std::env::var_os("STEP_OBSERVER_GUESTS") {
        Some(folder) => PathBuf::from(folder),
        None => path("../target/guests"),
    };
    let file = folder.join(format!("{name}.wasm"));
    assert!(
        file.exists(),
        "{} is not there: run `cargo xtask guests`",
        file.display()
    );
    file
}

/// An event as the journal holds it.
#[must_use]
pub fn accepted(event: serde_json::Value) -> bytes::Bytes {
    let envelope = step_observer::event::from_json(event).unwrap();
    step_observer::event::structured(&envelope.event).unwrap()
}

/// A component made of a core module in WAT, with the plugin world.
#[must_use]
pub fn component(wat: &str) -> Vec<u8> {
    let mut module = wat::parse_str(wat).unwrap();
    let mut resolve = wit_parser::Resolve::default();
    let (_, wit) = contract::NEWEST;
    let package = resolve.push_str("plugin.wit", wit).unwrap();
    let world = resolve
        .select_world(&[package], Some(contract::WORLD))
        .unwrap();
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding, false).unwrap();
    wrap(&module)
}

/// A component made of a core module that carries its world.
#[must_use]
pub fn wrap(module: &[u8]) -> Vec<u8> {
    wit_component::ComponentEncoder::default()
        .module(module)
        .unwrap()
        .encode()
        .unwrap()
}
