//! All suites in one program, so that wasmtime is linked once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

mod answers;
mod api_proxy;
mod api_server;
mod budgets;
mod builds;
mod bundled;
mod catalog;
mod catalog_fetches;
mod chart;
mod citations;
mod cluster;
mod clusters;
mod command_line;
mod compiler_process;
mod conditions;
mod configuration;
mod default_sink;
mod demo;
mod deploy;
mod derived;
mod dropin;
mod durable;
mod e2e;
mod event;
mod expected;
mod explain;
mod faults;
mod follow;
mod front;
mod gaps;
mod hostile;
mod http;
mod http_modes;
mod image;
mod install_yaml;
mod kafka;
mod known_secrets;
mod kubectl;
mod language_bindings;
mod languages;
mod laws;
mod leaks;
mod listing;
mod logs;
mod masking;
mod misbehaving;
mod monitoring;
mod nats;
mod older_program;
mod operate;
mod otlp;
mod otlp_peers;
mod page;
mod pauses;
mod plugin_folder;
mod pod_secrets;
mod pod_security;
mod rbac;
mod receivers;
mod record;
mod recordings;
mod redact;
mod redaction;
mod refused;
mod registry;
mod reload;
mod secrets;
mod shards;
mod shell;
mod sizes;
mod standby;
mod step_metrics;
mod stopping;
mod stored_journal;
mod swap;
mod tap;
mod tenant;
mod tidy;
mod tidy_kit;
mod tools;
mod top;
mod total;
mod traces;
mod turns;
mod unreadable;
mod upgrades;
mod versions;
mod wasi;
