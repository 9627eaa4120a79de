//! Each rule of the schema refuses what it must, with its message, and lets the rest pass.
//!
//! The rules run in process here (kube's CEL); the cases of `rules.yaml` also hold against a real API server.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "how a test fails")]

use kube::core::cel::Validator;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[derive(Deserialize)]
struct Case {
    kind: String,
    refused: Option<String>,
    old: Option<Value>,
    spec: Value,
}

fn cases() -> Vec<Case> {
    serde_yaml::from_str(include_str!("rules.yaml")).expect("the cases are well-formed")
}

fn schema(kind: &str) -> Value {
    let crd = weir_crds::manifests().into_iter().find(|crd| crd.spec.names.kind == kind).expect("a kind of ours");
    let schema = crd.spec.versions[0].schema.clone().and_then(|schema| schema.open_api_v3_schema);
    serde_json::to_value(schema.expect("a schema")).expect("a schema is JSON")
}

/// An explicit null of a nullable field counts as absent for the API server.
fn without_nulls(mut value: Value) -> Value {
    match &mut value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(|member| *member = without_nulls(member.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without_nulls(item.take())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    value
}

#[test]
fn each_case_meets_its_rule() {
    for case in cases() {
        let object =
            |spec: &Value| json!({"metadata": {"name": "a", "namespace": "b"}, "spec": without_nulls(spec.clone())});
        let old = case.old.as_ref().map(object);
        let met = Validator::new().validate(&schema(&case.kind), &object(&case.spec), old.as_ref());
        let messages: Vec<_> = met.err().map(|errors| errors.into_vec()).unwrap_or_default();
        let messages: Vec<_> = messages.into_iter().map(|error| error.message).collect();
        assert_eq!(messages, Vec::from_iter(case.refused), "{} {}", case.kind, case.spec);
    }
}

#[test]
fn every_rule_has_a_case() {
    fn messages(schema: &Value, into: &mut BTreeSet<String>) {
        match schema {
            Value::Object(members) => {
                for rule in members.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                    into.insert(rule["message"].as_str().expect("every rule has a message").to_owned());
                }
                members.values().for_each(|member| messages(member, into));
            }
            Value::Array(items) => items.iter().for_each(|item| messages(item, into)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut ruled = BTreeSet::new();
    for crd in weir_crds::manifests() {
        messages(&schema(&crd.spec.names.kind), &mut ruled);
    }
    let tested: BTreeSet<_> = cases().into_iter().filter_map(|case| case.refused).collect();
    assert_eq!(ruled, tested);
}

#[test]
fn every_passing_case_decodes() {
    for case in cases().into_iter().filter(|case| case.refused.is_none()) {
        let decoded = match case.kind.as_str() {
            "Budget" => serde_json::from_value::<weir_crds::BudgetSpec>(case.spec.clone()).err(),
            "Provider" => serde_json::from_value::<weir_crds::ProviderSpec>(case.spec.clone()).err(),
            _ => serde_json::from_value::<weir_crds::LLMRouteSpec>(case.spec.clone()).err(),
        };
        assert!(decoded.is_none(), "{} {}: {decoded:?}", case.kind, case.spec);
    }
}
