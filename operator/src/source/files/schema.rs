//! The checks that an API server would make: the schema of each kind and its rules, from the manifests
//! themselves. Beyond them a field that the kind does not have is refused, where a cluster would drop it.

use super::complaint::Complaint;
use super::node::Document;
use kube::core::cel::Validator;
use regex::Regex;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The schemas by kind.
pub(super) struct Kinds(BTreeMap<String, Value>);

impl Kinds {
    pub(super) fn new() -> Self {
        let schemas = weir_crds::manifests().into_iter().filter_map(|crd| {
            let version = crd.spec.versions.into_iter().next()?;
            let schema = serde_json::to_value(version.schema?.open_api_v3_schema?).ok()?;
            Some((crd.spec.names.kind, schema))
        });
        Self(schemas.collect())
    }

    /// All that speaks against an object, rules only once the schema has nothing to say.
    pub(super) fn complaints(&self, document: &Document) -> Vec<Complaint> {
        let kind = document.value.get("kind").and_then(Value::as_str).unwrap_or_default();
        let Some(schema) = self.0.get(kind) else { return Vec::new() };
        let mut found = Vec::new();
        check(schema, &document.value, "", &mut found);
        if found.is_empty() {
            let rules = Validator::new().validate(schema, &without_nulls(document.value.clone()), None);
            let errors = rules.err().map(kube::core::cel::ValidationErrors::into_vec).unwrap_or_default();
            found.extend(errors.into_iter().map(|error| (error.field_path, error.message)));
        }
        found.into_iter().map(|(field, message)| document.complaint(&field, message)).collect()
    }
}

/// What the schema says against a value, as field and message.
fn check(schema: &Value, value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    let mut complain = |message: String| found.push((path.to_owned(), message));
    if value.is_null() {
        if schema.get("nullable") != Some(&Value::Bool(true)) {
            complain("must not be null: give a value, or leave it out".into());
        }
        return;
    }
    if schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        if !(value.is_i64() || value.is_u64() || value.is_string()) {
            complain("must be a whole number or a text".into());
        }
        return;
    }
    let wanted = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    if !is_of(wanted, value) {
        return complain(format!("must be {}", article(wanted)));
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        let allowed: Vec<_> = allowed.iter().filter_map(Value::as_str).collect();
        complain(format!("must be one of {}", allowed.join(", ")));
    }
    match value {
        Value::String(text) => check_text(schema, text, &mut complain),
        Value::Number(number) => check_number(schema, number.as_f64().unwrap_or_default(), &mut complain),
        Value::Array(items) => check_list(schema, items, path, found),
        Value::Object(members) => check_map(schema, members, path, found),
        Value::Null | Value::Bool(_) => {}
    }
}

fn check_text(schema: &Value, text: &str, complain: &mut impl FnMut(String)) {
    let length = text.chars().count() as u64;
    if schema.get("minLength").and_then(Value::as_u64).is_some_and(|least| length < least) {
        complain("must not be empty or so short".into());
    }
    if let Some(most) = schema.get("maxLength").and_then(Value::as_u64)
        && length > most
    {
        complain(format!("must not be longer than {most} characters"));
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && Regex::new(pattern).is_ok_and(|regex| !regex.is_match(text))
    {
        complain(format!("{text:?} does not have the form {pattern}"));
    }
}

fn check_number(schema: &Value, number: f64, complain: &mut impl FnMut(String)) {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    if let Some(least) = bound("minimum").filter(|least| number < *least) {
        complain(format!("must be at least {least}"));
    }
    if let Some(most) = bound("maximum").filter(|most| number > *most) {
        complain(format!("must be at most {most}"));
    }
}

fn check_list(schema: &Value, items: &[Value], path: &str, found: &mut Vec<(String, String)>) {
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
    let length = items.len() as u64;
    if let Some(least) = bound("minItems").filter(|least| length < *least) {
        found.push((path.to_owned(), format!("needs at least {least} entries")));
    }
    if let Some(most) = bound("maxItems").filter(|most| length > *most) {
        found.push((path.to_owned(), format!("may have at most {most} entries")));
    }
    let keys: Option<Vec<&str>> = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => Some(Vec::new()),
        Some("map") => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            Some(keys.into_iter().flatten().filter_map(Value::as_str).collect())
        }
        _ => None,
    };
    for (n, item) in items.iter().enumerate() {
        let same = |other: &Value| match &keys {
            None => false,
            Some(keys) if keys.is_empty() => other == item,
            Some(keys) => keys.iter().all(|key| other.get(key) == item.get(key)),
        };
        if items.iter().take(n).any(same) {
            let by = keys
                .as_ref()
                .map(|keys| keys.join(" and "))
                .filter(|by| !by.is_empty())
                .unwrap_or_else(|| "value".into());
            found.push((format!("{path}[{n}]"), format!("is there twice: its {by} must be its own")));
        }
        if let Some(schema) = schema.get("items") {
            check(schema, item, &format!("{path}[{n}]"), found);
        }
    }
}

fn check_map(schema: &Value, members: &Map<String, Value>, path: &str, found: &mut Vec<(String, String)>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(name) {
            found.push((below(name), "is missing".into()));
        }
    }
    let known = schema.get("properties").and_then(Value::as_object);
    let any = schema.get("additionalProperties");
    for (name, value) in members {
        match (known.and_then(|known| known.get(name)), any) {
            (Some(schema), _) | (None, Some(schema)) if schema.is_object() => check(schema, value, &below(name), found),
            _ if path.is_empty() && matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status") => {}
            _ => {
                let known: Vec<_> = known.into_iter().flat_map(Map::keys).map(String::as_str).collect();
                found.push((below(name), format!("is no field here; there are {}", known.join(", "))));
            }
        }
    }
}

fn is_of(wanted: &str, value: &Value) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

fn article(wanted: &str) -> &'static str {
    match wanted {
        "object" => "a map of fields",
        "array" => "a list",
        "string" => "a text; quote it if it looks like something else",
        "boolean" => "true or false",
        "integer" => "a whole number",
        _ => "a number",
    }
}

/// An explicit null of a nullable field counts as absent.
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
