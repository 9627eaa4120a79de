//! Golden cases: each folder of `testdata` holds objects and what becomes of them.
//!
//! Run with `UPDATE=1` to write what is expected anew, then read the difference.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "how a test fails")]

use proptest::prelude::*;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use weir_compile::{Compiled, ObjectId, ObjectKind, Objects, Undecodable, compile, render};
use weir_snapshot::{FEATURES, Issuer, Name, Resource, ResourceId, Settings, Snapshot};

/// An input file: the operator's flags, and the objects.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Input {
    #[serde(default)]
    allow_plaintext_namespaces: BTreeSet<String>,
    #[serde(default)]
    allow_upstream_cidrs: Vec<String>,
    #[serde(default)]
    in_laptop: bool,
    #[serde(default)]
    secrets_forbidden: BTreeSet<String>,
    objects: Vec<Value>,
}

impl Input {
    fn objects(&self) -> Objects {
        let mut objects = Objects {
            settings: Settings {
                platform_namespace: "platform".into(),
                allow_upstream_cidrs: self.allow_upstream_cidrs.clone(),
                forbidden_addresses: vec!["10.0.0.1".parse().expect("an address")],
            },
            allow_plaintext_namespaces: self.allow_plaintext_namespaces.clone(),
            in_cluster: !self.in_laptop,
            secrets_forbidden: self.secrets_forbidden.clone(),
            operator_account: "weir-system:weir-operator".into(),
            issuer: Some(Issuer { issuer: "https://issuer.example".into(), jwks: "{}".into() }),
            ..Objects::default()
        };
        self.objects.iter().for_each(|object| add(object, &mut objects));
        objects
    }
}

fn add(object: &Value, objects: &mut Objects) {
    fn read<T: DeserializeOwned>(object: &Value) -> T {
        serde_json::from_value(object.clone()).unwrap_or_else(|e| panic!("{e}: {object}"))
    }
    let undecodable = |kind, error: serde_json::Error| {
        let text = |member: &str| object["metadata"][member].as_str().unwrap_or_default().to_owned();
        let id = ObjectId { kind, name: Name::new(text("namespace"), text("name")) };
        Undecodable { id, generation: object["metadata"]["generation"].as_i64().unwrap_or(0), error: error.to_string() }
    };
    match object["kind"].as_str().expect("a kind") {
        "Provider" => match serde_json::from_value(object.clone()) {
            Ok(provider) => objects.providers.push(provider),
            Err(error) => objects.undecodable.push(undecodable(ObjectKind::Provider, error)),
        },
        "LLMRoute" => match serde_json::from_value(object.clone()) {
            Ok(route) => objects.routes.push(route),
            Err(error) => objects.undecodable.push(undecodable(ObjectKind::LLMRoute, error)),
        },
        "Secret" => objects.secrets.push(read(object)),
        "ConfigMap" => objects.config_maps.push(read(object)),
        "Namespace" => objects.namespaces.push(read(object)),
        "ServiceAccount" => objects.service_accounts.push(read(object)),
        "EndpointSlice" => objects.endpoint_slices.push(read(object)),
        other => panic!("no case has the kind {other}"),
    }
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut cases: Vec<_> =
        std::fs::read_dir(folder).expect("testdata").map(|entry| entry.expect("an entry").path()).collect();
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

fn input(case: &Path) -> Input {
    let text = std::fs::read_to_string(case.join("input.yaml")).expect("a case has an input");
    serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", case.display()))
}

#[test]
fn objects_become_what_is_expected() {
    for case in cases() {
        let text = serde_yaml::to_string(&shown(&compile(&input(&case).objects()))).expect("JSON is YAML");
        let path = case.join("expected.yaml");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &text).expect("what is expected can be written");
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(expected == text, "{} differs; run with UPDATE=1 and read the difference\n{text}", case.display());
    }
}

fn shown(compiled: &Compiled) -> Value {
    let snapshot: Value = serde_json::from_str(&render(&compiled.snapshot)).expect("render gives JSON");
    let verdicts: Map<_, _> = compiled
        .verdicts
        .iter()
        .map(|(id, verdict)| {
            let conditions = verdict.conditions.iter().map(|c| {
                (c.type_.to_owned(), json!(format!("{} {}: {}", c.status, c.reason, c.message)))
            });
            let mut shown = json!({
                "generation": verdict.generation,
                "conditions": Map::from_iter(conditions),
                "complaints": verdict.complaints.iter().map(|(path, message)| format!("{path}: {message}")).collect::<Vec<_>>(),
                "resources": verdict.resources.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "models": verdict.models,
            });
            match id.kind {
                ObjectKind::Provider => {
                    let held = verdict.credentials.iter();
                    let held: BTreeMap<_, _> = held.map(|c| (&c.name, c.fingerprint.as_deref())).collect();
                    shown["credentials"] = json!(held);
                    shown["unpriced"] = json!(verdict.unpriced);
                    shown["routes"] = json!(verdict.routes);
                }
                ObjectKind::LLMRoute => {
                    shown["targets"] = json!(format!("{}/{}", verdict.targets_ready, verdict.targets_total));
                    shown["targetsBad"] = json!(verdict.targets_bad);
                }
            }
            (id.to_string(), shown)
        })
        .collect();
    let refused: BTreeMap<_, _> = compiled.refused_keys.iter().map(|(name, why)| (name.to_string(), why)).collect();
    json!({"snapshot": snapshot, "verdicts": verdicts, "refusedKeys": refused})
}

fn bytes(snapshot: &Snapshot) -> BTreeMap<&ResourceId, Vec<u8>> {
    snapshot.resources.iter().map(|(id, resource)| (id, resource.body().expect("a body"))).collect()
}

#[test]
fn pods_are_told_of_each_feature_and_of_no_other() {
    let compiled: Vec<_> = cases().iter().map(|case| compile(&input(case).objects())).collect();
    let needed: BTreeSet<_> =
        compiled.iter().flat_map(|c| c.snapshot.resources.values()).flat_map(Resource::needs).collect();
    assert_eq!(needed, FEATURES.iter().copied().collect());
}

#[test]
fn no_secret_is_shown() {
    for case in cases() {
        let text = shown(&compile(&input(&case).objects())).to_string();
        assert!(!text.contains("sk-"), "{}", case.display());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn the_order_of_objects_does_not_matter(order in any::<[u8; 64]>()) {
        for case in cases() {
            let mut input = input(&case);
            let straight = compile(&input.objects());
            let mut keyed: Vec<_> = input.objects.drain(..).zip(order.iter().cycle()).collect();
            keyed.sort_by_key(|(_, key)| *key);
            input.objects = keyed.into_iter().map(|(object, _)| object).collect();
            let shuffled = compile(&input.objects());
            prop_assert_eq!(bytes(&straight.snapshot), bytes(&shuffled.snapshot), "{}", case.display());
            prop_assert_eq!(straight.verdicts, shuffled.verdicts, "{}", case.display());
        }
    }

    #[test]
    fn whatever_the_specs_hold_compiles(text in "\\PC{0,40}", number in any::<i64>()) {
        let hostile = json!([
            {"kind": "Provider", "metadata": {"namespace": text, "name": "p"}, "spec": {
                "type": "OpenAICompatible", "endpoint": {"url": format!("https://{text}")}, "timeouts": {"connect": text},
                "models": [{"name": text, "contextWindow": number, "pricing": {"currency": text, "input": text, "output": text}}],
                "health": {"minEjection": text}}},
            {"kind": "Provider", "metadata": {"namespace": text, "name": "m"}, "spec": {
                "type": "Mock", "mock": {"errorRate": text, "latency": text, "cutAfterTokens": number}}},
            {"kind": "LLMRoute", "metadata": {"namespace": text, "name": "r"}, "spec": {
                "models": [{"name": text, "aliases": [text]}], "hostnames": [text], "timeouts": {"request": text},
                "access": {"serviceAccounts": [{"namespace": text, "name": text}]},
                "rules": [{"targets": [{"name": text, "providerRef": {"name": text, "namespace": text}}]}, {"targets": []}]}},
            {"kind": "Secret", "metadata": {"namespace": text, "name": "k", "labels": {"weir.dev/api-key": text}},
                "data": {"current": "", "plaintext": ""}},
        ]);
        let input = Input {
            allow_plaintext_namespaces: BTreeSet::new(),
            allow_upstream_cidrs: Vec::new(),
            in_laptop: false,
            secrets_forbidden: BTreeSet::new(),
            objects: hostile.as_array().cloned().unwrap_or_default(),
        };
        let compiled = compile(&input.objects());
        prop_assert_eq!(compiled.verdicts.len(), 3);
    }
}
