//! The event as a plugin sees it.

use crate::bindings::step_observer::plugin::events::{
    self, EditError, Header, LogEdit, Redaction, Scope,
};
use step_observer_event_model::{self as model, Phase, Step};

/// One event. In WebAssembly it is a handle to an event in the host; in native tests it is a
/// `testing::FakeEvent`.
///
/// All functions read the event as it was before this call. The host applies all changes together
/// after `process` returns [`Keep`](crate::Verdict::Keep).
///
/// [`EventExt`](crate::EventExt) provides more functions, based on these.
pub trait Event {
    /// Returns the context attributes.
    fn header(&self) -> Header;
    /// Returns the step that the event is about.
    fn step(&self) -> Step;
    /// Returns a context attribute or an extension as text.
    fn attribute(&self, name: &str) -> Option<String>;
    /// Sets or removes an extension (name: at most 20 lower-case letters and digits) or the
    /// subject.
    ///
    /// # Errors
    ///
    /// The attribute is read-only or reserved, or its name or value is not valid.
    fn set_attribute(&self, name: &str, value: Option<&str>) -> Result<(), EditError>;
    /// Returns all extensions with their values as text.
    fn extensions(&self) -> Vec<(String, String)>;
    /// Returns the data without the log, as JSON text.
    fn data_json(&self) -> String;
    /// Returns a part of the data as JSON text, by JSON Pointer.
    /// [`EventExt::get`](crate::EventExt::get) parses it.
    fn get_json(&self, pointer: &str) -> Option<String>;
    /// Sets or removes a part of the data.
    ///
    /// # Errors
    ///
    /// The pointer or the JSON is not valid, or no plugin may set this part.
    fn set_json(&self, pointer: &str, json: Option<&str>) -> Result<(), EditError>;
    /// Returns a label of the TaskRun.
    fn label(&self, name: &str) -> Option<String>;
    /// Returns an annotation of the TaskRun.
    fn annotation(&self, name: &str) -> Option<String>;
    /// Returns the size of the log in bytes; 0 if there is no log.
    fn log_size(&self) -> u64;
    /// Returns the whole log. Copies it into the plugin: prefer [`Event::redact`] where that is
    /// enough.
    fn log(&self) -> String;
    /// Returns a part of the log; offset and length are in bytes.
    fn read_log(&self, offset: u64, length: u32) -> Vec<u8>;
    /// Replaces the log.
    ///
    /// # Errors
    ///
    /// The text is larger than the plugin's limit.
    fn set_log(&self, text: &str) -> Result<(), EditError>;
    /// Replaces ranges of the log, which are sorted and do not overlap. May be called at most once
    /// per event.
    ///
    /// # Errors
    ///
    /// A range is not inside the log, not on character boundaries, or not in order.
    fn edit_log(&self, edits: &[LogEdit]) -> Result<(), EditError>;
    /// Makes the host replace every match of a set that [`Plugin::mask_sets`] or
    /// [`Plugin::rule_sets`] declared.
    ///
    /// # Errors
    ///
    /// There is no set of that name.
    ///
    /// [`Plugin::mask_sets`]: crate::Plugin::mask_sets
    /// [`Plugin::rule_sets`]: crate::Plugin::rule_sets
    fn redact(&self, rules: &str, scope: Scope) -> Result<Vec<Redaction>, EditError>;
}

impl Event for events::Event {
    fn header(&self) -> Header {
        Self::header(self)
    }
    fn step(&self) -> Step {
        Self::step(self).into()
    }
    fn attribute(&self, name: &str) -> Option<String> {
        Self::attribute(self, name)
    }
    fn set_attribute(&self, name: &str, value: Option<&str>) -> Result<(), EditError> {
        Self::set_attribute(self, name, value)
    }
    fn extensions(&self) -> Vec<(String, String)> {
        Self::extensions(self)
    }
    fn data_json(&self) -> String {
        Self::data_json(self)
    }
    fn get_json(&self, pointer: &str) -> Option<String> {
        Self::get(self, pointer)
    }
    fn set_json(&self, pointer: &str, json: Option<&str>) -> Result<(), EditError> {
        Self::set(self, pointer, json)
    }
    fn label(&self, name: &str) -> Option<String> {
        Self::label(self, name)
    }
    fn annotation(&self, name: &str) -> Option<String> {
        Self::annotation(self, name)
    }
    fn log_size(&self) -> u64 {
        Self::log_size(self)
    }
    fn log(&self) -> String {
        Self::log(self)
    }
    fn read_log(&self, offset: u64, length: u32) -> Vec<u8> {
        Self::read_log(self, offset, length)
    }
    fn set_log(&self, text: &str) -> Result<(), EditError> {
        Self::set_log(self, text)
    }
    fn edit_log(&self, edits: &[LogEdit]) -> Result<(), EditError> {
        Self::edit_log(self, edits)
    }
    fn redact(&self, rules: &str, scope: Scope) -> Result<Vec<Redaction>, EditError> {
        Self::redact(self, rules, scope)
    }
}

// === Conversions between the types of the contract and of the event model ===

impl From<events::Step> for Step {
    fn from(step: events::Step) -> Self {
        let events::Step {
            namespace,
            pipeline_run,
            pipeline_task,
            task_run,
            name,
            index,
            attempt,
            pod,
            container,
            image,
            phase,
            exit_code,
            reason,
            started_at,
            finished_at,
        } = step;
        Self {
            namespace,
            pipeline_run,
            pipeline_task,
            task_run,
            name,
            index,
            attempt,
            pod,
            container,
            image,
            phase: match phase {
                events::Phase::Started => Phase::Started,
                events::Phase::Succeeded => Phase::Succeeded,
                events::Phase::Failed => Phase::Failed,
                events::Phase::Skipped => Phase::Skipped,
            },
            exit_code,
            reason,
            started_at,
            finished_at,
        }
    }
}

impl From<model::EditError> for EditError {
    fn from(error: model::EditError) -> Self {
        match error {
            model::EditError::ReadOnly(why) => Self::ReadOnly(why),
            model::EditError::Invalid(why) => Self::Invalid(why),
            model::EditError::TooLarge => Self::TooLarge,
        }
    }
}

/// Lets [`Plugin::process`](crate::Plugin::process) return a refused change with `?`: the operator
/// then sees the reason.
impl From<EditError> for String {
    fn from(error: EditError) -> Self {
        match error {
            EditError::ReadOnly(why) | EditError::Invalid(why) => why,
            EditError::TooLarge => model::EditError::TooLarge.to_string(),
        }
    }
}
