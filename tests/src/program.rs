//! Starts `step-observer` as a process.

use crate::sink::PATIENCE;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Time limit for the program to end by itself. Some commands run cargo.
const EXIT_TIMEOUT: Duration = Duration::from_secs(600);

/// Configures and starts a process of the program. The process is killed when its handle is
/// dropped.
#[derive(Debug)]
pub struct Program(Command);

impl Default for Program {
    fn default() -> Self {
        Self::new()
    }
}

impl Program {
    /// The program without arguments.
    #[must_use]
    pub fn new() -> Self {
        Self::at(&Self::path())
    }

    /// Another program, such as one of an older version, without arguments.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        let mut command = Command::new(path);
        command.kill_on_drop(true);
        Self(command)
    }

    /// The path of the program, which `cargo xtask test` has built before.
    #[must_use]
    pub fn path() -> PathBuf {
        let exe = std::env::current_exe().unwrap();
        let folder = exe.ancestors().nth(2).unwrap();
        let program = folder.join("step-observer");
        assert!(
            program.exists(),
            "{} does not exist: run `cargo xtask test`",
            program.display()
        );
        program
    }

    /// Adds an argument.
    pub fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.0.arg(argument);
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Self {
        self.0.args(arguments);
        self
    }

    /// Sets a variable of the environment.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.0.env(name, value);
        self
    }

    /// Sets variables of the environment.
    pub fn envs(
        &mut self,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> &mut Self {
        self.0.envs(variables);
        self
    }

    /// Removes a variable of the environment.
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.0.env_remove(name);
        self
    }

    /// Removes all variables of the environment.
    pub fn env_clear(&mut self) -> &mut Self {
        self.0.env_clear();
        self
    }

    /// Sets the working directory.
    pub fn current_dir(&mut self, folder: impl AsRef<Path>) -> &mut Self {
        self.0.current_dir(folder);
        self
    }

    /// Sets standard input.
    pub fn stdin(&mut self, stdin: impl Into<Stdio>) -> &mut Self {
        self.0.stdin(stdin);
        self
    }

    /// Sets standard output.
    pub fn stdout(&mut self, stdout: impl Into<Stdio>) -> &mut Self {
        self.0.stdout(stdout);
        self
    }

    /// Sets standard error.
    pub fn stderr(&mut self, stderr: impl Into<Stdio>) -> &mut Self {
        self.0.stderr(stderr);
        self
    }

    /// Returns the command, which the caller starts.
    #[must_use]
    pub fn into_command(self) -> Command {
        self.0
    }

    /// Starts it.
    pub fn spawn(&mut self) -> std::io::Result<Child> {
        self.0.spawn()
    }

    /// Starts the program in a test without an async runtime. The caller must end the process.
    pub fn spawn_std(&mut self) -> std::io::Result<std::process::Child> {
        self.0.as_std_mut().spawn()
    }

    /// Runs the program to its end, and returns its output.
    ///
    /// # Panics
    ///
    /// If it does not end within 10 minutes.
    pub async fn output(&mut self) -> std::io::Result<Output> {
        let output = tokio::time::timeout(EXIT_TIMEOUT, self.0.output()).await;
        output.unwrap_or_else(|_| panic!("{:?} did not end in {EXIT_TIMEOUT:?}", self.0.as_std()))
    }

    /// Runs the program to its end, and returns its exit status.
    ///
    /// # Panics
    ///
    /// If it does not end within 10 minutes.
    pub async fn status(&mut self) -> std::io::Result<ExitStatus> {
        let status = tokio::time::timeout(EXIT_TIMEOUT, self.0.status()).await;
        status.unwrap_or_else(|_| panic!("{:?} did not end in {EXIT_TIMEOUT:?}", self.0.as_std()))
    }

    /// Like [`Program::output`], for a test without an async runtime. In an async test it blocks
    /// the thread.
    pub fn run(&mut self) -> std::io::Result<Output> {
        block_on(self.output())
    }

    /// Like [`Program::status`], for a test without an async runtime. In an async test it blocks
    /// the thread.
    pub fn run_status(&mut self) -> std::io::Result<ExitStatus> {
        block_on(self.status())
    }
}

/// Completes a future with a new runtime on another thread. The caller's thread may have a runtime
/// already, in which a second one cannot be entered or dropped.
fn block_on<T: Send>(future: impl Future<Output = T> + Send) -> T {
    let complete = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(future)
    };
    std::thread::scope(|scope| scope.spawn(complete).join().unwrap())
}

/// Returns the first line of a program's log that contains a text.
///
/// # Panics
///
/// If there is no such line within [`PATIENCE`].
pub async fn wait_for_line(program: &mut Child, text: &str) -> String {
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines();
    let mut seen = String::new();
    let found = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(text) {
                return Some(line);
            }
            seen.push_str(&line);
            seen.push('\n');
        }
        None
    };
    let found = tokio::time::timeout(PATIENCE, found).await;
    found
        .ok()
        .flatten()
        .unwrap_or_else(|| panic!("no line of the log contains {text:?} in {PATIENCE:?}:\n{seen}"))
}

/// Sends a signal, such as `TERM`, to a process.
pub fn send_signal(signal: &str, process: u32) {
    let sent = std::process::Command::new("kill")
        .args(["-s", signal, &process.to_string()])
        .status();
    assert!(sent.unwrap().success(), "failed to send SIG{signal}");
}
