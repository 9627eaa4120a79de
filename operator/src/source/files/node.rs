//! YAML with the lines that its parts stand at.
//!
//! One parse gives both the value and the places, so that a complaint cannot point elsewhere.

use super::complaint::Complaint;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, Options, Spanned};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use weir_snapshot::Name;

/// Most values of a file, each of which is kept with its place: a short text has many.
const VALUES: usize = 1_000_000;

/// One object of a file.
#[derive(Debug, Clone)]
pub(super) struct Document {
    file: PathBuf,
    pub(super) value: Value,
    /// Line of every field by its path; the empty path is the document itself.
    lines: BTreeMap<String, u64>,
}

impl Document {
    /// Every document of a file; empty ones are left out.
    pub(super) fn read_all(file: &Path, text: &str) -> Result<Vec<Self>, Complaint> {
        let nodes: Vec<Spanned<Node>> = serde_saphyr::from_multiple_with_options(text, limits())
            .map_err(|e| Complaint::of_file(file, e.location().map_or(1, |location| location.line()), trouble(&e)))?;
        let documents = nodes.into_iter().filter(|node| !matches!(node.value, Node::Null)).map(|node| {
            let mut lines = BTreeMap::new();
            let value = flatten(node, "", &mut lines);
            Self { file: file.to_path_buf(), value, lines }
        });
        Ok(documents.collect())
    }

    /// The objects of a `List`.
    pub(super) fn items(&self) -> Vec<Self> {
        let items = self.value.get("items").and_then(Value::as_array).into_iter().flatten();
        items
            .enumerate()
            .map(|(n, item)| {
                let prefix = format!("items[{n}]");
                // The paths below one stand side by side.
                let inside = self.lines.range(prefix.clone()..).map_while(|(path, line)| {
                    let rest = path.strip_prefix(&prefix)?;
                    Some((rest.strip_prefix('.').unwrap_or(rest).to_owned(), *line))
                });
                Self { file: self.file.clone(), value: item.clone(), lines: inside.collect() }
            })
            .collect()
    }

    /// Its name; a namespace that it does not state becomes `namespace`.
    pub(super) fn name_in(&mut self, namespace: &str) -> Option<Name> {
        let cluster_scoped = self.value.get("kind").is_some_and(|kind| kind == "Namespace");
        let metadata = self.value.get_mut("metadata")?.as_object_mut()?;
        let name = metadata.get("name")?.as_str()?.to_owned();
        if cluster_scoped {
            return Some(Name::new("", name));
        }
        let namespace = metadata.entry("namespace").or_insert_with(|| namespace.into()).as_str()?.to_owned();
        Some(Name::new(namespace, name))
    }

    /// `Kind namespace/name`.
    pub(super) fn title(&self) -> String {
        let text = |pointer: &str| self.value.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
        match self.value.pointer("/metadata/namespace").and_then(Value::as_str) {
            Some(namespace) => format!("{} {namespace}/{}", text("/kind"), text("/metadata/name")),
            None => format!("{} {}", text("/kind"), text("/metadata/name")),
        }
    }

    /// A complaint about one of its fields.
    pub(super) fn complaint(&self, field: &str, message: impl Into<String>) -> Complaint {
        let field = field.trim_start_matches('.');
        Complaint {
            file: self.file.clone(),
            line: self.line(field),
            object: self.title(),
            field: field.to_owned(),
            message: message.into(),
        }
    }

    /// `file:line` of a field.
    pub(super) fn place(&self, field: &str) -> String {
        format!("{}:{}", self.file.display(), self.line(field))
    }

    /// The line of a field, or of the closest that holds it.
    fn line(&self, field: &str) -> u64 {
        let mut path = field;
        loop {
            if let Some(line) = self.lines.get(path) {
                return *line;
            }
            path = match path.rfind(['.', '[']) {
                Some(at) => path.get(..at).unwrap_or_default(),
                None if path.is_empty() => return 1,
                None => "",
            };
        }
    }
}

/// What a file may hold, of whatever many documents.
fn limits() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_documents: VALUES, max_nodes: VALUES, max_events: 4 * VALUES },
    }
}

/// Why a file cannot be read.
fn trouble(error: &Error) -> String {
    let error = error.without_snippet();
    if let Error::Budget { breach: BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. }, .. } = error {
        return format!("has more than {VALUES} values: put its objects into several files");
    }
    format!("is no YAML: {}", error.to_string().lines().next().unwrap_or_default())
}

/// YAML as it was parsed, each part with its place.
#[derive(Debug)]
enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

/// The plain value; lines go into the map. A field's line is that of its name.
fn flatten(node: Spanned<Node>, path: &str, lines: &mut BTreeMap<String, u64>) -> Value {
    lines.entry(path.to_owned()).or_insert_with(|| node.referenced.line());
    match node.value {
        Node::Null => Value::Null,
        Node::Bool(value) => value.into(),
        Node::Number(value) => value.into(),
        Node::Text(value) => value.into(),
        Node::List(items) => {
            let items = items.into_iter().enumerate();
            items.map(|(n, item)| flatten(item, &format!("{path}[{n}]"), lines)).collect::<Vec<_>>().into()
        }
        Node::Map(members) => {
            let mut map = Map::new();
            for (name, member) in members {
                let path = if path.is_empty() { name.value.clone() } else { format!("{path}.{}", name.value) };
                lines.insert(path.clone(), name.referenced.line());
                map.insert(name.value, flatten(member, &path, lines));
            }
            map.into()
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        Number::from_f64(value).map(Node::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(member) = members.next_entry()? {
            map.push(member);
        }
        Ok(Node::Map(map))
    }
}
