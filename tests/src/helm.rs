//! Charts, rendered and checked by Helm's own engine.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The release that tests install.
pub const RELEASE: &str = "weir";
/// Its namespace.
pub const NAMESPACE: &str = "weir-system";

#[derive(Serialize)]
struct Asked<'a> {
    chart: PathBuf,
    values: &'a Value,
    release: &'a str,
    namespace: &'a str,
}

#[derive(Deserialize)]
struct Report {
    error: Option<String>,
    manifests: BTreeMap<String, String>,
    findings: Vec<String>,
}

/// The objects of a chart of this repository with these values, or what Helm says against them.
///
/// # Errors
/// The complaint of the schema or of a template.
pub fn render(chart: &str, values: &Value) -> Result<Vec<Value>, String> {
    let report = ask(chart, values);
    if let Some(error) = report.error {
        return Err(error);
    }
    assert!(report.findings.is_empty(), "helm lint: {:?}", report.findings);
    let manifests = report.manifests.iter().filter(|(path, _)| !path.ends_with("NOTES.txt"));
    Ok(manifests.flat_map(|(path, text)| objects(path, text)).collect())
}

/// The objects of a text of YAML documents.
pub fn objects(origin: &str, text: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(text);
    let read =
        documents.map(|document| Value::deserialize(document).unwrap_or_else(|error| panic!("{origin}: {error}")));
    read.filter(|object| !object.is_null()).collect()
}

fn ask(chart: &str, values: &Value) -> Report {
    let asked =
        Asked { chart: crate::repository().join("charts").join(chart), values, release: RELEASE, namespace: NAMESPACE };
    let mut python = Command::new(crate::tool("WEIR_TESTS_PYTHON"))
        .args(["-c", include_str!("helm.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut input = python.stdin.take().expect("stdin is piped");
    input.write_all(&serde_json::to_vec(&asked).expect("a request is JSON")).expect("python reads");
    drop(input);
    let output = python.wait_with_output().expect("python ends");
    serde_json::from_slice(&output.stdout).expect("Helm reports in JSON")
}
