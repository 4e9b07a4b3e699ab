//! The choice between compiling plugins in a thread and in a child process.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Says where plugins are compiled.
#[derive(Clone, Debug, Default)]
pub enum Compiler {
    /// In a thread of this process. Libraries and tests use this.
    #[default]
    Thread,
    /// In a child process.
    Process(CompilerProgram),
}

/// Describes a program that calls [`compile_for_parent`](super::compile_for_parent). It must be the
/// same file as the running program; otherwise its machine code is refused.
#[derive(Clone, Debug)]
pub struct CompilerProgram {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl CompilerProgram {
    /// Returns a program with arguments and without environment variables.
    #[must_use]
    pub fn new(program: PathBuf, arguments: Vec<OsString>) -> Self {
        Self {
            program,
            arguments,
            environment: Vec::new(),
        }
    }

    /// Adds a variable to the environment, which is empty otherwise: plugins and the compiler must
    /// not see the environment of this process.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Returns the running program with other arguments.
    ///
    /// # Errors
    ///
    /// The system does not report the path of the running program.
    pub fn current(arguments: Vec<OsString>) -> io::Result<Self> {
        // Stays valid even if the file of the running program was replaced.
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
