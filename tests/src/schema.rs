//! The structural schema of the kinds, walked: its rules, and which fields an object leaves out.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// One kind, as its manifest defines it.
pub struct Kind {
    /// Such as `Provider`.
    pub name: String,
    schema: Value,
}

/// All kinds.
pub fn kinds() -> Vec<Kind> {
    let definitions = weir_crds::manifests().into_iter();
    let kind = |definition| {
        let object: Value = serde_json::to_value(definition).expect("a definition is JSON");
        Kind {
            name: object["spec"]["names"]["kind"].as_str().expect("a kind has a name").to_owned(),
            schema: object["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone(),
        }
    };
    definitions.map(kind).collect()
}

/// The objects of a file.
pub fn read(path: &PathBuf) -> Vec<Value> {
    crate::helm::objects(&path.display().to_string(), &std::fs::read_to_string(path).expect("a manifest is text"))
}

impl Kind {
    /// The messages of all its rules.
    pub fn messages(&self) -> BTreeSet<String> {
        let mut messages = BTreeSet::new();
        collect_messages(&self.schema, &mut messages);
        messages
    }

    /// The object once for each optional field that it leaves out, with null there; and where that is.
    pub fn with_a_null(&self, object: &Value) -> Vec<(String, Value)> {
        let mut places = Vec::new();
        collect_absent(&self.schema["properties"]["spec"], &object["spec"], "/spec", &mut places);
        let nulled = places.into_iter().map(|(parent, name)| {
            let mut nulled = object.clone();
            let at = nulled.pointer_mut(&parent).expect("the parent is in the object");
            at[&name] = Value::Null;
            (format!("{parent}/{name}"), nulled)
        });
        nulled.collect()
    }

    /// The fields of an object that the schema does not know.
    pub fn unknown(&self, object: &Value) -> Vec<String> {
        let mut unknown = Vec::new();
        collect_unknown(&self.schema["properties"]["spec"], &object["spec"], "spec", &mut unknown);
        unknown
    }
}

fn collect_messages(schema: &Value, messages: &mut BTreeSet<String>) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        messages.insert(rule["message"].as_str().expect("every rule has a message").to_owned());
    }
    let children = schema["properties"].as_object().into_iter().flat_map(|properties| properties.values());
    for child in children.chain([&schema["items"], &schema["additionalProperties"]]) {
        if child.is_object() {
            collect_messages(child, messages);
        }
    }
}

fn collect_absent(schema: &Value, object: &Value, path: &str, places: &mut Vec<(String, String)>) {
    for (at, item) in object.as_array().into_iter().flatten().enumerate() {
        collect_absent(&schema["items"], item, &format!("{path}/{at}"), places);
    }
    let (Some(properties), true) = (schema["properties"].as_object(), object.is_object()) else { return };
    for (name, child) in properties {
        if object[name].is_null() {
            places.push((path.to_owned(), name.clone()));
        } else {
            collect_absent(child, &object[name], &format!("{path}/{name}"), places);
        }
    }
}

fn collect_unknown(schema: &Value, object: &Value, path: &str, unknown: &mut Vec<String>) {
    for item in object.as_array().into_iter().flatten() {
        collect_unknown(&schema["items"], item, path, unknown);
    }
    let Some(properties) = schema["properties"].as_object() else { return };
    for (name, value) in object.as_object().into_iter().flatten() {
        match properties.get(name) {
            Some(child) => collect_unknown(child, value, &format!("{path}.{name}"), unknown),
            None => unknown.push(format!("{path}.{name}")),
        }
    }
}
