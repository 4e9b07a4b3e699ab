//! The host of step-observer. ARCHITECTURE.md has the map of its rooms.

pub mod admin;
pub mod app;
pub mod bounded;
mod clock;
pub mod config;
pub mod control;
pub mod deliver;
pub mod event;
mod fair;
mod file_permissions;
pub mod history;
pub mod http;
pub mod journal;
pub mod lanes;
pub mod locked;
pub mod logs;
pub mod observe;
pub mod plugin;
pub mod prepare;
pub mod record;
pub mod redact;
pub mod sink;
pub mod step;
pub mod terminal;
pub mod trace;
mod truncate;
pub mod yaml;
