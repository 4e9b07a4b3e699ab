//! A file or standard input that can report whether there is more to read now.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, Read as _};
use std::os::fd::AsFd as _;
use std::path::Path;

/// A text that is read.
#[derive(Debug)]
pub(super) struct Input {
    file: File,
    /// Size of a regular file, in bytes.
    pub(super) size: Option<u64>,
}

/// What can be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Read.
    Read,
    /// Wait: nothing has arrived.
    Wait,
    /// Stop: the user has stopped the program.
    Stop,
}

impl Input {
    /// Opens a file; `-` is standard input.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = match path.as_os_str() == "-" {
            true => File::from(io::stdin().as_fd().try_clone_to_owned()?),
            false => File::open(path)?,
        };
        let size = file.metadata().ok().filter(|metadata| metadata.is_file());
        Ok(Self {
            file,
            size: size.map(|metadata| metadata.len()),
        })
    }

    /// Returns what can be done now.
    pub(super) fn next(&self, stopped: &PipeReader) -> io::Result<Next> {
        self.poll(stopped, Some(&Timespec::default()))
    }

    /// Waits until something has arrived, or the program is stopped.
    pub(super) fn wait(&self, stopped: &PipeReader) -> io::Result<Next> {
        self.poll(stopped, None)
    }

    fn poll(&self, stopped: &PipeReader, timeout: Option<&Timespec>) -> io::Result<Next> {
        let mut both = [
            PollFd::new(&self.file, PollFlags::IN),
            PollFd::new(stopped, PollFlags::IN),
        ];
        match poll(&mut both, timeout) {
            Err(rustix::io::Errno::INTR) => return Ok(Next::Wait),
            done => done?,
        };
        let [input, stopped] = both.map(|fd| !fd.revents().is_empty());
        Ok(match (stopped, input) {
            (true, _) => Next::Stop,
            (false, true) => Next::Read,
            (false, false) => Next::Wait,
        })
    }

    /// Reads the available bytes, up to the length of `buffer`. Returns `None` if no bytes have
    /// arrived yet, and 0 at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.file.read(buffer) {
            Ok(length) => Ok(Some(length)),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
