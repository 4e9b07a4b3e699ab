//! Attempts of an observer that may not deliver.

use super::*;
use crate::event::Encoded;
use crate::journal::{Accept, JournalConfig, NewEvent};
use crate::sink::{FileConfig, PauseGate, SinkContext, SinkKind};
use crate::standby::{LeaseError, LeaseRecord, LeaseStore, LeaseWrite, StandbyConfig};
use jiff::Timestamp;
use std::path::Path;

/// More steps than a delivery takes from the journal to the file.
const STEPS: usize = 1000;

/// A Lease that nobody asks for, so that the observer waits as a standby.
#[derive(Debug)]
struct Unasked;

impl LeaseStore for Unasked {
    fn name(&self) -> &'static str {
        "unasked"
    }

    fn read(&self) -> BoxFuture<'_, Result<Option<LeaseRecord>, LeaseError>> {
        std::future::pending().boxed()
    }

    fn write(&self, _: LeaseWrite) -> BoxFuture<'_, Result<LeaseRecord, LeaseError>> {
        std::future::pending().boxed()
    }
}

async fn delivery(journal: &Journal, file: &Path) -> Delivery {
    let kind = SinkKind::File(FileConfig::new(file));
    let sink = kind.open(&mut SinkContext::default()).await.unwrap();
    let metrics = SinkMetrics::new(PauseGate::new(Duration::from_secs(1)));
    let retry = RetryConfig::default();
    Delivery::new(
        "all".to_owned(),
        sink,
        retry,
        journal.clone(),
        Arc::new(metrics),
    )
}

/// Returns a runtime that does one thing at a time, in the order in which it was begun.
fn one_thing_at_a_time() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .unwrap()
}

#[test]
fn no_attempt_starts_while_another_observer_is_the_active_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    let lines = || std::fs::read_to_string(&file).unwrap().lines().count();
    one_thing_at_a_time().block_on(async {
        let journal = Journal::open(&JournalConfig::default(), Timestamp::UNIX_EPOCH).unwrap();
        let body = Bytes::from_static(br#"{"specversion":"1.0","id":"1","source":"s","type":"t"}"#);
        assert_eq!(Encoded::from_structured(body.clone()).id(), "1");
        let accept = Accept {
            origin: "run".into(),
            mark: Some("1".into()),
            at: Timestamp::UNIX_EPOCH,
            events: vec![NewEvent {
                sinks: vec!["all".to_owned()],
                body,
            }],
        };
        journal.accept(accept).await.unwrap();
        let closed = std::future::ready(()).boxed().shared();
        closed.clone().await;

        let standby = Standby::new(
            &StandbyConfig::default(),
            "us".to_owned(),
            Arc::new(Unasked),
        );
        let waiting = delivery(&journal, &file).await.with_standby(Some(standby));
        let metrics = waiting.metrics.clone();
        let steps = async {
            for _ in 0..STEPS {
                tokio::task::yield_now().await;
                tokio::task::spawn_blocking(|| ()).await.unwrap();
            }
        };
        tokio::select! {
            () = waiting.run(closed.clone()) => panic!("it ended, and an event waits"),
            () = steps => {}
        }
        assert_eq!((lines(), metrics.delivered.get()), (0, 0));

        // The same delivery of an observer that is the only one.
        delivery(&journal, &file).await.run(closed).await;
        assert_eq!(lines(), 1);
    });
}
