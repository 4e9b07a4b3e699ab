//! Plays recorded streams: files merged by their times, pipes as they arrive.

use super::change::TimedChange;
use super::error::ObserveError;
use super::recording_reader::{Batch, RecordingReader};
use crate::clock;
use jiff::Timestamp;
use std::fmt::{self, Debug, Formatter};
use std::io::{self, Read};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use tracing::warn;

/// The speed at which a recording is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// As fast as it is read.
    Max,
    /// The recorded speed, multiplied by this factor.
    Times(f64),
}

/// Bounds the documents that were read from all pipes together and not played yet.
const MAX_READ_AHEAD: usize = 16;

/// Plays streams: calls a function with each change until the function returns `false`.
pub type Player =
    Box<dyn FnOnce(&mut dyn FnMut(TimedChange) -> bool) -> Result<(), ObserveError> + Send>;

/// Opens a pipe. The call may block until a process writes into the pipe.
type Open = Box<dyn FnOnce() -> io::Result<Box<dyn Read + Send>> + Send>;

/// Streams that are played together, such as one of Pods and one of TaskRuns.
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
    /// Adds a complete stream. `name` is used in messages.
    pub fn add_file(&mut self, name: String, reader: impl Read + Send + 'static) {
        self.files.push((name, Box::new(reader)));
    }

    /// Adds a stream that is written while it is played. A document without a time gets the time of
    /// this machine.
    pub fn add_pipe(
        &mut self,
        name: String,
        open: impl FnOnce() -> io::Result<Box<dyn Read + Send>> + Send + 'static,
    ) {
        self.pipes.push((name, Box::new(open)));
    }

    /// Returns whether one of the streams is a pipe, which is written while it is played.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.pipes.is_empty()
    }

    /// Returns a player of all streams. It plays the files first, merged by their times, so that
    /// the result is always the same; then the pipes, each change as it arrives.
    #[must_use]
    pub fn player(self, speed: Speed) -> Player {
        Box::new(move |emit| self.play(speed, emit))
    }

    fn play(
        self,
        speed: Speed,
        emit: &mut dyn FnMut(TimedChange) -> bool,
    ) -> Result<(), ObserveError> {
        let files = self
            .files
            .into_iter()
            .map(|(name, reader)| RecordingReader::new(name, reader))
            .collect();
        let mut clock = PlaybackClock::new(speed);
        let mut counts = StreamCounts::default();
        if !play_files(files, &mut clock, || None, emit, &mut counts)? {
            return Ok(());
        }
        if !play_pipes(self.pipes, &mut clock, emit, &mut counts)? {
            return Ok(());
        }
        counts.check()
    }
}

/// Returns a player of one stream. If the stream is written while it is played (`live`), a document
/// without a time gets the time of this machine.
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

/// Reads a stream and calls `emit` with each change and its time, in order, until `emit` returns
/// `false`. A document without a time gets the time that `clock` returns.
///
/// # Errors
///
/// The stream is not a recording, or cannot be read. The changes before the error were emitted.
pub fn play(
    name: &str,
    reader: impl Read,
    speed: Speed,
    clock: impl Fn() -> Option<Timestamp>,
    mut emit: impl FnMut(TimedChange) -> bool,
) -> Result<(), ObserveError> {
    let streams = vec![RecordingReader::new(name.to_owned(), reader)];
    let mut counts = StreamCounts::default();
    let has_ended = play_files(
        streams,
        &mut PlaybackClock::new(speed),
        clock,
        &mut emit,
        &mut counts,
    )?;
    if has_ended { counts.check() } else { Ok(()) }
}

/// The number of Pods and TaskRuns in each stream.
#[derive(Default)]
struct StreamCounts(Vec<(String, usize)>);

impl StreamCounts {
    fn note(&mut self, stream: &RecordingReader<impl Read>) {
        self.0.push((stream.name().to_owned(), stream.objects()));
    }

    /// Checks that at least one stream is not empty. Some may be empty: a recording need not
    /// contain TaskRuns.
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

/// Delays changes according to their times and the speed.
struct PlaybackClock {
    speed: Speed,
    /// Time of the last change.
    time: Option<Timestamp>,
}

impl PlaybackClock {
    fn new(speed: Speed) -> Self {
        Self { speed, time: None }
    }

    /// Emits the changes of a document when their time has come. Returns `false` if playing was
    /// stopped.
    fn emit(&mut self, batch: Batch, emit: &mut dyn FnMut(TimedChange) -> bool) -> bool {
        let at = Some(batch.at).max(self.time).unwrap_or(batch.at);
        // A live stream is not delayed.
        if let (Speed::Times(factor), Some(before), false) = (self.speed, self.time, batch.is_live)
        {
            std::thread::sleep(pause(before, at, factor));
        }
        self.time = Some(at);
        let mut changes = batch.changes.into_iter().map(|change| TimedChange {
            at,
            is_live: batch.is_live,
            change,
        });
        changes.all(emit)
    }
}

fn pause(before: Timestamp, at: Timestamp, factor: f64) -> Duration {
    let gap = Duration::try_from(at.duration_since(before)).unwrap_or_default();
    gap.div_f64(factor.max(0.01))
}

/// Plays complete streams by time; documents of the same time in the order of the streams. Returns
/// `false` if playing was stopped.
fn play_files<R: Read>(
    mut streams: Vec<RecordingReader<R>>,
    playback_clock: &mut PlaybackClock,
    clock: impl Fn() -> Option<Timestamp>,
    emit: &mut dyn FnMut(TimedChange) -> bool,
    counts: &mut StreamCounts,
) -> Result<bool, ObserveError> {
    // The next document of each stream.
    let mut heads = Vec::new();
    for stream in &mut streams {
        heads.push(stream.next(&clock)?);
    }
    loop {
        let times = heads
            .iter()
            .enumerate()
            .filter_map(|(index, head)| Some((head.as_ref()?.at, index)));
        let earliest = times.min();
        let next = earliest.and_then(|(_, index)| Some((heads.get_mut(index)?, index)));
        let Some((head, index)) = next else { break };
        let batch = head.take();
        if let Some(batch) = batch
            && !playback_clock.emit(batch, emit)
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

/// A message of a thread that reads a pipe.
enum PipeMessage {
    Batch(Batch),
    Failed(ObserveError),
    Ended(RecordingReader<Box<dyn Read + Send>>),
}

/// Plays pipes. Each change is played as it arrives, without waiting for the other pipes. Returns
/// `false` if playing was stopped.
fn play_pipes(
    pipes: Vec<(String, Open)>,
    playback_clock: &mut PlaybackClock,
    emit: &mut dyn FnMut(TimedChange) -> bool,
    counts: &mut StreamCounts,
) -> Result<bool, ObserveError> {
    let (messages, received) = sync_channel(MAX_READ_AHEAD);
    for (name, open) in pipes {
        let messages = messages.clone();
        let reading = name.clone();
        // The threads are not joined, because a blocked read of a pipe cannot be interrupted.
        std::thread::Builder::new()
            .name("replay-pipe".to_owned())
            .spawn(move || read_pipe(reading, open, &messages))
            .map_err(|source| ObserveError::Read { name, source })?;
    }
    drop(messages);
    for message in received {
        match message {
            PipeMessage::Batch(batch) => {
                if !playback_clock.emit(batch, emit) {
                    return Ok(false);
                }
            }
            PipeMessage::Failed(error) => return Err(error),
            PipeMessage::Ended(stream) => counts.note(&stream),
        }
    }
    Ok(true)
}

/// Reads a pipe to its end, or until the receiver is gone.
fn read_pipe(name: String, open: Open, messages: &SyncSender<PipeMessage>) {
    let mut stream = match open() {
        Ok(reader) => RecordingReader::new(name, reader),
        Err(source) => {
            messages
                .send(PipeMessage::Failed(ObserveError::Read { name, source }))
                .ok();
            return;
        }
    };
    loop {
        let message = match stream.next(|| Some(clock::now())) {
            Ok(Some(batch)) => PipeMessage::Batch(batch),
            Ok(None) => {
                messages.send(PipeMessage::Ended(stream)).ok();
                return;
            }
            Err(error) => PipeMessage::Failed(error),
        };
        let is_over = matches!(message, PipeMessage::Failed(_));
        if messages.send(message).is_err() || is_over {
            return;
        }
    }
}
