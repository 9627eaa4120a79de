//! A real Redis with a password, on loopback and in a folder of its own.

use std::process::Command;

use crate::apiserver::free_address;
use crate::process::Process;

/// What makes a server write each change to its folder before it answers.
const KEEPING: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// A running server; stopped on drop.
pub struct Redis {
    folder: tempfile::TempDir,
    port: u16,
    keeps: bool,
    process: Process,
}

impl Redis {
    /// Starts one, which `keeps` what it holds when it is killed or forgets it.
    pub fn start(keeps: bool) -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a temporary folder"), free_address().port());
        let process = spawn(&folder, port, keeps);
        Self { folder, port, keeps, process }
    }

    /// The URL that a Secret of the chart has.
    pub fn url(&self) -> String {
        format!("redis://:se%3Acret@127.0.0.1:{}", self.port)
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Starts it again at its address.
    pub fn resume(&mut self) {
        self.process.kill();
        self.process = spawn(&self.folder, self.port, self.keeps);
    }
}

fn spawn(folder: &tempfile::TempDir, port: u16, keeps: bool) -> Process {
    let mut command = Command::new(crate::tool("WEIR_TESTS_REDIS"));
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--requirepass", "se:cret", "--save", ""]);
    command.args(KEEPING.iter().filter(|_| keeps)).current_dir(folder.path());
    Process::spawn("redis-server", &mut command)
}
