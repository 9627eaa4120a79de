//! What one request can have used at most, whatever its provider says.

use weir_dialect::Usage;

/// Tokens of the largest context window in common use, for models whose window nobody knows.
const LARGEST_WINDOW: u64 = 10_000_000;
/// Passes over the context that a provider makes at most for one request, with tools of its own or to compact it.
const MOST_PASSES: u64 = 32;

/// What a request can come to: no pass of a model over its context reads or writes more than its window holds. The
/// caller's limit of output is no bound, since some providers write reasoning beside it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bound {
    /// Tokens of the model's context window; `None` = nobody knows.
    pub window: Option<u64>,
    /// Answers that were asked for.
    pub choices: u64,
    /// Whether the provider may go over the context several times.
    pub may_repeat: bool,
}

impl Bound {
    /// What is believed of a usage; less than all of it where no request can come to so much.
    pub fn believed(&self, usage: &Usage) -> Usage {
        let window = self.window.unwrap_or(LARGEST_WINDOW);
        let passes = if self.may_repeat || usage.largest_pass > 0 { MOST_PASSES } else { 1 };
        let mut input = window.saturating_mul(passes);
        let mut output = input.saturating_mul(self.choices.max(1));
        let take = |left: &mut u64, tokens: u64| {
            let taken = tokens.min(*left);
            *left -= taken;
            taken
        };
        Usage {
            input: take(&mut input, usage.input),
            cache_write_1h: take(&mut input, usage.cache_write_1h),
            cache_write_5m: take(&mut input, usage.cache_write_5m),
            cache_read: take(&mut input, usage.cache_read),
            output: take(&mut output, usage.output),
            reasoning: take(&mut output, usage.reasoning),
            largest_pass: usage.largest_pass.min(window),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABSURD: u64 = 1_000_000_000_000_000_000;

    #[test]
    fn what_a_model_can_do_is_believed_and_no_more() {
        let bound = Bound { window: Some(1_000), choices: 2, may_repeat: false };
        let honest = Usage {
            input: 300,
            cache_read: 600,
            cache_write_1h: 100,
            output: 1_500,
            reasoning: 500,
            ..Usage::default()
        };
        assert_eq!(bound.believed(&honest), honest, "both answers may be as long as the window");
        let said = Usage { input: ABSURD, cache_read: ABSURD, output: 7, reasoning: u64::MAX, ..Usage::default() };
        let Usage { input, cache_read, output, reasoning, .. } = bound.believed(&said);
        assert_eq!([input, cache_read, output, reasoning], [1_000, 0, 7, 1_993]);
    }

    #[test]
    fn several_passes_over_the_context_are_believed_where_there_may_be_some() {
        let compacted = Usage { input: 203_000, output: 4_500, largest_pass: 180_000, ..Usage::default() };
        let bound = Bound { window: Some(200_000), choices: 1, may_repeat: false };
        assert_eq!(bound.believed(&compacted), compacted);
        let searched = Usage { input: 900_000, output: 10, ..Usage::default() };
        assert_eq!(Bound { may_repeat: true, ..bound }.believed(&searched), searched);
        assert_eq!(bound.believed(&searched).input, 200_000);
    }

    #[test]
    fn nothing_is_without_bound() {
        let all = Usage {
            input: u64::MAX,
            output: u64::MAX,
            reasoning: u64::MAX,
            largest_pass: u64::MAX,
            ..Usage::default()
        };
        for may_repeat in [false, true] {
            let found = Bound { window: None, choices: 128, may_repeat }.believed(&all);
            assert_eq!((found.input, found.output), (320_000_000, 40_960_000_000));
        }
        let found = Bound::default().believed(&Usage { largest_pass: 0, ..all });
        assert_eq!((found.input, found.output, found.reasoning), (10_000_000, 10_000_000, 0));
        let huge = Bound { window: Some(u64::MAX), choices: u64::MAX, may_repeat: true };
        assert_eq!(huge.believed(&all).output, u64::MAX);
    }
}
