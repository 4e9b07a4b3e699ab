//! A pseudo terminal with a program in it, and the screen that the program draws.

use crate::program::Program;
use crate::sink::PATIENCE;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use tokio::process::Child;

/// What the reader of the terminal has seen.
struct Seen {
    parser: vt100::Parser,
    /// Everything that the program wrote.
    bytes: Vec<u8>,
    /// Whether no program has the terminal open any longer, and all of its bytes are read.
    ended: bool,
}

/// A program in a pseudo terminal. Its process is killed when this value is dropped.
pub struct TerminalSession {
    child: Child,
    master: File,
    name: PathBuf,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    modes_before: String,
}

/// Opens a pseudo terminal. Returns the side of the terminal, and the path of the side of the program.
#[expect(
    unsafe_code,
    reason = "the C library is the only interface that std and tokio leave"
)]
fn open() -> (File, PathBuf) {
    let mut name = [0_u8; 128];
    // SAFETY: the descriptor is checked and owned by nobody else, and the buffer is as long as the call says.
    let master = unsafe {
        let master = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        assert!(master >= 0, "no pseudo terminal");
        assert_eq!((libc::grantpt(master), libc::unlockpt(master)), (0, 0));
        assert_eq!(
            libc::ptsname_r(master, name.as_mut_ptr().cast(), name.len()),
            0
        );
        OwnedFd::from_raw_fd(master)
    };
    let end = name.iter().position(|byte| *byte == 0).unwrap();
    (
        File::from(master),
        String::from_utf8_lossy(&name[..end]).into_owned().into(),
    )
}

impl TerminalSession {
    /// Starts the program in a terminal of this size.
    #[must_use]
    pub fn start(args: &[&str], environment: &[(&str, &str)], (columns, rows): (u16, u16)) -> Self {
        let (master, name) = open();
        // While this is open, reading the other side does not fail before the program has opened it.
        let side = || File::options().read(true).write(true).open(&name).unwrap();
        let held = side();
        stty(
            &name,
            &["cols", &columns.to_string(), "rows", &rows.to_string()],
        );
        let modes_before = stty(&name, &["-g"]);
        // `setsid` makes the terminal the one that sends SIGWINCH and SIGHUP to the program.
        let mut command = tokio::process::Command::new("setsid");
        command
            .arg("--ctty")
            .arg(Program::path())
            .args(args)
            .envs(environment.iter().copied())
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .kill_on_drop(true);
        for (name, value) in environment {
            command.env(name, value);
        }
        let child = command
            .stdin(Stdio::from(side()))
            .stdout(Stdio::from(side()))
            .stderr(Stdio::from(side()))
            .spawn()
            .unwrap();
        let seen = Arc::new((
            Mutex::new(Seen {
                parser: vt100::Parser::new(rows, columns, 0),
                bytes: Vec::new(),
                ended: false,
            }),
            Condvar::new(),
        ));
        let (reader, told) = (master.try_clone().unwrap(), seen.clone());
        std::thread::spawn(move || read(reader, &told));
        drop(held);
        Self {
            child,
            master,
            name,
            seen,
            modes_before,
        }
    }

    /// Types keys.
    pub fn press(&mut self, keys: &str) {
        use std::io::Write as _;
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Changes the size of the terminal.
    pub fn resize(&mut self, (columns, rows): (u16, u16)) {
        self.seen
            .0
            .lock()
            .unwrap()
            .parser
            .screen_mut()
            .set_size(rows, columns);
        stty(
            &self.name,
            &["cols", &columns.to_string(), "rows", &rows.to_string()],
        );
    }

    /// Returns the process of the program.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Waits until the screen meets a condition. Returns its text.
    ///
    /// # Panics
    ///
    /// If that is not so within [`PATIENCE`].
    pub async fn until(
        &self,
        condition: impl Fn(&vt100::Screen) -> bool + Send + 'static,
    ) -> String {
        self.until_seen(move |seen| condition(seen.parser.screen()))
            .await
    }

    async fn until_seen(&self, condition: impl Fn(&Seen) -> bool + Send + 'static) -> String {
        let seen = self.seen.clone();
        let waiting = tokio::task::spawn_blocking(move || {
            let (lock, changed) = &*seen;
            let seen = lock.lock().unwrap();
            let waited = changed.wait_timeout_while(seen, PATIENCE, |seen| !condition(seen));
            let (seen, timeout) = waited.unwrap();
            let text = seen.parser.screen().contents();
            assert!(!timeout.timed_out(), "the screen shows:\n{text}");
            text
        });
        waiting.await.unwrap()
    }

    /// Waits until the screen shows a text. Returns all of its text.
    pub async fn shows(&self, text: &str) -> String {
        let text = text.to_owned();
        self.until(move |screen| screen.contents().contains(&text))
            .await
    }

    /// Waits for the end of the program. Returns its status.
    ///
    /// # Panics
    ///
    /// If it does not end within [`PATIENCE`], or leaves the terminal in another state than before.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status.expect("an end in time").unwrap();
        let text = self.until_seen(|seen| seen.ended).await;
        let seen = self.seen.0.lock().unwrap();
        let screen = seen.parser.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor());
        drop(seen);
        assert_eq!(self.modes(), self.modes_before, "the modes of the terminal");
        (status, text)
    }

    /// Returns the modes of the terminal.
    #[must_use]
    pub fn modes(&self) -> String {
        stty(&self.name, &["-g"])
    }

    /// Returns the modes before the program started.
    #[must_use]
    pub fn modes_before(&self) -> &str {
        &self.modes_before
    }

    /// Returns everything that the program wrote.
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        self.seen.0.lock().unwrap().bytes.clone()
    }
}

impl std::fmt::Debug for TerminalSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TerminalSession")
            .field("fd", &self.master.as_raw_fd())
            .finish_non_exhaustive()
    }
}

/// Reads until the other side is closed by everybody.
fn read(mut master: File, seen: &(Mutex<Seen>, Condvar)) {
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = master.read(&mut piece) {
        let mut seen_now = seen.0.lock().unwrap();
        seen_now.parser.process(&piece[..count]);
        seen_now.bytes.extend_from_slice(&piece[..count]);
        drop(seen_now);
        seen.1.notify_all();
    }
    seen.0.lock().unwrap().ended = true;
    seen.1.notify_all();
}

/// Runs `stty` on a terminal.
fn stty(terminal: &std::path::Path, args: &[&str]) -> String {
    let output = Command::new("stty")
        .arg("-F")
        .arg(terminal)
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}
