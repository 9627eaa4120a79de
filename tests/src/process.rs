//! Child processes of a test: their output is kept, and none outlives the test, however it ends.
//!
//! Nothing here belongs to an async runtime, so a process may be shared by tests that each have one.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use crate::wait::{self, PATIENCE};

/// A running child process.
pub struct Process {
    name: String,
    child: Mutex<Child>,
    lines: Arc<Mutex<Vec<String>>>,
    guard: Guard,
}

impl Process {
    /// Starts it and reads its output from then on.
    pub fn spawn(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start ({command:?}): {error}"));
        let guard = Guard::over(child.id());
        let lines = Arc::new(Mutex::new(Vec::new()));
        collect(child.stdout.take().expect("stdout is piped"), Arc::clone(&lines));
        collect(child.stderr.take().expect("stderr is piped"), Arc::clone(&lines));
        Self { name: name.to_owned(), child: Mutex::new(child), lines, guard }
    }

    /// All lines so far, of standard output and standard error.
    pub fn output(&self) -> Vec<String> {
        self.lines.lock().expect("no reader panics").clone()
    }

    /// The first line, past or to come, of which `pick` makes something.
    pub async fn line<T>(&self, what: &str, pick: impl Fn(&str) -> Option<T>) -> T {
        let found = wait::until_within(PATIENCE, || async {
            let found = self.output().iter().find_map(|line| pick(line));
            if found.is_none() && self.exited().is_some() {
                return Some(self.output().iter().find_map(|line| pick(line)));
            }
            found.map(Some)
        });
        found
            .await
            .flatten()
            .unwrap_or_else(|| panic!("{} never printed {what}:\n{}", self.name, self.output().join("\n")))
    }

    /// How it ended, if it did.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.child.lock().expect("no waiter panics").try_wait().expect("a child can be waited for")
    }

    /// Waits until it has ended.
    pub async fn exit(&self) -> ExitStatus {
        let ended = wait::until_within(PATIENCE, || async { self.exited() }).await;
        ended.unwrap_or_else(|| panic!("{} does not end:\n{}", self.name, self.output().join("\n")))
    }

    /// Sends a signal, named as `kill` does: `TERM`, `INT`, `STOP`, `CONT`.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.id().to_string()]).status();
        assert!(sent.expect("kill runs").success(), "{} takes no {signal}", self.name);
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&self) {
        let mut child = self.child.lock().expect("no waiter panics");
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.lock().expect("no waiter panics").id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let output = self.output();
            let last = output.len().saturating_sub(60);
            eprintln!("--- last lines of {}:\n{}", self.name, output[last..].join("\n"));
        }
        self.kill();
        self.guard.dismiss();
    }
}

fn collect(pipe: impl Read + Send + 'static, lines: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            lines.lock().expect("no reader panics").push(String::from_utf8_lossy(&line).trim_end().to_owned());
            line.clear();
        }
    });
}

/// A second process that kills the first when this test process is gone: its input ends then.
struct Guard {
    watcher: Child,
    _input: ChildStdin,
}

impl Guard {
    fn over(id: u32) -> Self {
        let mut watcher = Command::new("sh")
            .args(["-c", "read -r _; kill -9 \"$1\"", "guard", &id.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        let input = watcher.stdin.take().expect("stdin is piped");
        Self { watcher, _input: input }
    }

    fn dismiss(&mut self) {
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
    }
}
