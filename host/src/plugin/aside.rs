//! Where plugins are compiled: in a process of their own, so that neither the compiler's memory nor
//! a module that keeps it busy is felt by the events. Libraries and tests compile in a thread.

use super::budget::CodeShare;
use super::engine::PluginEngine;
use super::load::{LoadError, MAX_FILE};
use super::refusals::Refusals;
use super::setup::{self, Configured, Order, Prepared};
use super::spec::PluginSpec;
use super::trust::FileDigest;
use crate::redact::RuleError;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tracing::debug;

/// Longest time to compile and configure a plugin, and to wait for its turn. A large module in a
/// debug build of the host takes a minute.
const LOAD_TIME: Duration = Duration::from_secs(300);
/// How often the memory of what compiles is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Priority of what compiles: events go first.
const NICE: i32 = 19;
/// Most memory that the compiling process may have for data, in bytes. Python takes 600 MiB.
const MAX_DATA: u64 = 4 * 1024 * 1024 * 1024;
/// Largest answer of the compiling process, in bytes.
const MAX_ANSWER: u64 = 1024 * 1024 * 1024;

/// Where plugins are compiled.
#[derive(Clone, Debug, Default)]
pub enum Compiler {
    /// In a thread of this process.
    #[default]
    Here,
    /// In a child process.
    Child(CompilerProgram),
}

/// A program that calls [`compile_for_parent`]; it must be the same file as the one that runs, or
/// its machine code is refused.
#[derive(Clone, Debug)]
pub struct CompilerProgram {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl CompilerProgram {
    /// A program with arguments.
    #[must_use]
    pub fn new(program: PathBuf, arguments: Vec<OsString>) -> Self {
        Self {
            program,
            arguments,
            environment: Vec::new(),
        }
    }

    /// The same with one variable of the environment, which is empty otherwise: what stands in this process's is no
    /// plugin's business, and a compiler needs none of it.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// This program with other arguments.
    ///
    /// # Errors
    ///
    /// The system does not say which file it runs.
    pub fn this(arguments: Vec<OsString>) -> io::Result<Self> {
        // The file that runs, even where another has taken its name since.
        let running = PathBuf::from("/proc/self/exe");
        let program = match running.exists() {
            true => running,
            false => std::env::current_exe()?,
        };
        Ok(Self::new(program, arguments))
    }

    fn spawn(&self) -> Result<Child, LoadError> {
        let started = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn();
        started.map_err(|error| LoadError::Process(format!("cannot be started: {error}")))
    }
}

/// A plugin's file, compiled and configured.
pub(super) struct Made {
    pub(super) configured: Configured,
    pub(super) digest: FileDigest,
    /// In bytes.
    pub(super) size: usize,
    /// Room that its machine code takes.
    pub(super) code: CodeShare,
}

/// Reads, compiles and configures a plugin; one at a time, all others wait for their turn.
pub(super) fn make(engine: &PluginEngine, spec: &PluginSpec) -> Result<Made, LoadError> {
    let (begin, begun) = mpsc::sync_channel(1);
    let (done, result) = mpsc::sync_channel(1);
    let (engine, spec) = (engine.clone(), spec.clone());
    let work = move || {
        be_nice();
        let turn = engine.compiling.clone();
        let turn = turn.lock();
        begin.send(()).ok();
        let made = make_here(&engine, &spec);
        drop(turn);
        // Nobody listens any more after the time limit.
        done.send(made).ok();
    };
    // A thread of its own takes the compiler's memory with it when it ends.
    std::thread::Builder::new()
        .name("plugin-compiler".to_owned())
        .spawn(work)?;
    // What another plugin takes is not its fault.
    if begun.recv_timeout(LOAD_TIME) == Err(mpsc::RecvTimeoutError::Timeout) {
        return Err(LoadError::Busy(LOAD_TIME.as_secs()));
    }
    // The child has LOAD_TIME; what it made is taken in after that.
    match result.recv_timeout(LOAD_TIME + Duration::from_secs(10)) {
        Ok(made) => made,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(LoadError::TooSlow(LOAD_TIME.as_secs())),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(LoadError::Compile(
            "the compiler panicked; please report this".to_owned(),
        )),
    }
}

fn make_here(engine: &PluginEngine, spec: &PluginSpec) -> Result<Made, LoadError> {
    let module = spec.read()?;
    let (digest, size) = (FileDigest::of(&module), module.len());
    let order = Order::of(spec);
    let (prepared, code) = match &engine.compiler {
        Compiler::Here => setup::prepare(engine, &order, &module)?,
        Compiler::Child(program) => {
            let bounds = Bounds {
                code: engine.budget.room_for_code(),
                memory: engine.child_memory,
            };
            in_child(program, &order, module, bounds)?
        }
    };
    let room = engine.budget.room_for_code();
    let held = engine.budget.hold_code(code.len());
    let held = held.ok_or(LoadError::CodeTooLarge { room })?;
    Ok(Made {
        configured: setup::finish(engine, &order, prepared, &code)?,
        digest,
        size,
        code: held,
    })
}

/// Where it is refused, events wait a little longer while a plugin is loaded.
fn be_nice() {
    rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE).ok();
}

/// What a child may take.
#[derive(Clone, Copy)]
struct Bounds {
    /// Bytes of machine code.
    code: u64,
    /// Resident bytes, where the system ends the observer with it if memory runs out.
    memory: Option<u64>,
}

/// What came of waiting for a child.
enum Waited<T> {
    Answered(T),
    /// It ended without an answer.
    Gone,
    TooSlow,
    /// It took more memory than this.
    TooLarge(u64),
}

/// Waits for an answer, and looks at the child's memory meanwhile: the bound that the system knows is one on what it
/// might use, which the allocator alone exceeds.
fn wait_for<T>(answer: &mpsc::Receiver<T>, pid: u32, memory: Option<u64>) -> Waited<T> {
    let began = Instant::now();
    while began.elapsed() < LOAD_TIME {
        match answer.recv_timeout(LOOK) {
            Ok(answer) => return Waited::Answered(answer),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Waited::Gone,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        if let Some(most) = memory.filter(|most| resident(pid).is_some_and(|now| now > *most)) {
            return Waited::TooLarge(most);
        }
    }
    Waited::TooSlow
}

/// Resident memory of a process in bytes.
fn resident(pid: u32) -> Option<u64> {
    let sizes = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = sizes.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(rustix::param::page_size() as u64))
}

fn in_child(
    program: &CompilerProgram,
    order: &Order,
    module: Vec<u8>,
    bounds: Bounds,
) -> Result<(Prepared, Vec<u8>), LoadError> {
    let room = bounds.code;
    let mut child = program.spawn()?;
    let pid = child.id();
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let head = serde_json::to_vec(order).map_err(io::Error::from)?;
    let (send, answer) = mpsc::sync_channel(1);
    let talk = move || {
        let answer = stdin.zip(stdout).map(|(mut stdin, stdout)| {
            // One that ended before it has read all says why, or its exit code does.
            write_frame(&mut stdin, &head, &module).ok();
            drop((stdin, head, module));
            read_answer(stdout, room)
        });
        send.send(answer).ok();
    };
    std::thread::Builder::new()
        .name("plugin-compiler-pipe".to_owned())
        .spawn(talk)?;
    let answer = wait_for(&answer, pid, bounds.memory);
    // Once it has answered, nothing that it could do yet is wanted.
    child.kill().ok();
    let status = child.wait()?;
    debug!(pid, %status, "the process that compiled a plugin has ended");
    let (head, code) = match answer {
        Waited::TooSlow => return Err(LoadError::TooSlow(LOAD_TIME.as_secs())),
        Waited::TooLarge(most) => return Err(LoadError::CompilerMemory(most)),
        Waited::Answered(Some(Ok((head, Some(code))))) => (head, code),
        Waited::Answered(Some(Ok((_, None)))) => return Err(LoadError::CodeTooLarge { room }),
        Waited::Answered(Some(Err(error))) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(other_version());
        }
        Waited::Answered(Some(Err(_)) | None) | Waited::Gone => {
            return Err(LoadError::Process(how_it_ended(status)));
        }
    };
    let prepared: Result<Prepared, Told> =
        serde_json::from_slice(&head).map_err(|_| other_version())?;
    Ok((prepared.map_err(LoadError::from)?, code))
}

/// Why the child does not load a plugin. What is wrong with a configuration keeps its parts: they have places of their own.
#[derive(Serialize, Deserialize)]
enum Told {
    Configure(Refusals),
    RuleSet { set: String, source: RuleError },
    Other(String),
}

impl From<LoadError> for Told {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Configure(refusals) => Self::Configure(refusals),
            LoadError::RuleSet { set, source } => Self::RuleSet { set, source },
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<Told> for LoadError {
    fn from(told: Told) -> Self {
        match told {
            Told::Configure(refusals) => Self::Configure(refusals),
            Told::RuleSet { set, source } => Self::RuleSet { set, source },
            Told::Other(text) => Self::Told(text),
        }
    }
}

fn other_version() -> LoadError {
    LoadError::Process("is of another version".to_owned())
}

fn how_it_ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match status.signal() {
        Some(signal) if signal == Signal::KILL.as_raw() || signal == Signal::ABORT.as_raw() => {
            "ran out of memory, or was killed: make the module smaller, or give the observer more \
             memory"
                .to_owned()
        }
        Some(signal) if signal == Signal::XCPU.as_raw() => {
            format!("took more than {} seconds", LOAD_TIME.as_secs())
        }
        _ => format!("ended without an answer ({status})"),
    }
}

/// The other end: reads a plugin from a pipe, compiles and configures it, answers, and ends.
///
/// # Errors
///
/// The parent is gone, or this machine cannot run WebAssembly.
pub fn compile_for_parent(input: impl Read, output: impl Write) -> io::Result<()> {
    confine();
    // A large module next to its settings.
    let (head, module) = read_frame(input, 2 * MAX_FILE)?;
    let order: Order = serde_json::from_slice(&head)?;
    let engine = PluginEngine::new().map_err(|error| io::Error::other(format!("{error:#}")))?;
    let prepared = setup::prepare(&engine, &order, &module);
    let (head, code) = match prepared {
        Ok((prepared, code)) => (Ok(prepared), code),
        Err(error) => (Err(Told::from(error)), Vec::new()),
    };
    write_frame(output, &serde_json::to_vec(&head)?, &code)
}

/// What the system refuses of this is a bound less, no reason to end.
fn confine() {
    be_nice();
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).ok();
    // It holds a configuration, which may hold secrets: nothing of it goes to a disk.
    limit(Resource::Core, 0);
    limit(Resource::Data, MAX_DATA);
    limit(Resource::Cpu, LOAD_TIME.as_secs());
    // Where memory runs out, the observer stays.
    let pid = Pid::as_raw(Some(rustix::process::getpid()));
    std::fs::write(format!("/proc/{pid}/oom_score_adj"), "1000").ok();
}

fn limit(resource: Resource, most: u64) {
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    rustix::process::setrlimit(resource, limit).ok();
}

/// Head and body, each after its length.
fn write_frame(mut output: impl Write, head: &[u8], body: &[u8]) -> io::Result<()> {
    output.write_all(&(head.len() as u64).to_le_bytes())?;
    output.write_all(head)?;
    output.write_all(&(body.len() as u64).to_le_bytes())?;
    output.write_all(body)?;
    output.flush()
}

fn read_frame(mut input: impl Read, most: u64) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let head = read_part(&mut input, most)?;
    let body = read_part(&mut input, most)?;
    Ok((head, body))
}

/// What was prepared, and its machine code where there is room for it.
fn read_answer(mut input: impl Read, room: u64) -> io::Result<(Vec<u8>, Option<Vec<u8>>)> {
    let head = read_part(&mut input, MAX_ANSWER)?;
    let length = read_length(&mut input)?;
    match length {
        ..=MAX_ANSWER if length > room => Ok((head, None)),
        ..=MAX_ANSWER => Ok((head, Some(read_bytes(&mut input, length)?))),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn read_length(mut input: impl Read) -> io::Result<u64> {
    let mut length = [0; 8];
    input.read_exact(&mut length)?;
    Ok(u64::from_le_bytes(length))
}

fn read_part(mut input: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let length = read_length(&mut input)?;
    if length > most {
        return Err(io::ErrorKind::InvalidData.into());
    }
    read_bytes(input, length)
}

fn read_bytes(input: impl Read, length: u64) -> io::Result<Vec<u8>> {
    let mut part = Vec::new();
    input.take(length).read_to_end(&mut part)?;
    match part.len() as u64 == length {
        true => Ok(part),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
