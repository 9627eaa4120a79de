//! The CRD manifests and examples in the repository are what the code says.
//!
//! Run with `UPDATE=1` to write the manifests anew.

use std::path::Path;

#[test]
fn manifests_are_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    let mut expected = Vec::new();
    for crd in weir_crds::manifests() {
        let path = folder.join(format!("{}.yaml", crd.spec.names.plural));
        let text = serde_yaml::to_string(&crd).expect("a manifest is YAML");
        assert!(text.len() < 200 * 1024, "{} has {} bytes", path.display(), text.len());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &text).expect("the manifest can be written");
        }
        let held = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(held == text, "{} is out of date; run with UPDATE=1", path.display());
        expected.push(path);
    }
    let mut held: Vec<_> =
        std::fs::read_dir(&folder).expect("the folder is there").map(|entry| entry.expect("an entry").path()).collect();
    held.sort();
    assert_eq!(held, expected, "nothing else lies there");
}
