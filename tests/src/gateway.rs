//! The real binaries as child processes: `weir-operator up DIR`, and whatever else serves requests.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client::Client;
use crate::process::Process;
use crate::wait;

/// `weir-operator up` over a folder of manifests; stopped on drop.
pub struct Gateway {
    folder: tempfile::TempDir,
    /// Holds the ledger.
    state: tempfile::TempDir,
    process: Process,
    addresses: Addresses,
}

/// Where a data plane listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// Requests.
    pub listen: SocketAddr,
    /// Probes, metrics, config dump.
    pub admin: SocketAddr,
}

impl Gateway {
    /// Starts with one file of manifests, and waits until it serves.
    pub async fn up(manifests: &str) -> Self {
        Self::up_with(manifests, &[]).await
    }

    /// The same, with environment variables.
    pub async fn up_with(manifests: &str, variables: &[(&str, &str)]) -> Self {
        let (folders, mut command) = prepared(manifests, binary("weir-operator"));
        command.envs(variables.iter().copied());
        Self::serving(folders, Process::spawn("weir-operator up", &mut command)).await
    }

    /// The same, with so few files that it may open.
    pub async fn up_within(manifests: &str, open_files: usize) -> Self {
        Self::up_by(manifests, &format!("ulimit -n {open_files} && exec \"$@\"")).await
    }

    /// The same, on the first of the cores that there are.
    pub async fn up_on_one_core(manifests: &str) -> Self {
        let first = "$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')";
        Self::up_by(manifests, &format!("exec taskset -c \"{first}\" \"$@\"")).await
    }

    /// The same, by a script that starts it.
    async fn up_by(manifests: &str, script: &str) -> Self {
        let binary = binary("weir-operator");
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(binary.get_program());
        let (folders, mut command) = prepared(manifests, shell);
        Self::serving(folders, Process::spawn("weir-operator up", &mut command)).await
    }

    /// The same, with a standard output that nobody reads.
    pub async fn up_unread(manifests: &str) -> Self {
        let (folders, mut command) = prepared(manifests, binary("weir-operator"));
        Self::serving(folders, Process::spawn_unread("weir-operator up", &mut command)).await
    }

    async fn serving((folder, state): Folders, process: Process) -> Self {
        let addresses = addresses(&process).await;
        ready(&process, addresses.admin).await;
        Self { folder, state, process, addresses }
    }

    /// Ends the process in order and starts another one over the same folder and ledger.
    pub async fn restart(self) -> Self {
        let Self { folder, state, process, .. } = self;
        process.signal("TERM");
        process.exit().await;
        let mut command = binary("weir-operator");
        serve(&mut command, folder.path(), state.path());
        Self::serving((folder, state), Process::spawn("weir-operator up", &mut command)).await
    }

    /// Writes one more file of manifests, or another version of one.
    pub fn write(&self, file: &str, manifests: &str) {
        let path = self.folder.path().join(file);
        let new = path.with_extension("new");
        std::fs::write(&new, manifests).and_then(|()| std::fs::rename(&new, &path)).expect("manifests can be written");
    }

    /// A caller without a credential.
    pub fn client(&self) -> Client {
        Client::new(self.addresses.listen)
    }

    /// Where it listens for requests.
    pub fn listen(&self) -> SocketAddr {
        self.addresses.listen
    }

    /// Where its admin listener is.
    pub fn admin_address(&self) -> SocketAddr {
        self.addresses.admin
    }

    /// A caller of the admin listener.
    pub fn admin(&self) -> Client {
        Client::new(self.addresses.admin)
    }

    /// The base URL that an SDK takes.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.addresses.listen)
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The lines of the access log, once there are at least so many.
    pub async fn access_log(&self, at_least: usize) -> Vec<serde_json::Value> {
        wait::until("every request has its line in the access log", || async {
            let output = self.process.output();
            let lines = output.iter().filter(|line| line.contains("\"log\":\"access\""));
            let lines: Vec<_> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
            (lines.len() >= at_least).then_some(lines)
        })
        .await
    }

    /// The file of the ledger.
    pub fn ledger(&self) -> PathBuf {
        ledger(self.state.path())
    }

    /// The folder of manifests.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A folder of manifests, and one for the ledger.
type Folders = (tempfile::TempDir, tempfile::TempDir);

/// A folder with one file of manifests, and how `program`, which runs `weir-operator`, serves it.
fn prepared(manifests: &str, mut program: Command) -> (Folders, Command) {
    let (folder, state) = (tempfile::tempdir().expect("a temporary folder"), tempfile::tempdir().expect("another"));
    std::fs::write(folder.path().join("weir.yaml"), manifests).expect("manifests can be written");
    serve(&mut program, folder.path(), state.path());
    ((folder, state), program)
}

fn serve(program: &mut Command, folder: &Path, state: &Path) {
    program.arg("up").arg(folder).args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    program.arg("--ledger").arg(ledger(state));
}

fn ledger(state: &Path) -> PathBuf {
    state.join("ledger.redb")
}

/// One of our binaries: of `WEIR_BIN_DIR`, else built beside this test.
pub fn binary(name: &str) -> Command {
    let folder = std::env::var_os("WEIR_BIN_DIR").map_or_else(beside_this_test, PathBuf::from);
    let path = folder.join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --profile quick --workspace --bins`", path.display());
    let mut command = Command::new(path);
    command.env("NO_COLOR", "1");
    command
}

fn beside_this_test() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    test.ancestors().nth(2).expect("a test is in target/PROFILE/deps").to_path_buf()
}

/// Waits for the line that says where a data plane listens.
pub async fn addresses(process: &Process) -> Addresses {
    process
        .line("where it listens", |line| {
            Some(Addresses { listen: address(line, "listen")?, admin: address(line, "admin")? })
        })
        .await
}

/// Waits until the admin listener says ready.
pub async fn ready(process: &Process, admin: SocketAddr) {
    wait::until_true("the readiness endpoint says 200", || async {
        assert!(process.exited().is_none(), "it ended instead of getting ready:\n{}", process.output().join("\n"));
        is_ready(admin).await
    })
    .await;
}

/// Whether the admin listener says ready now.
pub async fn is_ready(admin: SocketAddr) -> bool {
    let client = Client::new(admin);
    let Ok(mut connection) = client.connect().await else { return false };
    let request = client.request(http::Method::GET, "/readyz", bytes::Bytes::new());
    connection.send(request).await.is_ok_and(|answer| answer.status() == 200)
}

/// The address in a log line, as `key=ADDRESS` or as a JSON field.
fn address(line: &str, key: &str) -> Option<SocketAddr> {
    [format!("\"{key}\":\""), format!("{key}=")].iter().find_map(|mark| {
        let value = line.split_once(mark.as_str())?.1;
        value.split(['"', ' ', ',']).next()?.parse().ok()
    })
}
