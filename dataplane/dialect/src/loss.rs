//! What of a request or answer could not be carried over to another dialect: named, never silent.

use std::borrow::Cow;

/// Most names that are kept; a translation that loses more says so by its last entry.
const MAX_NAMES: usize = 24;

/// Names of what answers lose, for metrics too.
const OF_ANSWERS: &[&str] = &[
    "annotations",
    "audio",
    "caller",
    "choices",
    "citations",
    "container",
    "content",
    "context_management",
    "finish_reason",
    "logprobs",
    "reasoning",
    "service_tier",
    "stop_details",
    "stop_reason",
    "stop_reason.pause_turn",
    "tool_calls",
];

/// Names of what was not carried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loss(Vec<Cow<'static, str>>);

impl Loss {
    /// A member that the translator knows and cannot carry.
    pub fn add(&mut self, name: &'static str) {
        self.push(Cow::Borrowed(name));
    }

    /// A member that the translator does not know; its name is the client's, cut to what a header can hold.
    pub fn add_unknown(&mut self, name: &str) {
        let word = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '?' };
        self.push(Cow::Owned(name.chars().take(64).map(word).collect()));
    }

    /// A member by its name on the wire; one of `known` is a name for metrics too.
    pub fn add_named(&mut self, name: &str, known: &[&'static str]) {
        match known.iter().find(|held| **held == name) {
            Some(held) => self.add(held),
            None => self.add_unknown(name),
        }
    }

    /// A member of an answer, by its name on the wire.
    pub fn add_lost(&mut self, name: &str) {
        self.add_named(name, OF_ANSWERS);
    }

    fn push(&mut self, name: Cow<'static, str>) {
        if self.0.contains(&name) {
            return;
        }
        match self.0.len() {
            len if len < MAX_NAMES => self.0.push(name),
            MAX_NAMES => self.0.push(Cow::Borrowed("more")),
            _ => {}
        }
    }

    /// Adds those of another.
    pub fn extend(&mut self, other: Self) {
        other.0.into_iter().for_each(|name| self.push(name));
    }

    /// Whether nothing was lost.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    /// The names as metric labels: a client's own word is `other`.
    pub fn labels(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|name| match name {
            Cow::Borrowed(name) => *name,
            Cow::Owned(_) => "other",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_once_and_a_clients_word_is_no_label() {
        let mut loss = Loss::default();
        loss.add("logit_bias");
        loss.add("logit_bias");
        loss.add_unknown("x\r\ny");
        assert_eq!(loss.names().collect::<Vec<_>>(), ["logit_bias", "x??y"]);
        assert_eq!(loss.labels().collect::<Vec<_>>(), ["logit_bias", "other"]);
        (0..40).for_each(|n| loss.add_unknown(&n.to_string()));
        assert_eq!(loss.names().count(), MAX_NAMES + 1);
        assert_eq!(loss.names().last(), Some("more"));
    }
}
