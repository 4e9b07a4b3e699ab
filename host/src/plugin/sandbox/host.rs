//! The functions that a plugin can call: the functions of the contract, which act on the only event
//! in the plugin's store.

use super::bindings;
use super::bindings::step_observer::plugin::{events as wit, logging};
use super::deadline_clock::RunningCall;
use super::draft::Draft;
use super::event_handle::EventHandle;
use super::mask_output::OutputMask;
use super::memory_budget::CallMemory;
use std::sync::Arc;
use step_observer_event_model::size_in_memory;
use tracing::{debug, error, info, warn};
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime::{ResourceLimiter, Result, format_err};

/// Longest line of a plugin in the host's log, in bytes.
const MAX_LINE_BYTES: usize = 1024;

/// Gives plugins the functions of the contract. A plugin that was built for another 0.1.z also
/// finds them, because the linker treats versions that differ only in z as compatible.
pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> Result<()> {
    bindings::Plugin::add_to_linker::<_, HasSelf<_>>(linker, |host: &mut Host| host)
}

/// State of one instance.
pub(crate) struct Host {
    pub(crate) draft: Option<Draft>,
    pub(crate) limits: Limiter,
    /// The plugin's name, for its log lines.
    pub(crate) plugin: Arc<str>,
    /// Masks the lines that the plugin writes.
    pub(crate) output_mask: Arc<OutputMask>,
    /// Number of lines that the plugin may still write.
    pub(crate) lines_left: u32,
    /// Number of handles that the empty WASI has given to the plugin.
    pub(crate) wasi_handles: u32,
    /// Keeps the clock of deadlines ticking.
    pub(super) _running: RunningCall,
}

/// Bounds the memory and the tables of one instance.
pub(crate) struct Limiter {
    pub(crate) memory: usize,
    /// Bytes that all its memories have together.
    pub(crate) used: usize,
    /// Whether a request for memory was refused.
    pub(crate) refused: bool,
    /// Bytes that the host keeps for it.
    held: usize,
    /// Bytes of its tables.
    tables: usize,
    /// The instance's part of the memory that all plugins share. `None` while the plugin is
    /// configured, because memory for that is not counted.
    pub(crate) call_memory: Option<CallMemory>,
}

impl Limiter {
    pub(crate) fn new(memory: usize, call_memory: Option<CallMemory>) -> Self {
        Self {
            memory,
            used: 0,
            refused: false,
            held: 0,
            tables: 0,
            call_memory,
        }
    }

    /// Sets the number of bytes that the host keeps for the instance, and takes them from the
    /// shared budget.
    fn hold(&mut self, bytes: usize) -> Result<()> {
        self.held = bytes;
        self.cover(self.used)
    }

    /// Takes the memory of the instance from the shared budget. If too little is left, the call
    /// ends, and is repeated when enough is free. So a plugin cannot observe the memory use of
    /// other plugins.
    fn cover(&mut self, memory: usize) -> Result<()> {
        if let Some(call_memory) = &mut self.call_memory {
            let beside = self.held.saturating_add(self.tables);
            call_memory.cover(memory.saturating_add(beside))?;
        }
        Ok(())
    }
}

/// Largest number of elements in a table. Function tables of real plugins have thousands.
pub(crate) const MAX_TABLE_ELEMENTS: usize = 20_000;

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        let granted = used <= self.memory;
        self.refused |= !granted;
        if granted {
            self.cover(used)?;
            self.used = used;
        }
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool> {
        let granted = desired <= MAX_TABLE_ELEMENTS;
        if granted {
            let elements = desired.saturating_sub(current);
            self.tables = self.tables.saturating_add(elements * size_of::<usize>());
            self.cover(self.used)?;
        }
        Ok(granted)
    }
}

impl Host {
    fn draft(&mut self) -> Result<&mut Draft> {
        self.draft
            .as_mut()
            .ok_or_else(|| format_err!("this function needs an event, and there is none"))
    }

    /// Changes the event. The memory of the change counts as memory of the plugin.
    fn edit<T>(&mut self, change: impl FnOnce(&mut Draft) -> T) -> Result<T> {
        let draft = self.draft()?;
        let changed = change(draft);
        let held = draft.held();
        self.limits.hold(held)?;
        Ok(changed)
    }
}

impl wit::Host for Host {}

impl wit::HostEvent for Host {
    fn header(&mut self, _: Resource<EventHandle>) -> Result<wit::Header> {
        Ok(self.draft()?.header())
    }
    fn step(&mut self, _: Resource<EventHandle>) -> Result<wit::Step> {
        Ok(self.draft()?.step())
    }
    fn attribute(&mut self, _: Resource<EventHandle>, name: String) -> Result<Option<String>> {
        Ok(self.draft()?.attribute(&name))
    }
    fn set_attribute(
        &mut self,
        _: Resource<EventHandle>,
        name: String,
        value: Option<String>,
    ) -> Result<Result<(), wit::EditError>> {
        self.edit(|draft| draft.set_attribute(&name, value.as_deref()))
    }
    fn extensions(&mut self, _: Resource<EventHandle>) -> Result<Vec<(String, String)>> {
        Ok(self.draft()?.extensions())
    }
    fn data_json(&mut self, _: Resource<EventHandle>) -> Result<String> {
        Ok(self.draft()?.data_json())
    }
    fn get(&mut self, _: Resource<EventHandle>, pointer: String) -> Result<Option<String>> {
        Ok(self.draft()?.get(&pointer))
    }
    fn set(
        &mut self,
        _: Resource<EventHandle>,
        pointer: String,
        json: Option<String>,
    ) -> Result<Result<(), wit::EditError>> {
        // Counts the memory of the JSON text before it is parsed, because several threads may parse
        // at the same time.
        let parsed = json.as_deref().map_or(0, size_in_memory);
        let held = self.draft()?.held().saturating_add(parsed);
        self.limits.hold(held)?;
        self.edit(|draft| draft.set(&pointer, json.as_deref()))
    }
    fn label(&mut self, _: Resource<EventHandle>, name: String) -> Result<Option<String>> {
        Ok(self.draft()?.label(&name))
    }
    fn annotation(&mut self, _: Resource<EventHandle>, name: String) -> Result<Option<String>> {
        Ok(self.draft()?.annotation(&name))
    }
    fn log_size(&mut self, _: Resource<EventHandle>) -> Result<u64> {
        Ok(self.draft()?.log().len() as u64)
    }
    fn log(&mut self, _: Resource<EventHandle>) -> Result<String> {
        Ok(self.draft()?.log().to_owned())
    }
    fn read_log(&mut self, _: Resource<EventHandle>, offset: u64, length: u32) -> Result<Vec<u8>> {
        Ok(self.draft()?.read_log(offset, length))
    }
    fn set_log(
        &mut self,
        _: Resource<EventHandle>,
        text: String,
    ) -> Result<Result<(), wit::EditError>> {
        self.edit(|draft| draft.set_log(text))
    }
    fn edit_log(
        &mut self,
        _: Resource<EventHandle>,
        edits: Vec<wit::LogEdit>,
    ) -> Result<Result<(), wit::EditError>> {
        self.edit(|draft| draft.edit_log(edits))
    }
    fn redact(
        &mut self,
        _: Resource<EventHandle>,
        rules: String,
        scope: wit::Scope,
    ) -> Result<Result<Vec<wit::Redaction>, wit::EditError>> {
        self.edit(|draft| draft.redact(&rules, scope))
    }
    fn drop(&mut self, _: Resource<EventHandle>) -> Result<()> {
        Ok(())
    }
}

impl logging::Host for Host {
    fn log(&mut self, level: logging::Level, message: String) -> Result<()> {
        let Some(left) = self.lines_left.checked_sub(1) else {
            return Ok(());
        };
        self.lines_left = left;
        let plugin = &*self.plugin;
        let message = self.output_mask.mask_line(&message, MAX_LINE_BYTES);
        match level {
            logging::Level::Debug => debug!(plugin, message, "plugin says"),
            logging::Level::Info => info!(plugin, message, "plugin says"),
            logging::Level::Warn => warn!(plugin, message, "plugin says"),
            logging::Level::Error => error!(plugin, message, "plugin says"),
        }
        if left == 0 {
            warn!(
                plugin,
                "plugin wrote too many lines for one event: the rest is omitted"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
