//! The root of a tool's schema: the API takes an object there, without alternatives.

use super::references::pointed;
use crate::Text;
use crate::json::{Members, elements};
use crate::write::object;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// The schema of a tool without parameters.
pub(in crate::anthropic) const EMPTY: &str = "{\"type\":\"object\",\"properties\":{}}";
const ALTERNATIVES: [&str; 3] = ["anyOf", "oneOf", "allOf"];

/// A tool's schema with a root that the API takes, and whether it says less than before.
pub(in crate::anthropic) fn rooted(schema: Option<&str>) -> (Cow<'_, str>, bool) {
    let Some((schema, members)) = schema.and_then(|raw| Some((raw, Members::scan(raw).ok()?))) else {
        return (Cow::Borrowed(EMPTY), false);
    };
    let is_object = members.raw("type") == Some("\"object\"");
    if !is_object && members.get("type").is_some() || ALTERNATIVES.iter().any(|name| members.get(name).is_some()) {
        return (Cow::Owned(joined(&members)), true);
    }
    if is_object {
        return (Cow::Borrowed(schema), false);
    }
    let (at, more) = members.front();
    let (before, after) = schema.split_at_checked(at).unwrap_or((schema, ""));
    (Cow::Owned(format!("{before}\"type\":\"object\"{}{after}", if more { "," } else { "" })), false)
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
