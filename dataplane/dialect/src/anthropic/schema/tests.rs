//! Schemas as they are sent, and those that are not.

use super::*;
use serde_json::{Value, json};

fn sent(schema: &Value) -> Result<(Value, bool), String> {
    let text = schema.to_string();
    let adapted = adapted(&text, Path::Root.member("schema")).map_err(|Unheld(why)| why)?;
    let read = serde_json::from_str(&adapted.json);
    Ok((read.unwrap_or_else(|e| panic!("{e}: {}", adapted.json)), adapted.narrowed))
}

#[test]
fn objects_are_closed_and_what_the_api_refuses_is_said_instead_t61_t69_t77() {
    let schema = r#"{"type":"object","properties":{"z":{"type":"integer","minimum":1,"description":"a count"},
        "a":{"type":"array","items":{"type":"object","properties":{"pattern":{"type":"string","maxLength":3}}}},
        "u":{"anyOf":[{"type":"string","pattern":"^a"},{"type":"null"}]}},"required":["z"]}"#;
    let adapted = adapted(schema, Path::Root.member("schema")).map_err(|Unheld(why)| why).unwrap();
    assert_eq!(
        adapted.json,
        concat!(
            r#"{"type":"object","properties":{"z":{"type":"integer","description":"a count; minimum: 1"},"#,
            r#""a":{"type":"array","items":{"type":"object","properties":{"pattern":{"type":"string","description":"maxLength: 3"}},"#,
            r#""additionalProperties":false}},"u":{"anyOf":[{"type":"string","description":"pattern: \"^a\""},{"type":"null"}]}},"#,
            r#""required":["z"],"additionalProperties":false}"#
        )
    );
}

#[test]
fn each_keyword_goes_where_the_official_sdk_puts_it() {
    for (schema, expected) in [
        (json!({"type": "string", "format": "date-time"}), json!({"type": "string", "format": "date-time"})),
        (json!({"type": "string", "format": "path"}), json!({"type": "string", "description": "format: \"path\""})),
        (json!({"type": "integer", "format": "int32"}), json!({"type": "integer", "description": "format: \"int32\""})),
        (
            json!({"type": "number", "exclusiveMaximum": 2, "multipleOf": 0.5}),
            json!({"type": "number", "description": "exclusiveMaximum: 2; multipleOf: 0.5"}),
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "minItems": 1}),
            json!({"type": "array", "items": {"type": "string"}, "minItems": 1}),
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "minItems": 2, "uniqueItems": true}),
            json!({"type": "array", "items": {"type": "string"}, "description": "minItems: 2; uniqueItems: true"}),
        ),
        (
            json!({"type": "array", "prefixItems": [{"type": "string"}], "uniqueItems": false}),
            json!({"type": "array", "description": "prefixItems: [{\"type\":\"string\"}]"}),
        ),
    ] {
        assert_eq!(sent(&schema), Ok((expected, false)), "{schema}");
    }
}

#[test]
fn values_unions_and_references_go_where_the_official_sdk_puts_them() {
    for (schema, expected) in [
        (json!({"enum": ["a", 1, null]}), json!({"enum": ["a", 1, null]})),
        (json!({"type": ["string", "null"], "enum": ["a", null]}), json!({"enum": ["a", null]})),
        (json!({"type": "string", "const": "a"}), json!({"const": "a"})),
        (json!({"const": null}), json!({"const": null})),
        (
            json!({"type": "object", "enum": [{"a": 1}], "properties": {"a": {"type": "integer"}}}),
            json!({"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": false, "description": "enum: [{\"a\":1}]"}),
        ),
        (
            json!({"oneOf": [{"type": "string"}, {"type": "integer"}], "discriminator": {"propertyName": "k"}}),
            json!({"anyOf": [{"type": "string"}, {"type": "integer"}], "description": "discriminator: {\"propertyName\":\"k\"}"}),
        ),
        (
            json!({"allOf": [{"type": "string"}], "description": "d"}),
            json!({"anyOf": [{"type": "string"}], "description": "d"}),
        ),
        (
            json!({"type": ["string", "null"], "maxLength": 3}),
            json!({"anyOf": [{"type": "string"}, {"type": "null"}], "description": "maxLength: 3"}),
        ),
        (
            json!({"type": ["array", "null"], "items": {"type": "integer"}}),
            json!({"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]}),
        ),
        (json!({"type": ["string"]}), json!({"type": "string"})),
        (
            json!({"type": "string", "nullable": true, "deprecated": false}),
            json!({"type": "string", "description": "nullable: true"}),
        ),
        (
            json!({"type": "string", "title": "T", "default": "x", "$comment": "c", "examples": ["e"]}),
            json!({"type": "string", "title": "T", "default": "x", "description": "examples: [\"e\"]"}),
        ),
        (
            json!({"properties": {"a": {"type": "null"}}}),
            json!({"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": false}),
        ),
        (
            json!({"type": "object", "properties": {}, "$schema": "x"}),
            json!({"type": "object", "properties": {}, "additionalProperties": false}),
        ),
        (
            json!({"type": "object", "additionalProperties": false}),
            json!({"type": "object", "properties": {}, "additionalProperties": false}),
        ),
        (
            json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": "string", "minLength": 1}}}),
            json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": "string", "description": "minLength: 1"}}}),
        ),
        (
            json!({"type": "object", "properties": {"a": {"$ref": "#/definitions/A", "description": "d"}, "b": {"$ref": "#/definitions/A"}}, "definitions": {"A": {"type": "string"}}}),
            json!({"type": "object", "properties": {"a": {"anyOf": [{"$ref": "#/definitions/A"}], "description": "d"}, "b": {"$ref": "#/definitions/A"}}, "definitions": {"A": {"type": "string"}}, "additionalProperties": false}),
        ),
    ] {
        assert_eq!(sent(&schema), Ok((expected, false)), "{schema}");
    }
}

#[test]
fn what_no_closed_schema_can_hold_is_named_with_its_place() {
    let node = json!({"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}}});
    for (schema, place) in [
        (json!({}), "`schema` allows any value"),
        (json!({"title": "T"}), "`schema` allows any value"),
        (json!({"type": "object"}), "`schema` is an object of any members"),
        (
            json!({"type": "object", "additionalProperties": {"type": "integer"}}),
            "`schema` is an object of any members",
        ),
        (
            json!({"type": "object", "properties": {}, "additionalProperties": true}),
            "`schema` is an object of any members",
        ),
        (
            json!({"type": "object", "patternProperties": {"^a": {"type": "string"}}}),
            "`schema` is an object of any members",
        ),
        (
            json!({"type": "object", "properties": {"m": {"type": "object", "additionalProperties": {"type": "integer"}}}}),
            "`schema.properties.m` is an object of any members",
        ),
        (json!({"type": "array", "items": {"type": ["object", "null"]}}), "`schema.items` is an object of any members"),
        (json!({"type": "array", "items": {}}), "`schema.items` allows any value"),
        (json!({"type": "object", "properties": {"a": true}}), "`schema.properties.a` allows any value"),
        (json!({"anyOf": [{"type": "string"}, {"minimum": 1}]}), "`schema.anyOf[1]` allows any value"),
        (json!({"allOf": [{"type": "string"}, {"type": "string"}]}), "`schema` joins several schemas"),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"required": ["a"]}]}),
            "`schema` has alternatives beside",
        ),
        (json!({"$ref": "#/$defs/N", "$defs": {"N": node}}), "`schema` refers to itself"),
        (json!({"type": "object", "properties": {"a": {"$ref": "#"}}}), "`schema` refers to itself"),
        (
            json!({"type": "object", "properties": {"a": {"type": "array", "items": {"$ref": "#/properties/a"}}}}),
            "`schema` refers to itself",
        ),
        (
            json!({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}}),
            "`schema` refers to itself",
        ),
        (json!({"$ref": "https://example.com/schema"}), "`schema` refers to itself, to another document"),
        (json!({"$ref": "#/$defs/absent"}), "`schema` refers to itself, to another document, or to nothing"),
    ] {
        let why = sent(&schema).expect_err(&schema.to_string());
        assert!(why.starts_with(place), "{schema}: {why}");
    }
}

#[test]
fn an_open_object_with_properties_is_closed_and_told_to_be_narrower() {
    for more in [
        json!({"additionalProperties": true}),
        json!({"additionalProperties": {"type": "string"}}),
        json!({"patternProperties": {"^x": {"type": "string"}}}),
    ] {
        let mut schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        schema.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let closed = json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
        assert_eq!(sent(&schema), Ok((closed, true)), "{schema}");
    }
}

#[test]
fn garbage_never_panics() {
    bolero::check!().with_max_len(2048).for_each(|bytes| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            drop(adapted(text, Path::Root));
        }
    });
}
