//! Child processes of a test: their output is kept, and none outlives the test, however it ends.
//!
//! Nothing here belongs to an async runtime, so a process may be shared by tests that each have one.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::wait::{self, PATIENCE};

/// A running child process.
pub struct Process {
    name: String,
    child: Mutex<Child>,
    lines: Arc<Mutex<Vec<String>>>,
    unread: Mutex<Option<ChildStdout>>,
    guard: Guard,
}

impl Process {
    /// Starts it and reads its output from then on.
    pub fn spawn(name: &str, command: &mut Command) -> Self {
        let this = Self::spawn_unread(name, command);
        this.read();
        this
    }

    /// Starts it and reads its standard error alone, so that its standard output fills up.
    pub fn spawn_unread(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start ({command:?}): {error}"));
        let guard = Guard::over(child.id());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let unread = Mutex::new(child.stdout.take());
        collect(child.stderr.take().expect("stderr is piped"), Arc::clone(&lines));
        Self { name: name.to_owned(), child: Mutex::new(child), lines, unread, guard }
    }

    /// Reads its standard output from now on.
    pub fn read(&self) {
        let unread = self.unread.lock().expect("no reader panics").take();
        collect(unread.expect("it is not read yet"), Arc::clone(&self.lines));
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

    /// CPU time of all its threads so far.
    pub fn cpu(&self) -> Duration {
        cpu(&format!("/proc/{}", self.id()))
    }

    /// A figure of `/proc/PID/status` in KiB, such as `VmHWM` for the most memory it ever had.
    pub fn memory(&self, figure: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        kib.unwrap_or_else(|| panic!("{figure} is a figure of a process"))
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

/// CPU time of all threads of this process so far.
pub fn own_cpu() -> Duration {
    cpu("/proc/self")
}

fn cpu(process: &str) -> Duration {
    let tasks = std::fs::read_dir(format!("{process}/task")).expect("it runs").flatten();
    let times = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    let nanos = times.filter_map(|line| line.split(' ').next()?.parse::<u64>().ok());
    Duration::from_nanos(nanos.sum())
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
