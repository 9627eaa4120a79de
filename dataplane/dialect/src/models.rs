//! The models list, in each dialect's shape.

use crate::{Dialect, Refusal, anthropic, openai};
use bytes::Bytes;

/// Models of one page, unless the client says otherwise (Anthropic's default).
const PAGE: usize = 20;
/// Models of one page at most.
const MAX_PAGE: usize = 1_000;

/// A model that the caller may name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedModel {
    /// The name to send.
    pub id: String,
    /// Unix seconds.
    pub created: i64,
    /// Namespace of the route that serves it.
    pub owned_by: String,
    /// Tokens of input and output together, where all targets state it; the smallest.
    pub context_window: Option<u64>,
    /// Tokens of output, where all targets state it; the smallest.
    pub max_output: Option<u64>,
}

/// Which part of a list the caller asks for; the OpenAI dialect has no parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    limit: usize,
    after_id: Option<String>,
    before_id: Option<String>,
}

impl Page {
    /// Reads the members of a query string that were taken apart and decoded.
    pub fn read<'q>(query: impl Iterator<Item = (&'q str, String)>) -> Result<Self, Refusal> {
        let mut page = Self { limit: PAGE, after_id: None, before_id: None };
        for (name, value) in query {
            match name {
                "after_id" => page.after_id = Some(value),
                "before_id" => page.before_id = Some(value),
                "limit" => {
                    let good = value.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
                    let wrong = || format!("`limit` must be a number from 1 to {MAX_PAGE}");
                    page.limit = good.ok_or_else(|| Refusal::invalid("invalid_value", Some("limit"), wrong()))?;
                }
                _ => {}
            }
        }
        Ok(page)
    }

    /// That part of the list, and whether more follow in the direction of asking.
    pub(crate) fn of<'m>(&self, models: &'m [ListedModel]) -> (&'m [ListedModel], bool) {
        let place = |id: &String| models.iter().position(|model| model.id == *id);
        let (from, to) = match (self.after_id.as_ref().map(place), self.before_id.as_ref().map(place)) {
            (Some(None), _) | (_, Some(None)) => (0, 0),
            (Some(Some(after)), _) => (after + 1, (after + 1 + self.limit).min(models.len())),
            (None, Some(Some(before))) => (before.saturating_sub(self.limit), before),
            (None, None) => (0, self.limit.min(models.len())),
        };
        let more = if self.before_id.is_some() { from > 0 } else { to < models.len() && from < to };
        (models.get(from..to).unwrap_or_default(), more)
    }
}

impl Dialect {
    /// `GET /v1/models`.
    pub fn encode_models(self, models: &[ListedModel], page: &Page) -> Bytes {
        match self {
            Self::OpenAI => openai::encode_models(models),
            Self::Anthropic => anthropic::encode_models(models, page),
        }
    }

    /// `GET /v1/models/{id}`.
    pub fn encode_model(self, model: &ListedModel) -> Bytes {
        match self {
            Self::OpenAI => openai::encode_model(model),
            Self::Anthropic => anthropic::encode_model(model),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_both_ways() {
        let model = |id: &str| ListedModel {
            id: id.to_owned(),
            created: 0,
            owned_by: String::new(),
            context_window: None,
            max_output: None,
        };
        let models: Vec<_> = ["a", "b", "c", "d", "e"].map(model).into();
        let page = |query: &[(&'static str, &str)]| {
            let page = Page::read(query.iter().map(|(name, value)| (*name, (*value).to_owned()))).expect("a good page");
            let (list, more) = page.of(&models);
            (list.iter().map(|model| model.id.as_str()).collect::<String>(), more)
        };
        assert_eq!(page(&[]), ("abcde".into(), false));
        assert_eq!(page(&[("limit", "2")]), ("ab".into(), true));
        assert_eq!(page(&[("limit", "2"), ("after_id", "b")]), ("cd".into(), true));
        assert_eq!(page(&[("limit", "2"), ("after_id", "d")]), ("e".into(), false));
        assert_eq!(page(&[("limit", "2"), ("before_id", "d")]), ("bc".into(), true));
        assert_eq!(page(&[("limit", "3"), ("before_id", "c")]), ("ab".into(), false));
        assert_eq!(page(&[("after_id", "z")]), (String::new(), false));
        assert!(Page::read([("limit", "0".to_owned())].into_iter()).is_err());
    }
}
