//! The SDK for step-observer plugins, which filter, enrich or redact step events.
//!
//! A plugin is a type that implements [`Plugin`], and one line that exports it:
//!
//! ```
//! use step_observer_guest::{Event, EventExt, Plugin, Verdict, export_plugin};
//!
//! /// Keeps only events of failed steps.
//! struct OnlyFailures;
//!
//! impl Plugin for OnlyFailures {
//!     type Config = ();
//!
//!     fn configure((): ()) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!
//!     fn process(&self, event: &dyn Event) -> Result<Verdict, String> {
//!         if event.is_failed() {
//!             Ok(Verdict::Keep)
//!         } else {
//!             Ok(Verdict::Drop("not a failure".to_owned()))
//!         }
//!     }
//! }
//!
//! export_plugin!(OnlyFailures);
//! # fn main() {}
//! ```
//!
//! Begin with `step-observer plugin new NAME`. The guide is `README.md` in the folder of this crate.
//!
//! The contract is `wit/v0.1.1/plugin.wit`. `configure` runs once, and every event starts with the state
//! that it leaves. `process` runs in a fresh instance for each event, so nothing carries over from one
//! event to the next. There is no clock, no file and no network.

#[doc(hidden)]
pub mod bindings;
mod event;
#[doc(hidden)]
pub mod export;
mod helpers;
mod masking;
mod plugin;
#[cfg(feature = "testing")]
pub mod testing;

pub use bindings::exports::step_observer::plugin::transform::{Rule, RuleSet, Verdict};
pub use bindings::step_observer::plugin::events::{EditError, Header, LogEdit, Redaction, Scope};
pub use bindings::step_observer::plugin::logging::Level;
pub use event::Event;
pub use helpers::{EventExt, Line, Run};
pub use masking::{FullRule, MaskSet, Replacement};
pub use plugin::{Plugin, log};
pub use step_observer_event_model::{Phase, Step, attribute, glob, matches_any};

/// Compiles the plugins in the guide.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Guide;

/// Compiles the plugin in the project's README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
