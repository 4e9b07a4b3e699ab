//! A client of the admin address of a running observer. It follows the stream of the live page, and reads
//! single events. The contract is `host/src/admin/page/README.md`.

mod client;
mod error;
mod event;
mod follow;
mod messages;
mod run_table;
mod server_sent;
mod status;

pub use client::ObserverClient;
pub use error::ObserverError;
pub use event::{BodyState, EventBody, ShownEvent, SinkBody};
pub use follow::{ObserverStream, StreamItem};
pub use messages::{Change, RunUpdate, Snapshot, Step, StepEventRef, StepState};
pub use run_table::{Run, RunTable, StepPhase, StepTransition, TableLimits};
pub use status::{
    CountsView, JournalView, ObserverStatus, PluginView, RefusalView, SinkView, WaitingView,
};
