//! Whether OpenAI takes a schema for a strict tool.
//!
//! Source: OpenAI's documentation of structured outputs. Anthropic's strict tools may have optional properties, which
//! these may not.

use crate::Text;
use crate::json::{Members, elements};

/// Keywords that are taken, but those whose value is looked into.
const TAKEN: &[&str] = &[
    "$ref",
    "$schema",
    "additionalProperties",
    "const",
    "description",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "multipleOf",
    "pattern",
    "required",
    "title",
    "type",
];

/// Whether every object is closed and requires all of its properties, and no keyword is refused.
pub(super) fn is_strict(schema: &str) -> bool {
    Members::scan(schema).is_ok_and(|root| root.get("anyOf").is_none() && is_object(&root) && fits(schema))
}

fn fits(schema: &str) -> bool {
    let Ok(members) = Members::scan(schema) else { return false };
    let each = |name: &str| match Members::scan(members.raw(name).unwrap_or("{}")) {
        Ok(held) => held.iter().all(|member| fits(held.text_of(member))),
        Err(_) => false,
    };
    let keywords = members.iter().all(|member| match &*member.name {
        name @ ("properties" | "$defs" | "definitions") => each(name),
        "items" => fits(members.text_of(member)),
        "anyOf" => elements(members.text_of(member)).is_ok_and(|list| list.into_iter().all(fits)),
        name => TAKEN.contains(&name),
    });
    keywords && (!is_object(&members) || is_closed(&members))
}

fn is_object(members: &Members<'_>) -> bool {
    members.raw("type").is_some_and(|kind| kind.contains("\"object\"")) || members.get("properties").is_some()
}

fn is_closed(members: &Members<'_>) -> bool {
    let required = members.raw("required").and_then(|raw| elements(raw).ok()).unwrap_or_default();
    let required: Vec<_> = required.into_iter().filter_map(Text::literal).map(Text::into_plain).collect();
    let properties = Members::scan(members.raw("properties").unwrap_or("{}"));
    let all = properties.is_ok_and(|held| held.iter().all(|member| required.contains(&member.name)));
    all && members.raw("additionalProperties") == Some("false")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_object_is_closed_and_requires_all_of_its_properties() {
        let inner = json!({"type": "object", "properties": {"b": {"type": ["string", "null"]}}, "required": ["b"], "additionalProperties": false});
        let good = json!({"type": "object", "properties": {"a": {"type": "array", "items": inner}, "c": {"$ref": "#/$defs/C"}},
            "required": ["a", "c"], "additionalProperties": false, "$defs": {"C": {"anyOf": [{"enum": ["x"]}, {"type": "integer", "minimum": 1}]}}});
        assert!(is_strict(&good.to_string()));
        for (place, value) in [
            ("/additionalProperties", json!(true)),
            ("/required", json!(["a"])),
            ("/properties/a/items/additionalProperties", json!({"type": "string"})),
            ("/properties/a/items/required", json!([])),
            ("/properties/a/items/properties/b", json!({"type": "string", "default": "x"})),
            ("/properties/a/items/properties/b", json!({"oneOf": [{"type": "string"}]})),
            ("/$defs/C", json!({"type": "object", "patternProperties": {}, "additionalProperties": false})),
            ("/properties/a/items", json!(true)),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(place).unwrap() = value;
            assert!(!is_strict(&bad.to_string()), "{bad}");
        }
        assert!(!is_strict("{}"));
        assert!(!is_strict(r#"{"anyOf":[{"type":"string"}]}"#));
    }
}
