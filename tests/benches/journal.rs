//! Measures the time until the journal has accepted batches of events (`cargo xtask bench`). For
//! comparison, also measures plain writes of the same bytes with one fdatasync per batch, and fjall
//! with one durable commit per batch.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark"
)]

use bytes::Bytes;
use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use futures::future::join_all;
use jiff::Timestamp;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use step_observer::journal::{Accept, Journal, JournalConfig, NewEvent};
use step_observer_tests::budget::Budget;

const BYTES: usize = 2048;
/// Events per batch, batches per round, and the figure of the ratio to bare writes, if it is bounded.
const SIZES: [(usize, usize, Option<&str>); 2] = [
    (64, 128, None),
    (1024, 16, Some("journal / bare writes in batches of 1,024")),
];
const ROUNDS: usize = 6;

#[tokio::main]
async fn main() -> ExitCode {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut budget = Budget::of("journal");
    for (size, batches, figure) in SIZES {
        let events: Vec<Bytes> = (0..size).map(body).collect();
        let (mut ours, mut bare, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        // The three systems take turns, so that other load affects all of them. Their order changes
        // in each round.
        for turn in 0..3 * ROUNDS {
            let of = |name: &str| folder.path().join(format!("{name}-{size}-{turn}"));
            match (turn + turn / 3) % 3 {
                0 => ours.push(journal(&of("journal"), &events, batches).await),
                1 => bare.push(writes(&of("bare"), &events, batches)),
                _ => theirs.push(database(&of("fjall"), &events, batches)),
            }
        }
        let count = size * batches;
        let rate = |times: &mut Vec<Duration>| {
            times.sort();
            f64::from(u32::try_from(count).unwrap()) / times[times.len() / 2].as_secs_f64()
        };
        let (ours, bare, theirs) = (rate(&mut ours), rate(&mut bare), rate(&mut theirs));
        println!(
            "batches of {size} events of {BYTES} bytes: journal {ours:.0} events/s, bare writes {bare:.0}/s, fjall {theirs:.0}/s"
        );
        let ratio = ours / bare;
        println!("  journal / bare writes {ratio:.2}");
        println!("  journal / fjall {:.2}", ours / theirs);
        if let Some(figure) = figure {
            budget.check(figure, ratio);
        }
    }
    budget.finish()
}

/// Incompressible bytes, so that compression has no effect.
fn body(number: usize) -> Bytes {
    let mut state = 0x5eed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let bytes = (0..BYTES).map(|_| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    });
    bytes.collect()
}

/// Each event has its own mark, as transitions have; a batch ends when all its events are accepted.
async fn journal(folder: &Path, events: &[Bytes], batches: usize) -> Duration {
    let config = JournalConfig {
        directory: Some(folder.to_owned()),
        ..JournalConfig::default()
    };
    let journal = Journal::open(&config, Timestamp::UNIX_EPOCH).unwrap();
    journal.sync().await.unwrap();
    let began = Instant::now();
    for batch in 0..batches {
        let accepted = events.iter().enumerate().map(|(number, body)| {
            let event = NewEvent {
                sinks: vec!["broker".to_owned()],
                body: body.clone(),
            };
            let run = format!("run-{batch}-{}", number / 6);
            let mark = Some(format!("step-{} finished", number % 6).as_str().into());
            journal.accept(Accept {
                origin: run.into(),
                mark,
                at: Timestamp::UNIX_EPOCH,
                events: vec![event],
            })
        });
        for accepted in join_all(accepted).await {
            accepted.unwrap();
        }
    }
    began.elapsed()
}

fn writes(file: &Path, events: &[Bytes], batches: usize) -> Duration {
    let bytes = events.concat();
    let mut file = std::fs::File::create(file).unwrap();
    file.sync_all().unwrap();
    let began = Instant::now();
    for _ in 0..batches {
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
    }
    began.elapsed()
}

fn database(folder: &Path, events: &[Bytes], batches: usize) -> Duration {
    let database = Database::builder(folder).open().unwrap();
    let events_of = database
        .keyspace("events", KeyspaceCreateOptions::default)
        .unwrap();
    database.persist(PersistMode::SyncAll).unwrap();
    let began = Instant::now();
    let mut next: u64 = 0;
    for _ in 0..batches {
        let mut batch = database.batch().durability(Some(PersistMode::SyncData));
        for body in events {
            batch.insert(&events_of, next.to_be_bytes(), &body[..]);
            next += 1;
        }
        batch.commit().unwrap();
    }
    began.elapsed()
}
