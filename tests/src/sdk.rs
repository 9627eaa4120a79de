//! The official OpenAI SDKs, run as their users run them: a script, a base URL, a credential.

use serde_json::Value;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Both of them; a promise about one is a promise about the other.
pub const ALL: [Sdk; 2] = [Sdk::Python, Sdk::Node];

/// One of the SDKs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the languages")]
pub enum Sdk {
    Python,
    Node,
}

/// Where the credential comes from.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// A key that stays.
    Key(&'a str),
    /// A file that is read for each request.
    TokenFile(&'a Path),
}

/// A script that is still running.
pub struct Running {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _folder: tempfile::TempDir,
}

impl Sdk {
    /// Runs one call of the scripts in `tests/sdk` to its end and says what came of it.
    pub async fn call(self, name: &str, model: &str, base_url: &str, credential: Credential<'_>) -> Value {
        let mut running = self.start(name, model, base_url, credential);
        tokio::task::spawn_blocking(move || running.answer()).await.expect("the script answers")
    }

    /// Starts one call.
    pub fn start(self, name: &str, model: &str, base_url: &str, credential: Credential<'_>) -> Running {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = self.command(folder.path());
        command.args([name, model]).env("BASE_URL", base_url).stdin(Stdio::piped()).stdout(Stdio::piped());
        match credential {
            Credential::Key(key) => command.env("API_KEY", key),
            Credential::TokenFile(path) => command.env("TOKEN_FILE", path),
        };
        let mut child = command.spawn().expect("the SDK's language starts");
        let input = child.stdin.take().expect("stdin is piped");
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Running { child, input, output, _folder: folder }
    }

    fn command(self, folder: &Path) -> Command {
        let scripts = crate::repository().join("tests/sdk");
        match self {
            Self::Python => {
                let mut command = Command::new(crate::tool("WEIR_TESTS_PYTHON"));
                command.arg("-B").arg(scripts.join("python/calls.py"));
                command
            }
            Self::Node => {
                // Node looks for modules beside the script.
                let script = folder.join("calls.mjs");
                std::fs::copy(scripts.join("node/calls.mjs"), &script).expect("the script can be copied");
                std::os::unix::fs::symlink(crate::tool("WEIR_TESTS_NODE_MODULES"), folder.join("node_modules"))
                    .expect("the modules can be linked");
                let mut command = Command::new("node");
                command.arg(script);
                command
            }
        }
    }
}

impl Running {
    /// The next line that the script prints; blocks until then.
    pub fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the script prints text");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the script prints no JSON but {line:?}"))
    }

    /// Lets a script go on that waits for a line.
    pub fn go_on(&mut self) {
        writeln!(self.input).expect("the script reads");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
