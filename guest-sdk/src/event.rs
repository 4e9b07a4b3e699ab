//! The event as a plugin sees it.

use crate::bindings::step_observer::plugin::events::{
    self, EditError, Header, LogEdit, Redaction, Scope, Step,
};

/// One event. Inside WebAssembly it is a handle to the host's, in native tests a
/// `testing::FakeEvent`.
///
/// Reading gives the event as it was before this call; changes apply together when `process`
/// answers [`Keep`](crate::Verdict::Keep).
pub trait Event {
    /// The context attributes.
    fn header(&self) -> Header;
    /// The step that the event is about.
    fn step(&self) -> Step;
    /// One context attribute or extension as text.
    fn attribute(&self, name: &str) -> Option<String>;
    /// Sets or removes an extension (lower-case letters and digits, at most 20) or the subject.
    ///
    /// # Errors
    ///
    /// The name is read-only, reserved or not allowed, or the value is not.
    fn set_attribute(&self, name: &str, value: Option<&str>) -> Result<(), EditError>;
    /// All extensions with their values as text.
    fn extensions(&self) -> Vec<(String, String)>;
    /// The data without the log, as JSON text.
    fn data_json(&self) -> String;
    /// A part of the data as JSON text, by JSON pointer. [`get`](#method.get) parses it.
    fn get_json(&self, pointer: &str) -> Option<String>;
    /// Sets or removes a part of the data.
    ///
    /// # Errors
    ///
    /// The pointer or the JSON is not valid, or points at the log or at what identifies the step.
    fn set_json(&self, pointer: &str, json: Option<&str>) -> Result<(), EditError>;
    /// A label of the TaskRun.
    fn label(&self, name: &str) -> Option<String>;
    /// An annotation of the TaskRun.
    fn annotation(&self, name: &str) -> Option<String>;
    /// Size of the log in bytes; 0 where there is none.
    fn log_size(&self) -> u64;
    /// The whole log. Copies it into the plugin: prefer [`Event::redact`] where that does.
    fn log(&self) -> String;
    /// A piece of the log, in bytes.
    fn read_log(&self, offset: u64, length: u32) -> Vec<u8>;
    /// Replaces the log.
    ///
    /// # Errors
    ///
    /// The text is larger than the plugin's limit.
    fn set_log(&self, text: &str) -> Result<(), EditError>;
    /// Replaces ranges of the log, sorted and not overlapping. Once per call.
    ///
    /// # Errors
    ///
    /// A range is not inside the log, not on character boundaries, or not in order.
    fn edit_log(&self, edits: &[LogEdit]) -> Result<(), EditError>;
    /// Has the host replace every match of a rule set that [`Plugin::rule_sets`] declared.
    ///
    /// # Errors
    ///
    /// There is no rule set of that name.
    ///
    /// [`Plugin::rule_sets`]: crate::Plugin::rule_sets
    fn redact(&self, rules: &str, scope: Scope) -> Result<Vec<Redaction>, EditError>;
}

impl Event for events::Event {
    fn header(&self) -> Header {
        Self::header(self)
    }
    fn step(&self) -> Step {
        Self::step(self)
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
