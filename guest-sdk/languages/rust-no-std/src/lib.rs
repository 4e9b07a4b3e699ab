//! Example of a plugin without the standard library. It keeps only the events of failed steps.
#![no_std]

extern crate alloc;

mod bump;

use alloc::string::String;
use exports::step_observer::plugin::transform::{Guest, Setup, Verdict};
use step_observer::plugin::events::{EditError, Event};

wit_bindgen::generate!({
    path: "../../wit/v0.1",
    world: "plugin",
});

struct OnlyFailures;

export!(OnlyFailures);

impl Guest for OnlyFailures {
    fn configure(config: String) -> Result<Setup, String> {
        if config != "null" {
            return Err("only-failures takes no configuration".into());
        }
        Ok(Setup {
            name: "only-failures".into(),
            version: "0.1.0".into(),
            rule_sets: [].into(),
        })
    }

    fn process(event: &Event) -> Result<Verdict, String> {
        let kind = event.attribute("type").unwrap_or_default();
        if !kind.ends_with(".failed.v1") {
            return Ok(Verdict::Drop("not a failure".into()));
        }
        event.set_attribute("severity", Some("error")).map_err(text)?;
        if let Some(team) = event.label("team") {
            event.set_attribute("team", Some(&team)).map_err(text)?;
        }
        Ok(Verdict::Keep)
    }
}

fn text(error: EditError) -> String {
    match error {
        EditError::ReadOnly(why) | EditError::Invalid(why) => why,
        EditError::TooLarge => "the changes are too large".into(),
    }
}

/// Ends the call: the host reports a crash. The panic's message is omitted, because formatting it
/// would make the plugin three times as large.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
