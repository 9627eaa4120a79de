//! A JSON schema within what Anthropic's structured output takes: objects closed, keywords that it refuses said in the
//! description, type lists and `oneOf` as `anyOf`. The order of properties stays.
//!
//! What cannot be held by such a schema (any value, an object of any members, a schema that contains itself) is an
//! error that names its place.
//!
//! Sources: `transform_schema` of the official anthropic SDK, and Anthropic's documentation of structured outputs.

mod references;

use crate::Text;
use crate::fields::Path;
use crate::json::{Members, elements};
use crate::write::{Array, Object, object};
use references::refers_in_circles;

/// Formats of strings that the API takes.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];
/// What says nothing of the value.
const REMARKS: [&str; 3] = ["$schema", "$id", "$comment"];
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];
/// Members whose value stays as it is.
const KEPT: [&str; 2] = ["title", "default"];

/// A schema that the API takes.
pub(super) struct Adapted {
    pub(super) json: String,
    /// Whether an object lost members beside its properties that it could have had.
    pub(super) narrowed: bool,
}

/// Why a schema cannot be held: where, and what to change.
pub(super) struct Unheld(pub(super) String);

/// The schema as the API takes it. `path` is where it stands.
pub(super) fn adapted(schema: &str, path: Path<'_>) -> Result<Adapted, Unheld> {
    let members = scan(schema, &path)?;
    if refers_in_circles(&members) {
        return Err(unheld(&path, "refers to itself, to another document, or to nothing; write it out"));
    }
    let mut out = Vec::with_capacity(schema.len() + 64);
    let mut writer = Writer { narrowed: false };
    object(&mut out, |o| writer.schema(o, &members, &path))?;
    let json = String::from_utf8(out).unwrap_or_default();
    Ok(Adapted { json, narrowed: writer.narrowed })
}

fn unheld(path: &Path<'_>, why: &str) -> Unheld {
    Unheld(format!("`{path}` {why}"))
}

fn scan<'a>(schema: &'a str, path: &Path<'_>) -> Result<Members<'a>, Unheld> {
    match schema.trim() {
        "true" | "null" => Err(unheld(path, ANYTHING)),
        _ => Members::scan(schema).map_err(|_| unheld(path, "must be an object of at most 128 members")),
    }
}

const ANYTHING: &str = "allows any value; give it a type";
const MAP: &str = "is an object of any members; name them in `properties`, or make it a list of pairs";
const ALL_OF: &str = "joins several schemas by `allOf`; write them as one";
const BESIDE: &str = "has alternatives beside its properties; put the properties into each of them";

struct Writer {
    narrowed: bool,
}

impl Writer {
    fn schema(&mut self, o: &mut Object<'_>, members: &Members<'_>, path: &Path<'_>) -> Result<(), Unheld> {
        let form = Form::of(members, path)?;
        let mut said = Vec::new();
        for member in members.iter() {
            let (name, raw) = (&*member.name, members.text_of(member));
            let at = path.member(name);
            match name {
                _ if DEFINITIONS.contains(&name) => {
                    let held = scan(raw, &at)?;
                    o.object(name, |o| self.by_name(o, &held, &at))?;
                }
                "$ref" if form.is_bare => o.raw(name, raw),
                "$ref" => o.array("anyOf", |list| list.object(|o| o.raw("$ref", raw))),
                "enum" | "const" if form.is_literal => o.raw(name, raw),
                "anyOf" | "oneOf" | "allOf" if form.alternatives == Some(name) => {
                    let list = elements(raw).unwrap_or_default();
                    o.array("anyOf", |out| {
                        let mut each = list.iter().enumerate();
                        each.try_for_each(|(nth, schema)| self.element(out, schema, &at.element(nth)))
                    })?;
                }
                "type" => self.types(o, members, &form.types, path)?,
                _ if REMARKS.contains(&name) || name == "description" => {}
                _ if KEPT.contains(&name) => o.raw(name, raw),
                _ if form.takes(name, raw) => {
                    // Of several types each has its own members.
                    if form.types.len() == 1 {
                        self.typed(o, name, raw, &at)?;
                    }
                }
                _ if matches!(raw, "false" | "null") => {}
                _ => said.push(Text::of(&format!("{name}: {raw}"))),
            }
        }
        if members.get("type").is_none() {
            self.types(o, members, &form.types, path)?;
        }
        self.close(o, members, &form);
        let description = members.raw("description").and_then(Text::literal);
        if said.is_empty() {
            o.text_if("description", description.as_ref());
        } else {
            said.splice(0..0, description.map(Text::into_owned));
            o.text("description", &Text::joined(&said, "; "));
        }
        Ok(())
    }

    /// Writes the type, or one alternative for each of several.
    fn types(
        &mut self,
        o: &mut Object<'_>,
        members: &Members<'_>,
        types: &[String],
        path: &Path<'_>,
    ) -> Result<(), Unheld> {
        match types {
            [] => Ok(()),
            [one] => {
                o.str("type", one);
                Ok(())
            }
            several => o.array("anyOf", |list| {
                several.iter().try_for_each(|of| {
                    list.object(|o| {
                        let form = Form { types: vec![of.clone()], ..Form::default() };
                        o.str("type", of);
                        for member in members.iter() {
                            let (name, raw) = (&*member.name, members.text_of(member));
                            if form.takes(name, raw) {
                                self.typed(o, name, raw, &path.member(name))?;
                            }
                        }
                        self.close(o, members, &form);
                        Ok(())
                    })
                })
            }),
        }
    }

    /// A member that belongs to a type.
    fn typed(&mut self, o: &mut Object<'_>, name: &str, raw: &str, path: &Path<'_>) -> Result<(), Unheld> {
        match name {
            "properties" => {
                let held = scan(raw, path)?;
                o.object(name, |o| self.by_name(o, &held, path))
            }
            "items" => {
                let held = scan(raw, path)?;
                o.object(name, |o| self.schema(o, &held, path))
            }
            "additionalProperties" | "patternProperties" => Ok(()),
            _ => {
                o.raw(name, raw);
                Ok(())
            }
        }
    }

    /// An object has no members but its properties.
    fn close(&mut self, o: &mut Object<'_>, members: &Members<'_>, form: &Form<'_>) {
        if form.has_one("object") {
            self.narrowed |= is_open(members);
            if members.get("properties").is_none() {
                o.object("properties", |_| {});
            }
            o.value("additionalProperties", false);
        }
    }

    fn by_name(&mut self, o: &mut Object<'_>, held: &Members<'_>, path: &Path<'_>) -> Result<(), Unheld> {
        held.iter().try_for_each(|member| {
            let path = path.member(&member.name);
            let schema = scan(held.text_of(member), &path)?;
            o.object(&member.name, |o| self.schema(o, &schema, &path))
        })
    }

    fn element(&mut self, list: &mut Array<'_>, schema: &str, path: &Path<'_>) -> Result<(), Unheld> {
        let members = scan(schema, path)?;
        list.object(|o| self.schema(o, &members, path))
    }
}

/// What a schema is made of.
#[derive(Default)]
struct Form<'a> {
    /// Its types; none where something else says what it is.
    types: Vec<String>,
    /// The member that has its alternatives.
    alternatives: Option<&'a str>,
    /// Whether it lists its values.
    is_literal: bool,
    /// Whether it is nothing but a reference.
    is_bare: bool,
}

impl Form<'_> {
    fn of(members: &Members<'_>, path: &Path<'_>) -> Result<Self, Unheld> {
        let list = |name: &str| members.raw(name).and_then(|raw| elements(raw).ok()).unwrap_or_default();
        let is_primitive = |raw: &&str| !raw.starts_with(['{', '[']);
        let values = list("enum");
        let constant = members.get("const").map(|member| members.text_of(member));
        let is_literal =
            (!values.is_empty() && values.iter().all(is_primitive)) || constant.as_ref().is_some_and(is_primitive);
        let alternatives = ["anyOf", "oneOf", "allOf"].into_iter().find(|name| !list(name).is_empty());
        let refers = members.raw("$ref").is_some();
        let beside = |name: &&str| !DEFINITIONS.contains(name) && !REMARKS.contains(name) && *name != "$ref";
        let is_bare = refers && !members.iter().any(|member| beside(&&*member.name));
        let has = |name| members.get(name).is_some();
        if alternatives == Some("allOf") && list("allOf").len() > 1 {
            return Err(unheld(path, ALL_OF));
        }
        if (alternatives.is_some() || refers) && has("properties") || (alternatives.is_some() && refers) {
            return Err(unheld(path, BESIDE));
        }
        if alternatives.is_some() || refers || is_literal {
            return Ok(Self { types: Vec::new(), alternatives, is_literal, is_bare });
        }
        let types: Vec<String> = match members.raw("type") {
            Some(raw) if raw.starts_with('[') => list("type").into_iter().filter_map(word).collect(),
            Some(raw) => word(raw).into_iter().collect(),
            None if has("properties") || has("additionalProperties") => vec!["object".to_owned()],
            None if has("items") => vec!["array".to_owned()],
            None => Vec::new(),
        };
        if types.is_empty() {
            return Err(unheld(path, ANYTHING));
        }
        let form = Self { types, ..Self::default() };
        let named = members.raw("properties").is_some_and(|raw| !raw.trim_start_matches('{').trim().starts_with('}'));
        let closed = members.raw("additionalProperties") == Some("false");
        let is_map = !named && (is_open(members) || (!has("properties") && !closed));
        if form.has("object") && is_map { Err(unheld(path, MAP)) } else { Ok(form) }
    }

    fn has(&self, of: &str) -> bool {
        self.types.iter().any(|held| held == of)
    }

    fn has_one(&self, of: &str) -> bool {
        matches!(&self.types[..], [one] if one == of)
    }

    /// Whether a member belongs to one of its types.
    fn takes(&self, name: &str, raw: &str) -> bool {
        match name {
            "required" | "properties" | "additionalProperties" | "patternProperties" => self.has("object"),
            "format" => self.has("string") && word(raw).is_some_and(|format| FORMATS.contains(&&*format)),
            "items" => self.has("array") && raw.starts_with('{'),
            "minItems" => self.has("array") && matches!(raw, "0" | "1"),
            _ => false,
        }
    }
}

/// Whether an object may have members that are none of its properties, by its own words.
fn is_open(members: &Members<'_>) -> bool {
    let more = members.raw("additionalProperties").is_some_and(|raw| raw != "false");
    more || members.raw("patternProperties").is_some()
}

fn word(raw: &str) -> Option<String> {
    Text::literal(raw).map(|text| text.plain().into_owned())
}

#[cfg(test)]
mod tests;
