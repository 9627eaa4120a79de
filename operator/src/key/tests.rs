//! Keys from their minting to their end, by their manifests alone.

use super::*;
use weir_snapshot::api_key::Presented;

fn wanted() -> NewKey {
    NewKey {
        name: "app".into(),
        namespace: "a".into(),
        team: Some("t".into()),
        project: Some("p".into()),
        cost_center: None,
        user: None,
        owner: None,
        expires_at: None,
        models: vec!["m".into(), "n".into()],
    }
}

fn parsed(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

fn stored(token: &str) -> String {
    let hash = Presented::parse(token).unwrap().hash();
    format!("v1${}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Does something with a manifest in a file.
fn with_file<T>(text: &str, act: impl FnOnce(PathBuf) -> T) -> T {
    let file = std::env::temp_dir().join(format!("weir-key-{:x}.yaml", fastrand::u128(..)));
    std::fs::write(&file, text).unwrap();
    let out = act(file.clone());
    std::fs::remove_file(file).unwrap();
    out
}

fn rotated(text: &str) -> Result<(String, Zeroizing<String>), String> {
    with_file(text, |manifest| rotate(&RotateKey { manifest }))
}

fn revoked(text: &str, previous: bool) -> Result<String, String> {
    with_file(text, |manifest| revoke(&RevokeKey { manifest, previous }))
}

#[test]
fn the_secret_holds_the_hash_of_the_key_and_not_the_key() {
    let (text, token) = new(&wanted()).unwrap();
    let secret = parsed(&text);
    assert_eq!(secret["metadata"]["labels"][MARK], Presented::parse(&token).unwrap().id);
    assert_eq!(secret["stringData"]["current"], stored(&token));
    assert_eq!(
        secret["metadata"]["annotations"],
        json!({"weir.dev/team": "t", "weir.dev/project": "p", "weir.dev/models": "m,n"})
    );
    assert!(!text.contains(&token[18..60]));
    assert_ne!(*new(&wanted()).unwrap().1, *token);
}

#[test]
fn a_rotated_key_keeps_its_id_and_lets_the_old_one_go_on_until_that_is_revoked() {
    let (first, old) = new(&wanted()).unwrap();
    let (second, renewed) = rotated(&first).unwrap();
    let (before, after) = (parsed(&first), parsed(&second));
    assert_eq!(after["metadata"], before["metadata"], "whom it is for stays");
    assert_eq!(after["stringData"], json!({"current": stored(&renewed), "previous": stored(&old)}));
    assert_eq!(Presented::parse(&renewed).unwrap().id, Presented::parse(&old).unwrap().id);
    let last = parsed(&revoked(&second, true).unwrap());
    assert_eq!(last["stringData"], json!({"current": stored(&renewed)}));
    assert!(revoked(&first, true).unwrap_err().contains("nothing is left"));
    assert_eq!(revoked(&second, false).unwrap(), "kubectl delete secret app --namespace a\n");
}

#[test]
fn a_secret_as_the_api_server_has_it_is_taken_without_what_that_added() {
    let (first, old) = new(&wanted()).unwrap();
    let mut secret = parsed(&first);
    let stored_hash = k8s_openapi::ByteString(stored(&old).into_bytes());
    secret["data"] = json!({"current": stored_hash, "previous": stored_hash, "note": stored_hash});
    secret.as_object_mut().unwrap().remove("stringData");
    secret["metadata"]["uid"] = json!("u");
    secret["metadata"]["resourceVersion"] = json!("7");
    secret["metadata"]["annotations"][APPLIED] = json!("{}");
    let (text, renewed) = rotated(&secret.to_string()).unwrap();
    let after = parsed(&text);
    assert_eq!(after["metadata"], parsed(&first)["metadata"]);
    assert_eq!(after["stringData"], json!({"current": stored(&renewed), "previous": stored(&old)}));
    assert_eq!(after["data"], json!({"note": stored_hash}), "what is not the key's stays");
}

#[test]
fn what_is_no_key_is_told_and_never_quoted() {
    let (good, _) = new(&wanted()).unwrap();
    for (bad, told) in [
        ("kind: Secret\nstringData: {apiKey: sk-x}\n".to_owned(), "label"),
        ("- sk-x\n".to_owned(), "no manifest of a Secret"),
        (good.replace("current:", "plaintext:"), "plaintext"),
        (good.replace("current:", "sk-x:"), "no entry `current`"),
        (good.replace("name: app", "name: app; sk-x"), "no name"),
    ] {
        let why = rotated(&bad).unwrap_err();
        assert!(why.contains(told) && !why.contains("sk-x"), "{why}");
    }
}
