//! Plays streams: those of files merged by their times, those of pipes as they come.

use super::ObserveError;
use super::change::TimedChange;
use super::recording_reader::{Batch, RecordingReader};
use crate::clock;
use jiff::Timestamp;
use std::fmt::{self, Debug, Formatter};
use std::io::{self, Read};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use tracing::warn;

/// How fast a recording is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// As fast as it is read.
    Max,
    /// This factor times as fast as it was recorded.
    Times(f64),
}

/// Documents of all pipes that were read and not taken.
const MAX_MAX_READ_AHEAD: usize = 16;

/// Hands the changes of streams on, each with its time, until whoever takes them answers `false`.
pub type Player =
    Box<dyn FnOnce(&mut dyn FnMut(TimedChange) -> bool) -> Result<(), ObserveError> + Send>;

/// Opens a pipe, which may wait until something writes into it.
type Open = Box<dyn FnOnce() -> io::Result<Box<dyn Read + Send>> + Send>;

/// Streams to be played together, such as one of Pods and one of TaskRuns.
#[derive(Default)]
pub struct RecordedStreams {
    files: Vec<(String, Box<dyn Read + Send>)>,
    pipes: Vec<(String, Open)>,
}

impl Debug for RecordedStreams {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let files: Vec<_> = self.files.iter().map(|(name, _)| name).collect();
        let pipes: Vec<_> = self.pipes.iter().map(|(name, _)| name).collect();
        f.debug_struct("RecordedStreams")
            .field("files", &files)
            .field("pipes", &pipes)
            .finish()
    }
}

impl RecordedStreams {
    /// Adds a stream that is there as a whole, under a name for messages.
    pub fn add_file(&mut self, name: String, reader: impl Read + Send + 'static) {
        self.files.push((name, Box::new(reader)));
    }

    /// Adds a stream that happens now: what has no time has this machine's.
    pub fn add_pipe(
        &mut self,
        name: String,
        open: impl FnOnce() -> io::Result<Box<dyn Read + Send>> + Send + 'static,
    ) {
        self.pipes.push((name, Box::new(open)));
    }

    /// Does one of them happen now?
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.pipes.is_empty()
    }

    /// Plays them when it is asked to: the files first, merged by their times, so that the result is the same each
    /// time; then the pipes, each change as it comes.
    #[must_use]
    pub fn player(self, speed: Speed) -> Player {
        Box::new(move |emit| self.play(speed, emit))
    }

    fn play(
        self,
        speed: Speed,
        emit: &mut dyn FnMut(TimedChange) -> bool,
    ) -> Result<(), ObserveError> {
        let files = self.files.into_iter();
        let files = files.map(|(name, reader)| RecordingReader::new(name, reader));
        let mut pace = PlaybackClock::new(speed);
        let mut counts = StreamCounts::default();
        if !play_files(files.collect(), &mut pace, || None, emit, &mut counts)? {
            return Ok(());
        }
        if !play_pipes(self.pipes, &mut pace, emit, &mut counts)? {
            return Ok(());
        }
        counts.check()
    }
}

/// Plays a stream when it is asked to; of one that is happening now (`live`), what has no time has this machine's.
#[must_use]
pub fn player(
    name: String,
    reader: impl Read + Send + 'static,
    speed: Speed,
    live: bool,
) -> Player {
    let clock = move || live.then(clock::now);
    Box::new(move |emit| play(&name, reader, speed, clock, emit))
}

/// Reads a stream and hands each change to `emit` with its time, in order. `emit` answers `false`
/// to stop. Times are the recording's, else `clock`'s.
///
/// # Errors
///
/// The stream is not a recording, or cannot be read. What came before the error was emitted.
pub fn play(
    name: &str,
    reader: impl Read,
    speed: Speed,
    clock: impl Fn() -> Option<Timestamp>,
    mut emit: impl FnMut(TimedChange) -> bool,
) -> Result<(), ObserveError> {
    let streams = vec![RecordingReader::new(name.to_owned(), reader)];
    let mut counts = StreamCounts::default();
    match play_files(
        streams,
        &mut PlaybackClock::new(speed),
        clock,
        &mut emit,
        &mut counts,
    )? {
        true => counts.check(),
        false => Ok(()),
    }
}

/// How many Pods and TaskRuns each stream has shown.
#[derive(Default)]
struct StreamCounts(Vec<(String, usize)>);

impl StreamCounts {
    fn note(&mut self, stream: &RecordingReader<impl Read>) {
        self.0.push((stream.name().to_owned(), stream.objects()));
    }

    /// One stream may be empty beside others: a recording need not hold TaskRuns.
    fn check(self) -> Result<(), ObserveError> {
        let is_empty = |(_, objects): &&(String, usize)| *objects == 0;
        let empty: Vec<_> = self.0.iter().filter(is_empty).collect();
        if empty.len() == self.0.len() {
            let names: Vec<_> = empty.iter().map(|(name, _)| name.as_str()).collect();
            return Err(ObserveError::EmptyRecording {
                name: names.join(", "),
            });
        }
        for (stream, _) in empty {
            warn!(
                stream,
                "a stream holds no Pod and no TaskRun; the others were played"
            );
        }
        Ok(())
    }
}

/// The time of what is played.
struct PlaybackClock {
    speed: Speed,
    time: Option<Timestamp>,
}

impl PlaybackClock {
    fn new(speed: Speed) -> Self {
        Self { speed, time: None }
    }

    /// Hands the changes of a document on when their time has come.
    fn emit(&mut self, batch: Batch, emit: &mut dyn FnMut(TimedChange) -> bool) -> bool {
        let at = Some(batch.at).max(self.time).unwrap_or(batch.at);
        // What happens now has its pace already.
        if let (Speed::Times(factor), Some(before), false) = (self.speed, self.time, batch.is_live)
        {
            std::thread::sleep(pause(before, at, factor));
        }
        self.time = Some(at);
        let seen = batch.changes.into_iter().map(|change| TimedChange {
            at,
            is_live: batch.is_live,
            change,
        });
        seen.into_iter().all(emit)
    }
}

fn pause(before: Timestamp, at: Timestamp, factor: f64) -> Duration {
    let gap = Duration::try_from(at.duration_since(before)).unwrap_or_default();
    gap.div_f64(factor.max(0.01))
}

/// Plays streams that are there as a whole, by time; of the same time, in their order. Gives `false` if it was stopped.
fn play_files<R: Read>(
    mut streams: Vec<RecordingReader<R>>,
    pace: &mut PlaybackClock,
    clock: impl Fn() -> Option<Timestamp>,
    emit: &mut dyn FnMut(TimedChange) -> bool,
    counts: &mut StreamCounts,
) -> Result<bool, ObserveError> {
    let mut heads = Vec::new();
    for stream in &mut streams {
        heads.push(stream.next(&clock)?);
    }
    loop {
        let of = |(index, head): (usize, &Option<Batch>)| Some((head.as_ref()?.at, index));
        let next = heads.iter().enumerate().filter_map(of).min();
        let next = next.and_then(|(_, index)| Some((heads.get_mut(index)?, index)));
        let Some((head, index)) = next else { break };
        let batch = head.take();
        if let Some(batch) = batch
            && !pace.emit(batch, emit)
        {
            return Ok(false);
        }
        if let Some(stream) = streams.get_mut(index) {
            *head = stream.next(&clock)?;
        }
    }
    streams.iter().for_each(|stream| counts.note(stream));
    Ok(true)
}

/// What a thread that reads a pipe reports.
enum PipeMessage {
    Batch(Batch),
    Failed(ObserveError),
    Ended(RecordingReader<Box<dyn Read + Send>>),
}

/// Plays streams that happen now, each change as it comes: none waits for another. Gives `false` if it was stopped.
fn play_pipes(
    pipes: Vec<(String, Open)>,
    pace: &mut PlaybackClock,
    emit: &mut dyn FnMut(TimedChange) -> bool,
    counts: &mut StreamCounts,
) -> Result<bool, ObserveError> {
    let (found, next) = sync_channel(MAX_MAX_READ_AHEAD);
    for (name, open) in pipes {
        let found = found.clone();
        let reading = name.clone();
        // A read that waits for a pipe cannot be interrupted, so the threads are not waited for.
        std::thread::Builder::new()
            .name("replay-pipe".to_owned())
            .spawn(move || read_pipe(reading, open, &found))
            .map_err(|source| ObserveError::Read { name, source })?;
    }
    drop(found);
    for piped in next {
        match piped {
            PipeMessage::Batch(batch) => {
                if !pace.emit(batch, emit) {
                    return Ok(false);
                }
            }
            PipeMessage::Failed(error) => return Err(error),
            PipeMessage::Ended(stream) => counts.note(&stream),
        }
    }
    Ok(true)
}

/// Reads a pipe to its end, or until nobody takes what it says.
fn read_pipe(name: String, open: Open, found: &SyncSender<PipeMessage>) {
    let mut stream = match open() {
        Ok(reader) => RecordingReader::new(name, reader),
        Err(source) => {
            found
                .send(PipeMessage::Failed(ObserveError::Read { name, source }))
                .ok();
            return;
        }
    };
    loop {
        let piped = match stream.next(|| Some(clock::now())) {
            Ok(Some(batch)) => PipeMessage::Batch(batch),
            Ok(None) => {
                found.send(PipeMessage::Ended(stream)).ok();
                return;
            }
            Err(error) => PipeMessage::Failed(error),
        };
        let is_over = matches!(piped, PipeMessage::Failed(_));
        if found.send(piped).is_err() || is_over {
            return;
        }
    }
}
