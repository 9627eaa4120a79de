//! Manifests in, objects and complaints out.

use super::*;

fn folder(text: &str) -> Folder {
    let folder = std::env::temp_dir().join(format!("weir-files-{:x}", fastrand::u128(..)));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("a.yaml"), text).unwrap();
    let found =
        read(&folder, |name| name.starts_with("WEIR_SECRET_TEAM_A_OPEN_AI_").then(|| "sk-env".to_owned())).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    found
}

fn complaints(text: &str) -> Vec<String> {
    let found = folder(text);
    found
        .complaints
        .iter()
        .map(|complaint| complaint.to_string().rsplit_once("a.yaml:").unwrap().1.to_owned())
        .collect()
}

const PROVIDER: &str = "apiVersion: weir.dev/v1alpha1
kind: Provider
metadata:
  name: p
  namespace: team-a
spec:
  type: OpenAI
";

#[test]
fn a_complaint_names_line_object_field_and_mend() {
    let text = format!(
        "{PROVIDER}  models:\n    - name: m\n      contextWidnow: 5\n    - name: m\n  timeouts:\n    attempt: 5\n"
    );
    let found = complaints(&text);
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(
        found[0].starts_with("10: Provider team-a/p spec.models[0].contextWidnow: is no field here; there are "),
        "{}",
        found[0]
    );
    assert_eq!(found[1], "11: Provider team-a/p spec.models[1]: is there twice: its name must be its own");
    assert_eq!(
        found[2],
        "13: Provider team-a/p spec.timeouts.attempt: must be a text; quote it if it looks like something else"
    );
}

#[test]
fn the_rules_of_the_kind_are_applied_where_they_stand() {
    let found = complaints(&PROVIDER.replace("OpenAI", "Mock\n  endpoint:\n    url: https://x.example/v1"));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("type Mock answers from the gateway itself: remove endpoint and tls"), "{found:?}");
}

#[test]
fn broken_yaml_twins_and_unknown_kinds_are_told_and_the_rest_is_read() {
    assert!(complaints("a: [").first().is_some_and(|text| text.contains("is no YAML")));
    let twins =
        format!("{PROVIDER}---\n{PROVIDER}---\napiVersion: weir.dev/v1alpha1\nkind: Toaster\nmetadata: {{name: x}}\n");
    let found = folder(&twins);
    assert_eq!(found.objects.providers.len(), 2);
    assert!(found.complaints[0].message.contains("is a second Provider team-a/p"), "{:?}", found.complaints);
    assert!(found.complaints[1].message.contains("Weir has no Toaster"));
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n";
    let twins = folder(&format!("{secret}---\n{secret}"));
    assert!(twins.complaints[0].message.contains("is a second Secret default/s"), "{:?}", twins.complaints);
    let other = folder("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n");
    assert_eq!((other.complaints.len(), other.ignored), (0, vec!["Deployment d".to_owned()]));
}

#[test]
fn a_budget_is_read_checked_and_placed() {
    let budget = "apiVersion: weir.dev/v1alpha1\nkind: Budget\nmetadata: {name: b, namespace: team-a}\nspec:\n  \
        limits: [{unit: USD, amount: \"5\"}]\n  window:\n    total: {}\n";
    let found = folder(budget);
    assert_eq!((found.complaints.len(), found.objects.budgets.len()), (0, 1));
    let twice = complaints(&budget.replace("total: {}", "total: {}\n    rolling: {duration: 1h}"));
    assert!(twice[0].contains("spec.window: give exactly one of calendar, rolling and total"), "{twice:?}");
    let orphan = folder(&format!("{budget}  parentRef: {{name: gone}}\n"));
    let complaints = orphan.complaints_of(&weir_compile::compile(&orphan.objects));
    let text = complaints.iter().map(ToString::to_string).collect::<String>();
    assert!(text.contains("8: Budget team-a/b spec.parentRef: there is no Budget team-a/gone"), "{text}");
}

#[test]
fn a_key_comes_from_a_secret_or_from_the_environment_and_its_absence_names_both() {
    let keyed = |name: &str| format!("{PROVIDER}  credentials:\n    - name: main\n      secretRef: {{name: {name}}}\n");
    let found = folder(&keyed("open-ai"));
    assert_eq!(found.complaints, []);
    assert_eq!(found.objects.secrets[0].data.as_ref().unwrap()["apiKey"].0, b"sk-env");
    let missing = folder(&keyed("other"));
    let complaints = missing.complaints_of(&weir_compile::compile(&missing.objects));
    let text = complaints.iter().map(ToString::to_string).collect::<String>();
    assert!(
        text.contains("spec.credentials[0].secretRef") && text.contains("WEIR_SECRET_TEAM_A_OTHER_APIKEY"),
        "{text}"
    );
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: other, namespace: team-a}\nstringData: {apiKey: sk-file}\n";
    let found = folder(&format!("{}{secret}", keyed("other")));
    assert_eq!(found.complaints, []);
    assert_eq!(found.objects.secrets[0].data.as_ref().unwrap()["apiKey"].0, b"sk-file");
}

#[test]
fn every_key_of_an_absent_secret_comes_from_the_environment() {
    let credential =
        |name: &str, key: &str| format!("    - name: {name}\n      secretRef: {{name: open-ai, key: {key}}}\n");
    let text = format!("{PROVIDER}  credentials:\n{}{}", credential("a", "apiKey"), credential("b", "api.key"));
    let found = folder(&text);
    let data = found.objects.secrets[0].data.as_ref().unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["api.key", "apiKey"]);
}

#[test]
fn a_secret_that_is_no_key_is_told() {
    let text =
        "apiVersion: v1\nkind: Secret\ntype: weir.dev/api-key\nmetadata: {name: app}\nstringData: {current: x}\n";
    let found = folder(text);
    let complaints = found.complaints_of(&weir_compile::compile(&found.objects));
    assert!(complaints[0].to_string().contains("Secret default/app: is no API key: the label"), "{complaints:?}");
}

#[test]
fn a_fault_is_told_once_and_its_users_are_sent_to_it() {
    let route = "---\napiVersion: weir.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: r, namespace: team-a}\n\
        spec:\n  models: [{name: m}]\n  rules: [{targets: [{name: t, providerRef: {name: p}}]}]\n";
    let found = folder(&format!("{PROVIDER}  modelPolicy: Some\n{route}"));
    let complaints = found.complaints_of(&weir_compile::compile(&found.objects));
    assert_eq!(complaints.len(), 2, "{complaints:#?}");
    assert!(complaints[0].to_string().contains("must be one of Listed, Any"), "{complaints:#?}");
    assert!(complaints[1].to_string().contains("cannot be used itself; mend it first"), "{complaints:#?}");
}

#[test]
fn prices_with_a_mistake_are_a_complaint_where_they_stand() {
    let map = "apiVersion: v1
kind: ConfigMap
metadata:
  name: weir-prices
  namespace: weir-system
data:
  prices.yaml: |
    exchangeRates: {USD/EUR: \"0.9\"}
";
    let good = folder(map);
    assert!(good.complaints.is_empty() && good.objects.overlay.is_some());
    assert!(folder(&map.replace("weir-system", "elsewhere")).objects.overlay.is_none(), "it is nobody else's to write");
    let found = complaints(&map.replace("0.9", "x"));
    let told = "6: ConfigMap weir-system/weir-prices data: prices.yaml: exchangeRates.USD/EUR: the rate \"x\" is not";
    assert!(found.iter().any(|complaint| complaint.starts_with(told)), "{found:#?}");
}

#[test]
fn ten_thousand_keys_are_read_from_one_file_as_documents_or_as_a_list() {
    const KEYS: usize = 10_000;
    let secret = |n: usize| {
        let (id, hash) = (format!("{n:0>12}"), format!("v1${n:064x}"));
        format!(
            "  apiVersion: v1\n  kind: Secret\n  type: weir.dev/api-key\n  metadata:\n    name: key-{n}\n    \
            namespace: team-a\n    labels: {{weir.dev/api-key: \"{id}\"}}\n    annotations:\n      \
            weir.dev/team: search\n      weir.dev/owner: ada@team-a.example\n  stringData:\n    current: {hash}\n"
        )
    };
    let documents: String = (0..KEYS).map(|n| format!("---\n{}", secret(n))).collect();
    let items: String = (0..KEYS).map(|n| format!("-{}", &secret(n)[1..])).collect();
    for text in [documents, format!("apiVersion: v1\nkind: List\nitems:\n{items}")] {
        let found = folder(&text);
        assert_eq!(found.objects.secrets.len(), KEYS);
        assert_eq!(found.complaints_of(&weir_compile::compile(&found.objects)).first(), None);
    }
}

#[test]
fn a_file_that_is_too_large_is_named_with_its_limit_and_the_mend() {
    let large = complaints(&" ".repeat(16 * 1024 * 1024 + 1));
    assert_eq!(large, ["1: has 16777217 bytes, and 16777216 are read: put its objects into several files"]);
    let many = complaints(&format!("a: [{}]", "1,".repeat(1_000_000)));
    assert_eq!(many, ["1: has more than 1000000 values: put its objects into several files"]);
}
