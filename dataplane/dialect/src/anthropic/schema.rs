//! A JSON schema within what Anthropic's structured output takes: objects closed, unsupported keywords
//! taken out and said in the description. The order of properties stays.
//!
//! Source: Anthropic's documentation of structured outputs.

use crate::Text;
use crate::json::{Members, elements};
use crate::write::{Array, Object, object};

/// Keywords that the API refuses.
const UNSUPPORTED: &[&str] = &[
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
];
/// Keywords whose value is a schema, a list of schemas, or schemas by name.
const SCHEMA: &[&str] = &["items", "not", "additionalItems"];
const SCHEMAS: &[&str] = &["anyOf", "allOf", "oneOf", "prefixItems"];
const SCHEMAS_BY_NAME: &[&str] = &["properties", "$defs", "definitions"];

/// The schema as the API takes it; what is no object stays as it is.
pub(super) fn adapted(schema: &str) -> String {
    let mut out = Vec::with_capacity(schema.len() + 64);
    match Members::scan(schema) {
        Ok(members) => object(&mut out, |o| write(o, &members)),
        Err(_) => return schema.to_owned(),
    }
    String::from_utf8(out).unwrap_or_else(|_| schema.to_owned())
}

fn write(o: &mut Object<'_>, members: &Members<'_>) {
    let mut said = Vec::new();
    for member in members.iter() {
        let (name, raw) = (&*member.name, members.text_of(member));
        if UNSUPPORTED.contains(&name) {
            said.push(Text::of(&format!("{name}: {raw}")));
        } else if SCHEMA.contains(&name) && raw.starts_with('{') {
            nested(o, name, raw);
        } else if SCHEMAS.contains(&name) {
            let list = elements(raw).unwrap_or_default();
            o.array(name, |out| list.iter().for_each(|schema| element(out, schema)));
        } else if SCHEMAS_BY_NAME.contains(&name) {
            match Members::scan(raw) {
                Ok(by_name) => o.object(name, |o| {
                    by_name.iter().for_each(|member| nested(o, &member.name, by_name.text_of(member)));
                }),
                Err(_) => o.raw(name, raw),
            }
        } else if name != "additionalProperties" && (name != "description" || !has_unsupported(members)) {
            o.raw(name, raw);
        }
    }
    if !said.is_empty() {
        said.splice(0..0, members.raw("description").and_then(Text::literal).map(Text::into_owned));
        o.text("description", &Text::joined(&said, "; "));
    }
    if members.raw("type").is_some_and(|kind| kind.contains("\"object\"")) || members.get("properties").is_some() {
        o.value("additionalProperties", false);
    }
}

fn has_unsupported(members: &Members<'_>) -> bool {
    members.iter().any(|member| UNSUPPORTED.contains(&&*member.name))
}

fn nested(o: &mut Object<'_>, name: &str, schema: &str) {
    match Members::scan(schema) {
        Ok(members) => o.object(name, |o| write(o, &members)),
        Err(_) => o.raw(name, schema),
    }
}

fn element(list: &mut Array<'_>, schema: &str) {
    match Members::scan(schema) {
        Ok(members) => list.object(|o| write(o, &members)),
        Err(_) => list.raw(schema),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_closed_and_what_the_api_refuses_is_said_instead_t61_t69_t77() {
        let schema = r#"{"type":"object","properties":{"z":{"type":"integer","minimum":1,"description":"a count"},
            "a":{"type":"array","items":{"type":"object","properties":{"pattern":{"type":"string","maxLength":3}}}},
            "u":{"anyOf":[{"type":"string","pattern":"^a"},{"type":"null"}]}},"required":["z"],"additionalProperties":true}"#;
        assert_eq!(
            adapted(schema),
            concat!(
                r#"{"type":"object","properties":{"z":{"type":"integer","description":"a count; minimum: 1"},"#,
                r#""a":{"type":"array","items":{"type":"object","properties":{"pattern":{"type":"string","description":"maxLength: 3"}},"#,
                r#""additionalProperties":false}},"u":{"anyOf":[{"type":"string","description":"pattern: \"^a\""},{"type":"null"}]}},"#,
                r#""required":["z"],"additionalProperties":false}"#
            )
        );
        assert_eq!(adapted("true"), "true");
    }
}
