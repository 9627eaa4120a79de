//! The command line as a person meets it: what is printed where, and with which exit code.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn weir(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir-operator")).args(arguments).output().expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn crds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds")
}

#[test]
fn crds_prints_the_manifests_of_the_repository() {
    let printed = weir(&["crds"]);
    assert!(printed.status.success());
    let kept = ["budgets.yaml", "llmroutes.yaml", "providers.yaml"]
        .map(|name| std::fs::read_to_string(crds().join("manifests").join(name)).unwrap());
    assert_eq!(text(&printed.stdout), kept.join("---\n"));
}

#[test]
fn the_examples_are_good_and_a_mistake_is_told_with_file_line_field_and_mend() {
    for (example, told) in [
        ("quickstart", "good: 1 routes, 1 providers"),
        ("openai", "good: 1 routes, 2 providers"),
        ("anthropic", "good: 1 routes, 1 providers"),
        ("budget", "good: 0 routes, 0 providers, 2 budgets"),
    ] {
        let good = weir(&["validate", crds().join("examples").join(example).to_str().unwrap()]);
        assert!(good.status.success(), "{example}: {}", text(&good.stderr));
        assert!(text(&good.stdout).starts_with(told), "{example}: {}", text(&good.stdout));
    }
    let folder = std::env::temp_dir().join(format!("weir-cli-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let manifest = "apiVersion: weir.dev/v1alpha1\nkind: Provider\nmetadata:\n  name: p\nspec:\n  type: OpenAPI\n";
    std::fs::write(folder.join("bad.yaml"), manifest).unwrap();
    let bad = weir(&["validate", folder.to_str().unwrap()]);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(bad.status.code(), Some(1));
    let told = text(&bad.stderr);
    assert!(
        told.contains(
            "bad.yaml:6: Provider default/p spec.type: must be one of OpenAI, OpenAICompatible, Anthropic, Mock"
        ),
        "{told}"
    );
}

#[test]
fn prices_prints_the_catalogue_with_its_source_as_an_overlay_would_say_it() {
    let printed = weir(&["prices", "--provider-type", "OpenAI", "gpt-4o-2024-11-20"]);
    let text = text(&printed.stdout);
    assert!(text.starts_with("# genai-prices ") && text.lines().next().unwrap().contains("MIT"), "{text}");
    assert!(text.contains("models:\n  OpenAI:\n  - names:\n    - gpt-4o\n"), "{text}");
    assert!(text.contains("input: '2.5'"), "{text}");
    assert!(!weir(&["prices", "no-such-model"]).status.success());
}

#[test]
fn explain_says_which_route_serves_whom_where_it_goes_and_why_not() {
    let example = crds().join("examples/quickstart");
    let ask = |caller: &str, model: &str, output: &str| {
        weir(&["explain", example.to_str().unwrap(), "--as", caller, "--model", model, "--output", output])
    };
    let good = ask("anonymous", "demo", "yaml");
    let said = text(&good.stdout);
    assert!(good.status.success(), "{}", text(&good.stderr));
    for part in ["route: default/chat", "why: serves it", "provider: default/demo", "state: ready", "kind: anonymous"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let unknown = text(&ask("serviceaccount:team-a/app", "gone", "json").stdout);
    assert!(unknown.contains(r#""routes": []"#) && unknown.contains(r#""refused": "the model"#), "{unknown}");
    let wrong = ask("app", "demo", "json");
    assert!(!wrong.status.success() && text(&wrong.stderr).contains("serviceaccount:NAMESPACE/NAME"));
    let missing = ask("apikey:team-a/web", "demo", "json");
    assert!(!missing.status.success() && text(&missing.stderr).contains("team-a/web"));
}

#[test]
fn render_shows_fingerprints_and_a_key_is_shown_once() {
    let example = crds().join("examples/openai");
    let rendered = weir(&["render", example.to_str().unwrap()]);
    assert!(rendered.status.success());
    assert!(
        text(&rendered.stdout).contains("fingerprint") && !text(&rendered.stdout).contains("sk-"),
        "{}",
        text(&rendered.stdout)
    );
    let minted = weir(&["key", "new", "--name", "app"]);
    let (secret, token) = (text(&minted.stdout), text(&minted.stderr));
    assert!(token.starts_with("weir_") && token.lines().count() == 1, "the key is alone on standard error");
    assert!(secret.contains("weir.dev/api-key") && !secret.contains(token.trim()));
    let folder = std::env::temp_dir().join(format!("weir-cli-key-{}", std::process::id()));
    std::fs::write(&folder, &secret).unwrap();
    let rotated = weir(&["key", "rotate", folder.to_str().unwrap()]);
    let revoked = weir(&["key", "revoke", folder.to_str().unwrap()]);
    std::fs::remove_file(&folder).unwrap();
    let (secret, token) = (text(&rotated.stdout), text(&rotated.stderr));
    assert!(token.starts_with("weir_") && token.lines().count() == 1 && secret.contains("previous"), "{secret}");
    assert_eq!(text(&revoked.stdout), "kubectl delete secret app --namespace default\n");
}
