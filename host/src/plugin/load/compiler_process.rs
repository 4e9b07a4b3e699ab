//! Compiles plugins in a child process. So events are not affected by the memory of the compiler,
//! or by a module that keeps the compiler busy. Libraries and tests compile plugins in a thread
//! instead.

use super::configure::{self, CompileOutput, CompileRequest, ConfiguredPlugin};
use super::error::LoadError;
use super::inspect::{self, DeprecatedSetting};
use super::module::MAX_FILE_BYTES;
use super::refusals::Refusals;
use super::spec::PluginSpec;
use super::trust::FileDigest;
use crate::plugin::compiler::{Compiler, CompilerProgram};
use crate::plugin::sandbox::{CodeMemory, PluginEngine, SharedLoads};
use crate::redact::{RuleError, SelectionError};
use rustix::process::{Pid, Resource, Rlimit, Signal};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::process::ExitStatus;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tracing::{debug, warn};

/// Longest time to compile and configure a plugin. Also the longest time to wait until the
/// compilation of another plugin ends. A large module in a debug build of the host takes a minute.
const MAX_LOAD_TIME: Duration = Duration::from_secs(300);
/// Interval between checks of the child's memory.
const MEMORY_CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// Nice value of the compiler while events are handled.
const COMPILER_NICENESS: i32 = 19;
/// Bound of the child's data segment in bytes. Python needs 600 MiB.
const MAX_CHILD_DATA_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Bound of the child's answer in bytes.
const MAX_ANSWER_BYTES: u64 = 1024 * 1024 * 1024;

/// A plugin's file, compiled and configured.
pub(crate) struct Compiled {
    pub(crate) configured: ConfiguredPlugin,
    pub(crate) digest: FileDigest,
    /// Size of the file in bytes.
    pub(crate) size: usize,
    /// Size of the machine code in bytes.
    code_bytes: usize,
}

/// A plugin's file, compiled and configured, for one plugin.
pub(crate) struct Load {
    /// Shared by all plugins with the same file and settings.
    pub(crate) compiled: Arc<Compiled>,
    /// The reserved memory of the machine code. Each plugin reserves it, also if it shares the code:
    /// the budget holds in whatever order they go.
    pub(crate) code: CodeMemory,
}

/// Reads, compiles and configures a plugin. Only one plugin is compiled at a time; the others wait. A file
/// that is in use with the same settings is not compiled again.
pub(crate) fn compile(engine: &PluginEngine, spec: &PluginSpec) -> Result<Load, LoadError> {
    let (begin, begun) = mpsc::sync_channel(1);
    let (done, result) = mpsc::sync_channel(1);
    let (engine, spec) = (engine.clone(), spec.clone());
    let work = move || {
        set_priority(&engine);
        let loads = engine.loads.clone();
        let mut loads = loads.lock();
        begin.send(()).ok();
        let compiled = load(&engine, &spec, &mut loads);
        drop(loads);
        // The receiver is gone after the time limit.
        done.send(compiled).ok();
    };
    // A separate thread is used because its end frees the compiler's memory.
    std::thread::Builder::new()
        .name("plugin-compiler".to_owned())
        .spawn(work)?;
    // Waits until no other plugin is being compiled. This wait does not reduce the time for this
    // plugin.
    if begun.recv_timeout(MAX_LOAD_TIME) == Err(mpsc::RecvTimeoutError::Timeout) {
        return Err(LoadError::Busy(MAX_LOAD_TIME.as_secs()));
    }
    // Waits longer than the child's MAX_LOAD_TIME, because its output must also be loaded.
    match result.recv_timeout(MAX_LOAD_TIME + Duration::from_secs(10)) {
        Ok(compiled) => compiled,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(LoadError::TooSlow(MAX_LOAD_TIME.as_secs())),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(LoadError::Compile(
            "the compiler panicked; please report this".to_owned(),
        )),
    }
}

fn load(
    engine: &PluginEngine,
    spec: &PluginSpec,
    loads: &mut SharedLoads,
) -> Result<Load, LoadError> {
    let module = spec.read()?;
    let digest = FileDigest::compute(&module);
    let request = CompileRequest::new(spec);
    let deprecated = inspect::deprecated_settings(&module, &spec.settings.config);
    let key = request.key(&digest)?;
    let load = match loads.get::<Compiled>(&key) {
        Some(compiled) => Load {
            code: reserve(engine, compiled.code_bytes)?,
            compiled,
        },
        None => {
            let load = compile_now(engine, &request, module, digest)?;
            loads.insert(key, &load.compiled);
            load
        }
    };
    for DeprecatedSetting { name, description } in deprecated {
        warn!(
            plugin = spec.name,
            setting = name,
            description,
            "a setting of the plugin is deprecated"
        );
    }
    Ok(load)
}

fn compile_now(
    engine: &PluginEngine,
    request: &CompileRequest,
    module: Vec<u8>,
    digest: FileDigest,
) -> Result<Load, LoadError> {
    let size = module.len();
    let (output, code) = match &engine.compiler {
        Compiler::Thread => configure::compile_and_configure(engine, request, &module)?,
        Compiler::Process(program) => {
            let limits = ChildLimits {
                code: engine.budget.code_bytes_left(),
                memory: engine.compiler_memory,
            };
            compile_in_child(program, request, module, limits)?
        }
    };
    let reserved = reserve(engine, code.len())?;
    let compiled = Compiled {
        configured: configure::instantiable(engine, request, output, &code)?,
        digest,
        size,
        code_bytes: code.len(),
    };
    Ok(Load {
        compiled: Arc::new(compiled),
        code: reserved,
    })
}

/// Reserves memory for machine code.
fn reserve(engine: &PluginEngine, bytes: usize) -> Result<CodeMemory, LoadError> {
    let room = engine.budget.code_bytes_left();
    let reserved = engine.budget.reserve_code(bytes);
    reserved.ok_or(LoadError::CodeTooLarge { room })
}

/// Lowers the priority of this thread, and so of the child that it starts, if events have priority. If the system
/// refuses this, events are slower while a plugin is loaded.
fn set_priority(engine: &PluginEngine) {
    if engine.puts_events_first() {
        rustix::process::setpriority_process(Some(rustix::thread::gettid()), COMPILER_NICENESS)
            .ok();
    }
}

/// Limits of a child.
#[derive(Clone, Copy)]
struct ChildLimits {
    /// Bytes of machine code that are left.
    code: u64,
    /// Bound of the resident memory in bytes. It is set only where the system would end the
    /// observer together with the child when memory runs out.
    memory: Option<u64>,
}

/// The result of waiting for a child.
enum ChildAnswer<T> {
    Answer(T),
    /// The child ended without an answer.
    Exited,
    TimedOut,
    /// The child used more memory than this bound.
    TooMuchMemory(u64),
}

/// Waits for an answer, and checks the child's resident memory meanwhile. The system's own limit
/// cannot replace this check: it counts reserved memory, and the allocator alone reserves more than
/// the bound.
fn wait_for_answer<T>(answer: &mpsc::Receiver<T>, pid: u32, memory: Option<u64>) -> ChildAnswer<T> {
    let began = Instant::now();
    while began.elapsed() < MAX_LOAD_TIME {
        match answer.recv_timeout(MEMORY_CHECK_INTERVAL) {
            Ok(answer) => return ChildAnswer::Answer(answer),
            Err(mpsc::RecvTimeoutError::Disconnected) => return ChildAnswer::Exited,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        if let Some(most) = memory.filter(|most| resident_bytes(pid).is_some_and(|now| now > *most))
        {
            return ChildAnswer::TooMuchMemory(most);
        }
    }
    ChildAnswer::TimedOut
}

/// Returns the resident memory of a process in bytes.
fn resident_bytes(pid: u32) -> Option<u64> {
    let sizes = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = sizes.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(rustix::param::page_size() as u64))
}

fn compile_in_child(
    program: &CompilerProgram,
    request: &CompileRequest,
    module: Vec<u8>,
    limits: ChildLimits,
) -> Result<(CompileOutput, Vec<u8>), LoadError> {
    let room = limits.code;
    let spawned = program.spawn();
    let mut child =
        spawned.map_err(|error| LoadError::Process(format!("cannot be started: {error}")))?;
    let pid = child.id();
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let head = serde_json::to_vec(request).map_err(io::Error::from)?;
    let (send, answer) = mpsc::sync_channel(1);
    let talk = move || {
        let answer = stdin.zip(stdout).map(|(mut stdin, stdout)| {
            // A write error is ignored: if the child ends before it has read everything, its answer
            // or exit code gives the reason.
            write_frame(&mut stdin, &head, &module).ok();
            drop((stdin, head, module));
            read_answer(stdout, room)
        });
        send.send(answer).ok();
    };
    std::thread::Builder::new()
        .name("plugin-compiler-pipe".to_owned())
        .spawn(talk)?;
    let answer = wait_for_answer(&answer, pid, limits.memory);
    // Ends the child: after its answer it has nothing left to do, and without an answer it has
    // failed.
    child.kill().ok();
    let status = child.wait()?;
    debug!(pid, %status, "the process that compiled a plugin has ended");
    let (head, code) = match answer {
        ChildAnswer::TimedOut => return Err(LoadError::TooSlow(MAX_LOAD_TIME.as_secs())),
        ChildAnswer::TooMuchMemory(most) => return Err(LoadError::CompilerMemory(most)),
        ChildAnswer::Answer(Some(Ok((head, Some(code))))) => (head, code),
        ChildAnswer::Answer(Some(Ok((_, None)))) => return Err(LoadError::CodeTooLarge { room }),
        ChildAnswer::Answer(Some(Err(error))) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(version_mismatch());
        }
        ChildAnswer::Answer(Some(Err(_)) | None) | ChildAnswer::Exited => {
            return Err(LoadError::Process(describe_exit(status)));
        }
    };
    let output: Result<CompileOutput, ChildError> =
        serde_json::from_slice(&head).map_err(|_| version_mismatch())?;
    Ok((output.map_err(LoadError::from)?, code))
}

/// The reason why the child process did not load a plugin. Errors of a configuration keep their
/// structure, because they refer to fields of the configuration.
#[derive(Serialize, Deserialize)]
enum ChildError {
    Configure(Refusals),
    RuleSet {
        set: String,
        source: RuleError,
    },
    MaskSet {
        set: String,
        source: Box<SelectionError>,
    },
    Other(String),
}

impl From<LoadError> for ChildError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Configure(refusals) => Self::Configure(refusals),
            LoadError::RuleSet { set, source } => Self::RuleSet { set, source },
            LoadError::MaskSet { set, source } => Self::MaskSet { set, source },
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<ChildError> for LoadError {
    fn from(error: ChildError) -> Self {
        match error {
            ChildError::Configure(refusals) => Self::Configure(refusals),
            ChildError::RuleSet { set, source } => Self::RuleSet { set, source },
            ChildError::MaskSet { set, source } => Self::MaskSet { set, source },
            ChildError::Other(text) => Self::FromProcess(text),
        }
    }
}

fn version_mismatch() -> LoadError {
    LoadError::Process("is of another version".to_owned())
}

fn describe_exit(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match status.signal() {
        Some(signal) if signal == Signal::KILL.as_raw() || signal == Signal::ABORT.as_raw() => {
            "ran out of memory, or was killed: make the module smaller, or give the observer more \
             memory"
                .to_owned()
        }
        Some(signal) if signal == Signal::XCPU.as_raw() => {
            format!("took more than {} seconds", MAX_LOAD_TIME.as_secs())
        }
        _ => format!("ended without an answer ({status})"),
    }
}

/// Reads a plugin from a pipe, compiles and configures it, and writes the answer. This is the
/// child's side.
///
/// # Errors
///
/// The parent is gone, or this machine cannot run WebAssembly.
pub fn compile_for_parent(input: impl Read, output: impl Write) -> io::Result<()> {
    confine();
    // A large module and its settings.
    let (head, module) = read_frame(input, 2 * MAX_FILE_BYTES)?;
    let request: CompileRequest = serde_json::from_slice(&head)?;
    let engine = PluginEngine::new().map_err(|error| io::Error::other(format!("{error:#}")))?;
    let compiled = configure::compile_and_configure(&engine, &request, &module);
    let (head, code) = match compiled {
        Ok((output, code)) => (Ok(output), code),
        Err(error) => (Err(ChildError::from(error)), Vec::new()),
    };
    write_frame(output, &serde_json::to_vec(&head)?, &code)
}

/// Restricts this process. A limit that the system refuses is skipped.
fn confine() {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).ok();
    // Disables core dumps, because the process holds a configuration that may contain secrets.
    set_limit(Resource::Core, 0);
    set_limit(Resource::Data, MAX_CHILD_DATA_BYTES);
    set_limit(Resource::Cpu, MAX_LOAD_TIME.as_secs());
    // Makes the system end this process before the observer when memory runs out.
    let pid = Pid::as_raw(Some(rustix::process::getpid()));
    std::fs::write(format!("/proc/{pid}/oom_score_adj"), "1000").ok();
}

fn set_limit(resource: Resource, most: u64) {
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    rustix::process::setrlimit(resource, limit).ok();
}

/// Writes `head` and `body`, each after its length.
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

/// Reads the output of the child, and its machine code. The code is `None` if it is larger than
/// `room`.
fn read_answer(mut input: impl Read, room: u64) -> io::Result<(Vec<u8>, Option<Vec<u8>>)> {
    let head = read_part(&mut input, MAX_ANSWER_BYTES)?;
    let length = read_length(&mut input)?;
    match length {
        ..=MAX_ANSWER_BYTES if length > room => Ok((head, None)),
        ..=MAX_ANSWER_BYTES => Ok((head, Some(read_bytes(&mut input, length)?))),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn niceness(engine: PluginEngine) -> i32 {
        let thread = std::thread::spawn(move || {
            set_priority(&engine);
            rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap()
        });
        thread.join().unwrap()
    }

    #[test]
    fn a_compiler_yields_to_events_only_when_there_are_events() {
        let engine = PluginEngine::new().unwrap();
        let of_a_reload = engine.clone();
        let own = niceness(engine.clone());
        assert!(own < COMPILER_NICENESS);
        engine.put_events_first();
        assert_eq!(niceness(of_a_reload), COMPILER_NICENESS);
    }
}
