//! Whether the references of a schema can be followed to an end.

use crate::Text;
use crate::json::{Members, elements};
use crate::tool_schema::pointed;
use std::collections::BTreeSet;

/// Most schemas that references name, and most that follow each other; both are far more than people write.
const MOST: usize = 512;
const DEEPEST: usize = 64;

/// Whether a schema contains itself by its references, or one of them names nothing in it.
pub(super) fn refers_in_circles(root: &Members<'_>) -> bool {
    holds_reference(root.json()) && Walk { root, ended: BTreeSet::new(), open: Vec::new() }.circles(root.json())
}

struct Walk<'r, 'a> {
    root: &'r Members<'a>,
    /// References that come to an end.
    ended: BTreeSet<String>,
    /// Those that are being followed.
    open: Vec<String>,
}

impl Walk<'_, '_> {
    fn circles(&mut self, schema: &str) -> bool {
        let mut found = BTreeSet::new();
        references(schema, &mut found);
        found.into_iter().any(|reference| {
            if self.ended.contains(&reference) {
                return false;
            }
            if self.open.contains(&reference) || self.open.len() == DEEPEST || self.ended.len() == MOST {
                return true;
            }
            let Some(target) = pointed(self.root.json(), &reference) else { return true };
            self.open.push(reference);
            let circles = self.circles(target);
            self.ended.extend(self.open.pop());
            circles
        })
    }
}

fn holds_reference(schema: &str) -> bool {
    memchr::memmem::find(schema.as_bytes(), b"$ref").is_some()
}

/// The references in a schema, at any depth.
fn references(schema: &str, found: &mut BTreeSet<String>) {
    if !holds_reference(schema) {
        return;
    }
    if let Ok(members) = Members::scan(schema) {
        for member in members.iter() {
            let raw = members.text_of(member);
            match Text::literal(raw).filter(|_| member.name == "$ref") {
                Some(reference) => _ = found.insert(reference.plain().into_owned()),
                None => references(raw, found),
            }
        }
    } else {
        elements(schema).unwrap_or_default().into_iter().for_each(|element| references(element, found));
    }
}
