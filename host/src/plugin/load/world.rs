//! Imports and exports of a component, and which of them a plugin may have.

use super::error::LoadError;
use crate::plugin::policy::Wasi;
use crate::plugin::sandbox::WASI_PREFIX;
use step_observer_event_model::contract;
use wasmparser::{Parser, Payload};

/// Imports and exports of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct World {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
}

impl World {
    pub(crate) fn parse(component: &[u8]) -> Result<Self, LoadError> {
        let mut world = Self::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload.map_err(|error| LoadError::Invalid(error.to_string()))?;
            match payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        let import =
                            import.map_err(|error| LoadError::Invalid(error.to_string()))?;
                        world.imports.push(import.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        let export =
                            export.map_err(|error| LoadError::Invalid(error.to_string()))?;
                        world.exports.push(export.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(world)
    }

    /// Checks that the component exports `transform`, and imports only packages of the contract.
    /// With `Denied` it may also import WASI, because the host then provides an empty WASI.
    pub(super) fn check(&self, wasi: Wasi) -> Result<(), LoadError> {
        for name in &self.imports {
            if name.starts_with(WASI_PREFIX) {
                match wasi {
                    Wasi::Denied => continue,
                    Wasi::Refused => return Err(LoadError::Wasi(name.clone())),
                }
            }
            if !contract::is_import(name) {
                return Err(LoadError::Import(name.clone()));
            }
        }
        if self.transform().is_some() {
            return Ok(());
        }
        let exports = match self.exports.is_empty() {
            true => "nothing".to_owned(),
            false => self.exports.join(", "),
        };
        Err(LoadError::Export(exports))
    }

    /// Returns the export by which a plugin selects masks, with its version.
    pub(crate) fn masking(&self) -> Option<&str> {
        let mut exports = self.exports.iter();
        let found = exports.find(|name| contract::is_masking(name));
        found.map(String::as_str)
    }

    /// Returns the export by which the host calls the plugin, with its version.
    pub(crate) fn transform(&self) -> Option<&str> {
        let mut exports = self.exports.iter();
        let found = exports.find(|name| contract::is_transform(name));
        found.map(String::as_str)
    }
}
