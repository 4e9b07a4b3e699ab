//! The plugins that are part of this program.

include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

/// The module of one.
pub(super) fn find(name: &str) -> Option<&'static [u8]> {
    GUESTS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, module)| *module)
}

/// All names, for messages.
pub(super) fn names() -> String {
    let names: Vec<_> = GUESTS.iter().map(|(name, _)| *name).collect();
    if names.is_empty() {
        "none (this program was built without them: build it with `cargo xtask build`)".to_owned()
    } else {
        names.join(", ")
    }
}
