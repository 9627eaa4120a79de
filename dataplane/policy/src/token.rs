//! What a token of another issuer than the cluster says, once a key set was found to have signed it.

use serde_json::{Map, Value};
use std::sync::Arc;
use weir_snapshot::{Name, TokenIssuer};

/// The claims of a token whose signature was found good.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// The claim at a path: by its whole name, which may hold dots, else by names within one another.
    fn at(&self, path: &str) -> Option<&Value> {
        fn within<'v>(held: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
            held.get(path).or_else(|| {
                let (first, rest) = path.split_once('.')?;
                within(held.get(first)?.as_object()?, rest)
            })
        }
        within(&self.0, path)
    }

    /// A claim that is one text or number.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        match self.at(path)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The texts of a claim that is one or a list of them.
    pub(crate) fn texts(&self, path: &str) -> impl Iterator<Item = &str> {
        let held = self.at(path);
        let one = held.and_then(Value::as_str);
        one.into_iter().chain(held.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str))
    }

    /// A time in Unix seconds, if the token has it; some issuers write fractions.
    pub(crate) fn time(&self, name: &str) -> Result<Option<i64>, NoTime> {
        let Some(held) = self.0.get(name) else { return Ok(None) };
        #[expect(clippy::cast_possible_truncation, reason = "a float saturates, and such a time is far off either way")]
        let time = held.as_i64().or_else(|| held.as_f64().map(|seconds| seconds as i64));
        time.map(Some).ok_or(NoTime)
    }
}

/// A claim that must be a time and is something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoTime;

/// A token with what signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it says.
    pub(crate) claims: Arc<Claims>,
    /// The key sets that signed it: one namespace's routes never take a token by another's.
    pub(crate) keys: Vec<Name>,
}

impl Token {
    /// A token that these key sets signed.
    pub const fn new(claims: Arc<Claims>, keys: Vec<Name>) -> Self {
        Self { claims, keys }
    }

    /// Whether a route of that namespace takes it for a caller's.
    pub(crate) fn is_of(&self, namespace: &str, wanted: &TokenIssuer) -> bool {
        let signed = self.keys.iter().any(|held| held.namespace == namespace && held.name == wanted.keys);
        signed
            && self.claims.texts("iss").eq([wanted.issuer.as_str()])
            && self.claims.texts("aud").any(|aud| wanted.audiences.iter().any(|held| held == aud))
    }

    /// Whether a grant to the caller's groups fits; each is the models that its members may name, empty = all.
    pub(crate) fn has_grant(&self, wanted: &TokenIssuer, fits: &impl Fn(&[String]) -> bool) -> bool {
        if wanted.groups.is_empty() {
            return fits(&[]);
        }
        let Some(path) = &wanted.claims.groups else { return false };
        let is_member = |name: &str| self.claims.texts(path).any(|held| held == name);
        wanted.groups.iter().any(|group| fits(&group.models) && is_member(&group.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_found_by_its_whole_name_or_by_its_path() {
        let claims: Claims = serde_json::from_value(serde_json::json!({
            "https://example.com/team": "reds", "realm": {"roles": ["a", 7, "b"]}, "employee": 42, "a.b": "flat",
            "a": {"b": "deep"}, "empty": ""
        }))
        .unwrap();
        assert_eq!(claims.text("https://example.com/team").as_deref(), Some("reds"));
        assert_eq!(claims.texts("realm.roles").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(claims.text("employee").as_deref(), Some("42"));
        assert_eq!(claims.text("a.b").as_deref(), Some("flat"), "the whole name comes first");
        assert_eq!((claims.text("empty"), claims.text("absent.x"), claims.text("realm")), (None, None, None));
    }
}
