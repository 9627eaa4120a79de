//! What was seen of an answer so far, and what that comes to.

use weir_dialect::{Part, ServiceTier, Usage, UsageSource};
use weir_policy::{estimate_output, estimate_unseen};

/// What was seen of an answer.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// The newest that the provider said.
    usage: Option<Usage>,
    /// Whether nothing of the answer came after that.
    newest: bool,
    /// Whether the provider said why the answer ended, or that it did.
    finished: bool,
    /// The tier of service that the answer is said to be of.
    pub(crate) service_tier: ServiceTier,
    /// Events with content.
    pub(crate) events: u64,
    text_bytes: u64,
}

impl Tally {
    /// One more event.
    pub(crate) fn add(&mut self, part: Part) {
        self.newest = part.usage.is_some() || (self.newest && !part.content);
        self.finished |= part.finish;
        self.usage = match (self.usage, part.usage) {
            (Some(before), Some(said)) => Some(said.over(&before)),
            (before, said) => said.or(before),
        };
        if !part.service_tier.is_unsaid() {
            self.service_tier = part.service_tier.or(&self.service_tier);
        }
        self.events = self.events.saturating_add(u64::from(part.content));
        self.text_bytes = self.text_bytes.saturating_add(part.text_bytes as u64);
    }

    /// A whole answer.
    pub(crate) fn whole(&mut self, usage: Option<Usage>, service_tier: ServiceTier, text_bytes: u64) {
        *self = Self { usage, newest: usage.is_some(), finished: true, service_tier, events: 0, text_bytes };
    }

    /// What it comes to. What the provider says counts as reported once the answer has ended; until then, and where
    /// the provider leaves out a half, it is the larger of what was said and what passed. Of an answer of which no text
    /// passed in `unseen_ms`, so much output is taken as may have been written in that time, `most_output` at most.
    pub(crate) fn count(&self, likely_input: u64, unseen_ms: u64, most_output: u64) -> (Usage, UsageSource) {
        let said = self.usage.unwrap_or_default();
        let passed = estimate_output(self.events, self.text_bytes);
        // A model that only thinks writes as well.
        let unseen = self.text_bytes == 0 && !self.finished;
        let passed = if unseen { passed.max(estimate_unseen(unseen_ms, most_output)) } else { passed };
        let ended = self.finished && self.newest;
        let silent = said.output_total() == 0 && passed > 0;
        if ended && said.input_total() > 0 && !silent {
            return (said, UsageSource::Reported);
        }
        let input = if said.input_total() == 0 { likely_input } else { said.input };
        let more = if ended && !silent { 0 } else { passed.saturating_sub(said.output_total()) };
        (Usage { input, output: said.output.saturating_add(more), ..said }, UsageSource::Estimated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: u64, output: u64) -> Usage {
        Usage { input, output, ..Usage::default() }
    }

    fn text() -> Part {
        Part { content: true, text_bytes: 4, ..Part::default() }
    }

    fn said(input: u64, output: u64) -> Part {
        Part { usage: Some(usage(input, output)), ..Part::default() }
    }

    fn finish() -> Part {
        Part { finish: true, ..Part::default() }
    }

    /// Input, output and source of a stream of these parts, of a request of some 50 tokens.
    fn counted(parts: Vec<Part>) -> (u64, u64, UsageSource) {
        let mut tally = Tally::default();
        parts.into_iter().for_each(|part| tally.add(part));
        let (usage, source) = tally.count(50, 2_000, 1_000);
        (usage.input, usage.output, source)
    }

    #[test]
    fn usage_is_believed_at_the_end_of_an_answer_alone_and_never_less_than_what_passed() {
        use UsageSource::{Estimated, Reported};
        let texts = |times: usize| (0..times).map(|_| text());
        let of = |parts: Vec<Part>, more: usize, end: Vec<Part>| {
            counted(parts.into_iter().chain(texts(more)).chain(end).collect())
        };
        for (begin, more, end, expected) in [
            // Anthropic: the count of the start, then that of the end.
            (vec![said(9, 1)], 20, vec![], (9, 20, Estimated)),
            (vec![said(9, 1)], 20, vec![Part { finish: true, ..said(9, 17) }], (9, 17, Reported)),
            (vec![said(9, 1)], 20, vec![finish(), finish()], (9, 20, Estimated)),
            // A side that the later count leaves at nothing.
            (vec![said(9, 1)], 20, vec![Part { finish: true, ..said(0, 17) }], (9, 17, Reported)),
            (vec![Part { finish: true, ..said(9, 17) }], 0, vec![said(0, 0)], (9, 17, Reported)),
            (vec![said(0, 0)], 20, vec![], (50, 20, Estimated)),
            // OpenAI: usage with the finish or after it, or never.
            (vec![], 20, vec![finish()], (50, 20, Estimated)),
            (vec![], 20, vec![finish(), said(7, 18)], (7, 18, Reported)),
            (vec![], 20, vec![said(7, 18), finish()], (7, 18, Reported)),
            (vec![], 20, vec![said(7, 18)], (7, 20, Estimated)),
            (vec![], 20, vec![finish(), said(7, 0)], (7, 20, Estimated)),
            (vec![], 20, vec![finish(), said(0, 18)], (50, 18, Estimated)),
            // Usage so far beside each piece, where a provider has that.
            (vec![], 3, vec![Part { usage: Some(usage(7, 90)), ..text() }], (7, 90, Estimated)),
            // Nothing passed: what may have been written in two seconds.
            (vec![], 0, vec![], (50, 200, Estimated)),
            (vec![said(9, 1)], 0, vec![], (9, 200, Estimated)),
            // An answer that is empty.
            (vec![said(9, 0)], 0, vec![finish()], (9, 0, Reported)),
        ] {
            assert_eq!(of(begin, more, end), expected);
        }
    }

    #[test]
    fn a_whole_answer_without_usage_counts_by_its_text() {
        let mut tally = Tally::default();
        tally.whole(None, ServiceTier::default(), 400);
        assert_eq!(tally.count(50, 9_000, 1_000), (usage(50, 100), UsageSource::Estimated));
        tally.whole(Some(usage(7, 3)), ServiceTier::default(), 0);
        assert_eq!(tally.count(50, 9_000, 1_000), (usage(7, 3), UsageSource::Reported));
    }
}
