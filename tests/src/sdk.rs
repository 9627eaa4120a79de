//! Client libraries, run as their users run them: a script, a base URL, a credential.

use crate::vendor::Dialect;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The official OpenAI SDKs; a promise about one is a promise about the other.
pub const ALL: [Sdk; 2] = [Sdk::Python, Sdk::Node];

/// A language, whose OpenAI SDK `calls` runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the languages")]
pub enum Sdk {
    Python,
    Node,
}

/// A library and what it speaks; the last part of the name is that of its script, `talk_…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Library(Sdk, pub Dialect, pub &'static str);

/// Every library that the gateway is held to.
pub mod library {
    #![allow(missing_docs, reason = "named after the packages")]
    use super::{Dialect, Library, Sdk};

    pub const OPENAI_PYTHON: Library = Library(Sdk::Python, Dialect::OpenAI, "openai");
    pub const OPENAI_NODE: Library = Library(Sdk::Node, Dialect::OpenAI, "openai");
    pub const ANTHROPIC_PYTHON: Library = Library(Sdk::Python, Dialect::Anthropic, "anthropic");
    pub const ANTHROPIC_NODE: Library = Library(Sdk::Node, Dialect::Anthropic, "anthropic");
    pub const LANGCHAIN_OPENAI: Library = Library(Sdk::Python, Dialect::OpenAI, "langchain_openai");
    pub const LANGCHAIN_ANTHROPIC: Library = Library(Sdk::Python, Dialect::Anthropic, "langchain_anthropic");
    pub const LITELLM: Library = Library(Sdk::Python, Dialect::OpenAI, "litellm");
    pub const AI_SDK_OPENAI: Library = Library(Sdk::Node, Dialect::OpenAI, "ai-openai");
    pub const AI_SDK_COMPATIBLE: Library = Library(Sdk::Node, Dialect::OpenAI, "ai-compatible");
    pub const AI_SDK_ANTHROPIC: Library = Library(Sdk::Node, Dialect::Anthropic, "ai-anthropic");
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
        let mut command = self.command(folder.path(), "calls");
        command.args([name, model]).env("BASE_URL", base_url);
        match credential {
            Credential::Key(key) => command.env("API_KEY", key),
            Credential::TokenFile(path) => command.env("TOKEN_FILE", path),
        };
        Running::of(command, folder)
    }

    fn command(self, folder: &Path, script: &str) -> Command {
        let scripts = crate::repository().join("tests/sdk");
        match self {
            Self::Python => {
                let mut command = Command::new(crate::tool("WEIR_TESTS_PYTHON"));
                command.arg("-B").arg(scripts.join("python").join(script).with_extension("py"));
                command
            }
            Self::Node => {
                // Node looks for modules beside the script.
                for file in crate::workspace::files(&scripts.join("node"), ".mjs") {
                    let name = file.file_name().expect("a file has a name");
                    std::fs::copy(&file, folder.join(name)).expect("a script can be copied");
                }
                std::os::unix::fs::symlink(crate::tool("WEIR_TESTS_NODE_MODULES"), folder.join("node_modules"))
                    .expect("the modules can be linked");
                let mut command = Command::new("node");
                command.arg(folder.join(script).with_extension("mjs"));
                command
            }
        }
    }
}

impl Library {
    /// Starts its script, which waits for cases; the base URL has no path.
    pub fn start(self, base_url: &str, key: &str) -> Running {
        let Self(language, _, script) = self;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = language.command(folder.path(), "talks");
        command.arg(script).env("BASE_URL", base_url).env("API_KEY", key);
        Running::of(command, folder)
    }
}

impl Running {
    fn of(mut command: Command, folder: tempfile::TempDir) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the language starts");
        let input = child.stdin.take().expect("stdin is piped");
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Self { child, input, output, _folder: folder }
    }

    /// Says a line, and gives the one that is printed next; blocks until then.
    pub fn ask(&mut self, line: &Value) -> Value {
        writeln!(self.input, "{line}").expect("the script reads");
        self.answer()
    }

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
