//! The choice between compiling plugins in a thread and in a child process.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Where plugins are compiled.
#[derive(Clone, Debug, Default)]
pub enum Compiler {
    /// In a thread of this process.
    #[default]
    Thread,
    /// In a child process.
    Process(CompilerProgram),
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
    pub fn current(arguments: Vec<OsString>) -> io::Result<Self> {
        // The file that runs, even where another has taken its name since.
        let running = PathBuf::from("/proc/self/exe");
        let program = match running.exists() {
            true => running,
            false => std::env::current_exe()?,
        };
        Ok(Self::new(program, arguments))
    }

    pub(super) fn spawn(&self) -> io::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
    }
}
