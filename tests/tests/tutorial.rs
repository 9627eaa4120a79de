//! The page on budgets is walked as a reader walks it: its files written, its commands run, its outputs seen.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use weir_tests::gateway::{self, Gateway};
use weir_tests::{repository, wait};

/// What a command that may be repeated is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A fenced block: its language and text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let fenced = page.split("```").skip(1).step_by(2);
    let split = fenced.map(|block| block.split_once('\n').expect("a block begins with its language"));
    split.map(|(language, text)| (language.to_owned(), text.to_owned())).collect()
}

/// The name that the first line of a manifest gives to its file.
fn file_name(text: &str) -> &str {
    let first = text.lines().next().and_then(|line| line.strip_prefix("# "));
    first.expect("a manifest begins with the name of its file")
}

/// A reader's terminal.
struct Terminal {
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Terminal {
    /// In that folder, whose ledger is there, with our binaries on the path.
    fn open(folder: &Path, ledger: &Path) -> Self {
        let operator = gateway::binary("weir-operator");
        let binaries = Path::new(operator.get_program()).parent().expect("a binary is in a folder");
        let path = format!("{}:{}", binaries.display(), std::env::var("PATH").expect("there is a PATH"));
        let mut shell = Command::new("bash")
            .current_dir(folder)
            .env("PATH", path)
            .env("WEIR_LEDGER", ledger)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash starts");
        let (input, output) = (shell.stdin.take().expect("piped"), shell.stdout.take().expect("piped"));
        Self { shell, input, output: BufReader::new(output) }
    }

    /// Runs commands; the lines that they print.
    fn run(&mut self, commands: &str) -> Vec<String> {
        const END: &str = "that was all";
        writeln!(self.input, "{commands}\necho {END}").expect("bash reads");
        let lines = (&mut self.output).lines().map(|line| line.expect("text"));
        lines.take_while(|line| line != END).map(|line| line.trim_end().to_owned()).collect()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// What a block names last of what it adds to the folder, if it adds anything.
fn added(text: &str) -> Option<&str> {
    let (_, rest) = text.rsplit_once(" name: ").or_else(|| text.rsplit_once("--name "))?;
    rest.split_whitespace().next()
}

#[tokio::test]
async fn a_team_spends_its_budget_is_degraded_then_refused_gets_an_override_and_finance_exports_the_month() {
    let page = std::fs::read_to_string(repository().join("docs/budgets.md")).expect("the page is there");
    let mut blocks = blocks(&page).into_iter();
    let (_, first) = blocks.next().expect("it begins with manifests");
    assert_eq!(
        (file_name(&first), blocks.next().expect("then it serves").1.trim()),
        ("weir.yaml", "weir-operator up .")
    );
    let gateway = Gateway::up(&first).await;
    let mut terminal = Terminal::open(gateway.folder(), &gateway.ledger());
    let (mut commands, mut printed) = (String::new(), Vec::new());
    for (language, text) in blocks {
        match &*language {
            "yaml" => gateway.write(file_name(&text), &text),
            "sh" => {
                commands = text.replace("127.0.0.1:8080", &gateway.listen().to_string());
                printed = terminal.run(&commands);
            }
            _ => {
                // A change takes half a second to reach the ledger, a cost five to be stored; what is refused meanwhile,
                // or asks for nothing, may be repeated.
                let expected: Vec<_> = text.lines().collect();
                let free = |printed: &[String]| {
                    let refused = text.starts_with("200") && printed.iter().all(|line| line.starts_with("429"));
                    refused || commands.starts_with("weir-operator")
                };
                let until = Instant::now() + PATIENCE;
                while printed != expected && free(&printed) && Instant::now() < until {
                    printed = terminal.run(&commands);
                }
                assert_eq!(printed, expected);
            }
        }
        if let Some(name) = added(&text) {
            let name = format!("{name}\"");
            let admin = gateway.admin();
            wait::until_true("it is applied", || async {
                String::from_utf8_lossy(&admin.get("/config").await.body).contains(&name)
            })
            .await;
        }
    }
}
