//! The root of a tool's schema: both vendors take an object there, with its properties and without alternatives.

use crate::Text;
use crate::json::{Members, elements};
use crate::write::object;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// The schema of a tool without parameters.
pub(crate) const EMPTY: &str = "{\"type\":\"object\",\"properties\":{}}";
const ALTERNATIVES: [&str; 3] = ["anyOf", "oneOf", "allOf"];

/// A tool's schema with a root that the API takes, and whether it says less than before.
pub(crate) fn rooted(schema: Option<&str>) -> (Cow<'_, str>, bool) {
    let Some((schema, members)) = schema.and_then(|raw| Some((raw, Members::scan(raw).ok()?))) else {
        return (Cow::Borrowed(EMPTY), false);
    };
    let is_object = members.raw("type") == Some("\"object\"");
    if !is_object && members.get("type").is_some() || ALTERNATIVES.iter().any(|name| members.get(name).is_some()) {
        return (Cow::Owned(joined(&members)), true);
    }
    let given = [("type", "\"object\""), ("properties", "{}")];
    let missing: Vec<_> = given.into_iter().filter(|(name, _)| members.get(name).is_none()).collect();
    if missing.is_empty() {
        return (Cow::Borrowed(schema), false);
    }
    let (at, more) = members.front();
    let (before, after) = schema.split_at_checked(at).unwrap_or((schema, ""));
    let added: Vec<String> = missing.into_iter().map(|(name, json)| format!("\"{name}\":{json}")).collect();
    (Cow::Owned(format!("{before}{}{}{after}", added.join(","), if more { "," } else { "" })), false)
}

/// An object with the properties of the root and of all its alternatives. What goes with what is said in the
/// description.
fn joined(root: &Members<'_>) -> String {
    let mut parts = vec![root.json()];
    let (mut required, mut said) = (words(root, "required"), Vec::new());
    said.extend(root.raw("description").and_then(Text::literal).map(Text::into_owned));
    for name in ALTERNATIVES {
        let Some(raw) = root.raw(name) else { continue };
        for part in elements(raw).unwrap_or_default() {
            let part = referred(root, part).unwrap_or(part);
            parts.push(part);
            if let Some(members) = Members::scan(part).ok().filter(|_| name == "allOf") {
                required.extend(words(&members, "required"));
            }
        }
        said.push(Text::of(&format!("{name}: {raw}")));
    }
    let mut out = Vec::with_capacity(root.json().len() * 2);
    object(&mut out, |o| {
        o.str("type", "object");
        o.object("properties", |o| {
            let mut named = BTreeSet::new();
            for part in parts {
                let Some(held) = Members::scan(part).ok().and_then(|part| Members::scan(part.raw("properties")?).ok())
                else {
                    continue;
                };
                for member in held.iter() {
                    if named.insert(member.name.to_string()) {
                        o.raw(&member.name, held.text_of(member));
                    }
                }
            }
        });
        required.dedup();
        if !required.is_empty() {
            o.array("required", |list| required.iter().for_each(|name| list.raw(name)));
        }
        let written = |name: &str| matches!(name, "type" | "properties" | "required" | "description");
        for member in root.iter().filter(|member| !written(&member.name) && !ALTERNATIVES.contains(&&*member.name)) {
            o.raw(&member.name, root.text_of(member));
        }
        if !said.is_empty() {
            o.text("description", &Text::joined(&said, "; "));
        }
    });
    String::from_utf8(out).unwrap_or_default()
}

/// The JSON of the strings in a list.
fn words<'a>(members: &Members<'a>, name: &str) -> Vec<&'a str> {
    members.raw(name).and_then(|raw| elements(raw).ok()).unwrap_or_default()
}

/// What a schema names that is nothing but a reference.
fn referred<'a>(root: &Members<'a>, schema: &str) -> Option<&'a str> {
    let members = Members::scan(schema).ok()?;
    let reference = members.raw("$ref").and_then(Text::literal)?;
    pointed(root.json(), &reference.plain())
}

/// What a reference within the document names; the whole document is none, since it holds the reference.
pub(crate) fn pointed<'a>(root: &'a str, reference: &str) -> Option<&'a str> {
    reference.strip_prefix("#/")?.split('/').try_fold(root, |at, step| {
        let step = step.replace("~1", "/").replace("~0", "~").replace("%24", "$");
        match Members::scan(at) {
            Ok(members) => members.raw(&step),
            Err(_) => elements(at).ok()?.get(step.parse::<usize>().ok()?).copied(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_root_of_a_tool_is_an_object() {
        let root = |schema: Value| {
            let text = schema.to_string();
            let (out, lost) = rooted(Some(&text));
            (serde_json::from_str::<Value>(&out).unwrap(), lost)
        };
        assert_eq!(rooted(None).0, r#"{"type":"object","properties":{}}"#);
        assert_eq!(root(json!({})), (json!({"type": "object", "properties": {}}), false));
        assert_eq!(root(json!({"type": "object"})), (json!({"type": "object", "properties": {}}), false));
        let plain = json!({"properties": {"a": {"type": "string", "minLength": 1}}});
        assert_eq!(
            root(plain),
            (json!({"type": "object", "properties": {"a": {"type": "string", "minLength": 1}}}), false)
        );
        let (out, lost) = root(json!({"description": "d", "anyOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}, {"$ref": "#/$defs/B"}],
            "$defs": {"B": {"type": "object", "properties": {"b": {"type": "integer"}, "a": {"type": "null"}}}}}));
        assert!(lost);
        assert_eq!(out["properties"], json!({"a": {"type": "string"}, "b": {"type": "integer"}}));
        assert_eq!((&out["type"], out.get("anyOf"), out.get("required")), (&json!("object"), None, None));
        assert!(out["description"].as_str().unwrap().starts_with("d; anyOf: ["), "{out}");
        let (out, _) = root(
            json!({"type": "object", "properties": {"z": {}}, "required": ["z"], "allOf": [{"properties": {"y": {}}, "required": ["y"]}]}),
        );
        assert_eq!((&out["required"], &out["properties"]), (&json!(["z", "y"]), &json!({"z": {}, "y": {}})));
    }

    #[test]
    fn garbage_never_panics() {
        bolero::check!().with_max_len(2048).for_each(|bytes| {
            drop(std::str::from_utf8(bytes).map(|text| rooted(Some(text))));
        });
    }
}
