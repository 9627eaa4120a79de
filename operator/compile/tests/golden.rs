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
use std::sync::Arc;
use weir_compile::{
    Alarm, Compiled, Compiler, KeySource, ObjectId, ObjectKind, Objects, Overlay, ReadKeys, Undecodable, compile,
    render,
};
use weir_snapshot::{FEATURES, Issuer, Name, ResourceId, Settings, Snapshot};

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
    /// The overlay, as its ConfigMap holds it.
    prices: Option<String>,
    #[serde(default)]
    key_sets: Vec<Read>,
    objects: Vec<Value>,
}

/// What reading a key set came to.
#[derive(Deserialize)]
struct Read {
    url: String,
    jwks: Option<String>,
    trouble: Option<String>,
}

impl Input {
    fn objects(&self) -> Objects {
        let mut objects = Objects {
            settings: Settings {
                platform_namespace: "platform".into(),
                allow_upstream_cidrs: self.allow_upstream_cidrs.clone(),
                forbidden_addresses: vec!["10.0.0.1".parse().expect("an address")],
                ..Settings::default()
            },
            allow_plaintext_namespaces: self.allow_plaintext_namespaces.clone(),
            in_cluster: !self.in_laptop,
            secrets_forbidden: self.secrets_forbidden.clone(),
            operator_account: "weir-system:weir-operator".into(),
            overlay: self.prices.as_ref().map(overlay),
            key_sets: self.key_sets.iter().map(Read::known).collect(),
            issuer: Some(Issuer { issuer: "https://issuer.example".into(), jwks: "{}".into() }),
            ..Objects::default()
        };
        self.objects.iter().for_each(|object| add(object, &mut objects));
        objects
    }
}

fn overlay(text: &String) -> Arc<Overlay> {
    let map = json!({"data": {"prices.yaml": text}});
    let map = serde_json::from_value(map).expect("a ConfigMap");
    Arc::new(Overlay::read(&map).expect("an overlay"))
}

impl Read {
    fn known(&self) -> (KeySource, ReadKeys) {
        let Self { url, jwks, trouble } = self;
        let read = ReadKeys { jwks: jwks.clone(), trouble: trouble.clone() };
        (KeySource { url: url.clone(), ca_pem: None }, read)
    }
}

fn add(object: &Value, objects: &mut Objects) {
    fn read<T: DeserializeOwned>(object: &Value) -> Arc<T> {
        Arc::new(serde_json::from_value(object.clone()).unwrap_or_else(|e| panic!("{e}: {object}")))
    }
    let undecodable = |kind, error: serde_json::Error| {
        let text = |member: &str| object["metadata"][member].as_str().unwrap_or_default().to_owned();
        let id = ObjectId { kind, name: Name::new(text("namespace"), text("name")) };
        Undecodable { id, generation: object["metadata"]["generation"].as_i64().unwrap_or(0), error: error.to_string() }
    };
    match object["kind"].as_str().expect("a kind") {
        "Provider" => match serde_json::from_value(object.clone()) {
            Ok(provider) => objects.providers.push(Arc::new(provider)),
            Err(error) => objects.undecodable.push(undecodable(ObjectKind::Provider, error)),
        },
        "LLMRoute" => match serde_json::from_value(object.clone()) {
            Ok(route) => objects.routes.push(Arc::new(route)),
            Err(error) => objects.undecodable.push(undecodable(ObjectKind::LLMRoute, error)),
        },
        "Budget" => match serde_json::from_value(object.clone()) {
            Ok(budget) => objects.budgets.push(Arc::new(budget)),
            Err(error) => objects.undecodable.push(undecodable(ObjectKind::Budget, error)),
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
    let mut snapshot: Value = serde_json::from_str(&render(&compiled.snapshot)).expect("render gives JSON");
    // The catalogue is no matter of a case, and long.
    let lists = snapshot.get_mut("Prices").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut);
    for list in lists.filter(|list| list.as_array().is_some_and(|entries| entries.len() > 20)) {
        *list = json!("the catalogue");
    }
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
                    if verdict.pending {
                        shown["pending"] = json!(true);
                    }
                    shown["budgets"] = json!(verdict.budgets.iter().map(ToString::to_string).collect::<Vec<_>>());
                }
                ObjectKind::Budget => shown["alarms"] = json!(compiled.alarms.get(&id.name).map(|all| alarms(all))),
            }
            (id.to_string(), shown)
        })
        .collect();
    let refused: BTreeMap<_, _> = compiled.refused_keys.iter().map(|(name, why)| (name.to_string(), why)).collect();
    let mut shown = json!({"snapshot": snapshot, "verdicts": verdicts, "refusedKeys": refused});
    if !compiled.key_sources.is_empty() {
        shown["keySources"] = compiled.key_sources.iter().map(|source| source.url.clone()).collect();
        shown["keySetsMissing"] = compiled.key_sets_missing.iter().map(ToString::to_string).collect();
    }
    shown
}

fn alarms(all: &[Alarm]) -> Vec<String> {
    let alarm = |alarm: &Alarm| {
        let webhook = alarm.webhook.as_ref().map(|held| (held.url.fingerprint(), held.signing_key.fingerprint()));
        format!("{} event {} webhook {webhook:?}", alarm.percent, alarm.event)
    };
    all.iter().map(alarm).collect()
}

fn bytes(snapshot: &Snapshot) -> BTreeMap<&ResourceId, Vec<u8>> {
    snapshot.resources.iter().map(|(id, sealed)| (id, sealed.resource.body().expect("a body"))).collect()
}

#[test]
fn pods_are_told_of_each_feature_and_of_no_other() {
    let compiled: Vec<_> = cases().iter().map(|case| compile(&input(case).objects())).collect();
    let needed: BTreeSet<_> = compiled
        .iter()
        .flat_map(|c| c.snapshot.resources.values())
        .flat_map(|sealed| sealed.resource.needs())
        .collect();
    assert_eq!(needed, FEATURES.iter().copied().collect());
}

#[test]
fn no_secret_is_shown() {
    for case in cases() {
        let text = shown(&compile(&input(&case).objects())).to_string();
        assert!(!text.contains("sk-"), "{}", case.display());
    }
}

/// One object of some case, which may be there or not.
struct Piece {
    value: Value,
    parsed: Objects,
    there: bool,
}

impl Piece {
    fn new(value: Value) -> Self {
        let mut parsed = Objects::default();
        add(&value, &mut parsed);
        Self { value, parsed, there: true }
    }
}

/// The objects of all cases, as one cluster.
fn pieces() -> Vec<Piece> {
    cases().iter().flat_map(|case| input(case).objects).map(Piece::new).collect()
}

fn together(pieces: &[Piece], surroundings: &Objects) -> Objects {
    let mut all = surroundings.clone();
    for Piece { parsed, .. } in pieces.iter().filter(|piece| piece.there) {
        all.providers.extend_from_slice(&parsed.providers);
        all.routes.extend_from_slice(&parsed.routes);
        all.budgets.extend_from_slice(&parsed.budgets);
        all.undecodable.extend_from_slice(&parsed.undecodable);
        all.secrets.extend_from_slice(&parsed.secrets);
        all.config_maps.extend_from_slice(&parsed.config_maps);
        all.namespaces.extend_from_slice(&parsed.namespaces);
        all.service_accounts.extend_from_slice(&parsed.service_accounts);
        all.endpoint_slices.extend_from_slice(&parsed.endpoint_slices);
    }
    all
}

/// Changes one thing: an object comes or goes, is read anew as it is or with the content of another of its
/// kind, or the operator's own rights and flags change.
fn change(pieces: &mut [Piece], surroundings: &mut Objects, (which, other, what): (usize, usize, u8)) {
    let (which, other) = (which % pieces.len(), other % pieces.len());
    match what {
        0 => pieces[which].there = !pieces[which].there,
        1 => pieces[which] = Piece::new(pieces[which].value.clone()),
        2 if pieces[which].value["kind"] == pieces[other].value["kind"] => {
            let mut value = pieces[other].value.clone();
            value["metadata"]["namespace"] = pieces[which].value["metadata"]["namespace"].clone();
            value["metadata"]["name"] = pieces[which].value["metadata"]["name"].clone();
            pieces[which] = Piece::new(value);
        }
        2 => {}
        3 if !surroundings.secrets_forbidden.remove("a") => drop(surroundings.secrets_forbidden.insert("a".into())),
        3 => {}
        4 => {
            let text = format!("{{exchangeRates: {{USD/EUR: \"0.{}\"}}}}", other % 2 + 1);
            surroundings.overlay = surroundings.overlay.is_none().then(|| overlay(&text));
        }
        _ => surroundings.in_cluster = !surroundings.in_cluster,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn what_is_kept_between_compilations_changes_nothing(
        steps in prop::collection::vec((any::<usize>(), any::<usize>(), 0..6_u8), 1..200),
    ) {
        let (mut pieces, mut surroundings, mut compiler) = (pieces(), Objects::default(), Compiler::default());
        for step in steps {
            change(&mut pieces, &mut surroundings, step);
            let objects = together(&pieces, &surroundings);
            let (kept, whole) = (compiler.compile(&objects), compile(&objects));
            prop_assert_eq!(bytes(&kept.snapshot), bytes(&whole.snapshot), "{:?}", step);
            prop_assert_eq!(kept.verdicts, whole.verdicts, "{:?}", step);
            prop_assert_eq!(kept.refused_keys, whole.refused_keys, "{:?}", step);
            prop_assert_eq!(kept.key_sources, whole.key_sources, "{:?}", step);
            prop_assert_eq!(kept.key_sets_missing, whole.key_sets_missing, "{:?}", step);
            prop_assert!(kept.alarms == whole.alarms, "{step:?}");
        }
    }

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
                "access": {"serviceAccounts": [{"namespace": text, "name": text, "models": [text]}],
                    "certificates": [{"subject": text, "models": [text]}], "jwt": [
                    {"issuer": text, "audiences": [text, text], "jwksUrl": format!("https://{text}?{text}"),
                        "caConfigMapRef": {"name": text}, "groups": [{"name": text, "models": [text]}]}]},
                "rules": [{"targets": [{"name": text, "providerRef": {"name": text, "namespace": text}}]}, {"targets": []}]}},
            {"kind": "Budget", "metadata": {"namespace": text, "name": "b"}, "spec": {
                "limits": [{"unit": text, "amount": text}, {"unit": "Tokens", "amount": text}],
                "window": {"calendar": {"every": "Week", "timeZone": text}}, "parentRef": {"name": text},
                "selector": {"models": [text], "serviceAccounts": [{"namespace": text, "name": text}]},
                "thresholds": [{"percent": 7, "webhookRef": {"name": text}}],
                "reservation": {"estimate": "Fixed", "fixedAmount": text}}},
            {"kind": "Secret", "metadata": {"namespace": text, "name": "k", "labels": {"weir.dev/api-key": text}},
                "data": {"current": "", "plaintext": ""}},
        ]);
        let input = Input {
            allow_plaintext_namespaces: BTreeSet::new(),
            allow_upstream_cidrs: Vec::new(),
            in_laptop: false,
            secrets_forbidden: BTreeSet::new(),
            prices: None,
            key_sets: Vec::new(),
            objects: hostile.as_array().cloned().unwrap_or_default(),
        };
        let compiled = compile(&input.objects());
        prop_assert_eq!(compiled.verdicts.len(), 4);
    }
}
