//! What compile accepts, a data plane accepts.

use super::*;
use clap::Parser as _;
use serde_json::Value;

#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    config: Config,
}

/// Every golden case of compile, as a folder of manifests.
fn cases() -> Vec<(String, String)> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("compile/testdata");
    let folders = std::fs::read_dir(golden).unwrap().map(|entry| entry.unwrap().path());
    let cases = folders.map(|folder| {
        let input: Value = serde_yaml::from_str(&std::fs::read_to_string(folder.join("input.yaml")).unwrap()).unwrap();
        let objects = input["objects"].as_array().unwrap().iter().map(|object| {
            let mut object = object.clone();
            let ours = matches!(object["kind"].as_str(), Some("Provider" | "LLMRoute"));
            object["apiVersion"] = if ours { "weir.dev/v1alpha1" } else { "v1" }.into();
            format!("---\n{object}\n")
        });
        (folder.display().to_string(), objects.collect())
    });
    cases.collect()
}

#[tokio::test]
async fn whatever_compiles_is_applied_without_a_rejection() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let gateway = Gateway::new(Flags::parse_from(["test"]).config);
    let mut applied = 0;
    for (case, manifests) in cases() {
        let folder = std::env::temp_dir().join(format!("weir-up-{:x}", fastrand::u128(..)));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("objects.yaml"), manifests).unwrap();
        let found = files::read(&folder, |_| None).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let snapshot = weir_compile::compile(&found.objects).snapshot;
        applied += snapshot.resources.len();
        assert_eq!(gateway.apply(snapshot), [], "{case}");
    }
    assert!(applied > 50, "the cases hold something: {applied} resources");
}

#[test]
fn what_the_ledger_writes_into_the_folder_is_no_change_of_it() {
    let ledger = Path::new("here/ledger.redb");
    let of_ledger = |paths: &[&str]| is_of_ledger(ledger, &paths.iter().map(PathBuf::from).collect::<Vec<_>>());
    assert!(of_ledger(&["here/ledger.redb"]) && of_ledger(&["here/ledger.costs/next", "here/ledger.costs/20784"]));
    assert!(!of_ledger(&["here/weir.yaml"]) && !of_ledger(&["here/ledger.redb", "here/weir.yaml"]));
    assert!(!of_ledger(&[]), "who knows what changed");
}
