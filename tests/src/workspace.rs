//! What Cargo says of this workspace: its crates, and what they depend on.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One crate of the workspace.
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Names of its direct dependencies, those for tests and build scripts apart, in order.
    pub dependencies: BTreeSet<String>,
}

/// All crates of the workspace.
pub fn crates() -> Vec<Crate> {
    let text = cargo(&["metadata", "--no-deps", "--format-version=1"]);
    let metadata: Value = serde_json::from_str(&text).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("a workspace has packages");
    packages.iter().map(read).collect()
}

fn read(package: &Value) -> Crate {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let dependencies = package["dependencies"].as_array().expect("dependencies");
    let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
    Crate {
        name: text(&package["name"]),
        folder: Path::new(&text(&package["manifest_path"])).parent().expect("a manifest is in a folder").to_path_buf(),
        dependencies: normal
            .map(|dependency| {
                text(if dependency["rename"].is_null() { &dependency["name"] } else { &dependency["rename"] })
            })
            .collect(),
    }
}

/// Names of all crates that the selection of `cargo tree` reaches.
pub fn tree(selection: &[&str]) -> BTreeSet<String> {
    let text = cargo(&[&["tree", "--prefix=none", "--format={p}"], selection].concat());
    text.lines().filter_map(|line| Some(line.split(' ').next()?.to_owned())).filter(|name| !name.is_empty()).collect()
}

/// All files below `folder` whose name ends so.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            found.extend(files(&path, ending));
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .args(["--locked", "--offline"])
        .current_dir(crate::repository())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}
