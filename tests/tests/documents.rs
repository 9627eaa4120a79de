//! What the documents name exists: commands, files, and every field of their manifests.

use serde_json::Value;
use std::collections::BTreeSet;
use weir_tests::{gateway, helm, repository, schema};

const DOCUMENTS: [&str; 4] = ["README.md", "ARCHITECTURE.md", "SECURITY.md", "docs/budgets.md"];

fn documents() -> impl Iterator<Item = (&'static str, String)> {
    DOCUMENTS
        .into_iter()
        .map(|name| (name, std::fs::read_to_string(repository().join(name)).unwrap_or_else(|_| panic!("no {name}"))))
}

#[test]
fn commands_exist() {
    let help = gateway::binary("weir-operator").arg("--help").output().expect("weir-operator starts");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let known: BTreeSet<_> = help.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    for (name, text) in documents() {
        let lines = text.split(['\n', '`', '|', '$']).filter_map(|part| part.trim().strip_prefix("weir-operator "));
        for rest in lines {
            let command = rest.split(' ').next().unwrap_or_default();
            assert!(command.starts_with('-') || known.contains(command), "{name} names `weir-operator {command}`");
        }
    }
}

#[test]
fn files_exist() {
    let folders = ["tests/", "charts/", "crds/", "docs/", "operator/", "dataplane/"];
    for (name, text) in documents() {
        let words = text.split(['\n', '`', ' ', '(', ')', '|']).map(|word| word.trim_end_matches(['.', ',', ':', ';']));
        let paths = words.filter(|word| folders.iter().any(|folder| word.starts_with(folder)));
        for path in paths.filter(|path| !path.contains(['*', '{', '<'])) {
            assert!(repository().join(path).exists(), "{name} names {path}, which is not there");
        }
    }
}

#[test]
fn fields_of_manifests_are_in_the_schema() {
    let kinds = schema::kinds();
    let known = |origin: &str, object: &Value| {
        let Some(kind) = kinds.iter().find(|kind| kind.name == object["kind"]) else { return };
        let unknown = kind.unknown(object);
        assert!(unknown.is_empty(), "{origin}: {} has no {unknown:?}", kind.name);
    };
    for (name, text) in documents() {
        for block in text.split("```yaml").skip(1).filter_map(|rest| rest.split("```").next()) {
            helm::objects(name, block).iter().for_each(|object| known(name, object));
        }
    }
    for path in weir_tests::workspace::files(&repository().join("crds/examples"), ".yaml") {
        schema::read(&path).iter().for_each(|object| known(&path.display().to_string(), object));
    }
}
