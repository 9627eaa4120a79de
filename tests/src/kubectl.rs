//! `kubectl`, as a person would run it.

use serde_json::Value;
use std::io::Write as _;
use std::process::Stdio;

use crate::apiserver::ApiServer;

/// What it printed, and whether it succeeded.
#[derive(Debug)]
pub struct Printed {
    /// Whether it exited with 0.
    pub success: bool,
    /// Standard output, then standard error.
    pub text: String,
}

impl Printed {
    /// The text; panics where the command failed.
    pub fn expect(self, what: &str) -> String {
        assert!(self.success, "{what}: {}", self.text);
        self.text
    }
}

/// Runs it as administrator, with `input` for `-f -`.
pub fn run(api: &ApiServer, arguments: &[&str], input: &str) -> Printed {
    let mut command = api.kubectl();
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl starts");
    // One that fails early may not read; what it says tells why.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("kubectl ends");
    let text = [output.stdout, output.stderr].concat();
    Printed { success: output.status.success(), text: String::from_utf8_lossy(&text).into_owned() }
}

/// `kubectl apply` of YAML documents.
pub fn apply(api: &ApiServer, manifests: &str) -> Printed {
    run(api, &["apply", "--server-side", "-f", "-"], manifests)
}

/// `kubectl apply` of objects, which must be accepted.
pub fn apply_objects(api: &ApiServer, objects: &[Value]) {
    apply(api, &crate::manifests::file(objects)).expect("the objects are accepted");
}

/// `kubectl wait --for=condition=CONDITION`, 60 s at most.
pub fn wait_for(api: &ApiServer, object: &str, namespace: &str, condition: &str) -> Printed {
    run(api, &["wait", &format!("--for=condition={condition}"), object, "-n", namespace, "--timeout=60s"], "")
}
