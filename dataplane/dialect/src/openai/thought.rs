//! How a model of the OpenAI dialect is asked to reason and to sample, by its traits.
//!
//! What came in the dialect itself goes on as it came; the rest is told in the model's words, or the loss names it.

use crate::chat::{Effort, Request, Sampling, Thinking};
use crate::traits::{Thinks, Traits, Unasked};
use crate::upstream::UpstreamModel;
use crate::write::Object;
use crate::{Dialect, Loss, Text};

/// Most stop sequences of the API.
const MAX_STOP: usize = 4;
/// What `adaptive` stands for where a model does not reason unless it is told how much: Anthropic's default.
const ADAPTIVE: Effort = Effort::High;

/// What is asked of the model, and of which model.
pub(super) struct Asked<'r, 'a> {
    pub(super) request: &'r Request<'a>,
    pub(super) sampling: &'r Sampling,
    pub(super) to: &'r UpstreamModel<'r>,
    pub(super) traits: &'static Traits,
}

impl Asked<'_, '_> {
    fn own(&self) -> bool {
        self.request.dialect == Dialect::OpenAI
    }

    /// The effort in the model's words.
    fn effort(&self, loss: &mut Loss) -> Option<Effort> {
        let Self { request, sampling, traits, .. } = self;
        if self.own() {
            return sampling.effort;
        }
        if !traits.effort_beside_tools && self.to.vendor && !request.tools.is_empty() {
            if matches!(request.thinking, Some(Thinking::Enabled { .. } | Thinking::Adaptive { .. })) {
                loss.add("thinking");
            }
            if sampling.effort.is_some_and(|effort| effort != Effort::None) {
                loss.add("output_config.effort");
            }
            return Some(Effort::None);
        }
        let shown = match &request.thinking {
            Some(Thinking::Enabled { display, .. } | Thinking::Adaptive { display }) => display.as_ref(),
            Some(Thinking::Disabled | Thinking::BetweenTools) | None => None,
        };
        if shown.is_some() {
            loss.add("thinking.display");
        }
        let is_off = matches!(request.thinking, Some(Thinking::Disabled | Thinking::BetweenTools));
        let tuned = sampling.effort != request.sampling.effort;
        if is_off && !tuned {
            return self.off(loss);
        }
        let known = |asked: Effort, name, loss: &mut Loss| {
            let known = traits.effort(asked);
            let lost =
                if asked == Effort::None { known.is_some_and(|known| known != asked) } else { known != Some(asked) };
            if lost {
                loss.add(name);
            }
            known
        };
        match (sampling.effort, &request.thinking) {
            (Some(asked), _) => known(asked, "output_config.effort", loss),
            (None, Some(Thinking::Enabled { budget_tokens, .. })) => {
                let known = traits.effort(Effort::of_budget(*budget_tokens));
                if known.is_none() {
                    loss.add("thinking");
                }
                known
            }
            (None, Some(Thinking::Adaptive { .. })) => match traits.thinking {
                Thinks::Effort if traits.thinks_unasked == Unasked::Never => known(ADAPTIVE, "thinking", loss),
                Thinks::None => {
                    loss.add("thinking");
                    None
                }
                Thinks::Effort | Thinks::Unknown | Thinks::Adaptive | Thinks::Budget => None,
            },
            (None, Some(Thinking::Disabled | Thinking::BetweenTools) | None) => None,
        }
    }

    /// The least effort, for a caller who wants no thinking. Where that is more than none, the loss says so.
    fn off(&self, loss: &mut Loss) -> Option<Effort> {
        let Self { request, traits, .. } = self;
        if request.sampling.effort.is_some() {
            // How much to write where nothing is thought: there is no member for that.
            loss.add("output_config.effort");
        }
        if traits.efforts.is_none() || (traits.thinks_unasked == Unasked::Always) {
            loss.add("thinking");
        }
        traits.efforts.as_ref().and_then(|_| traits.effort(Effort::None))
    }

    /// Writes the limit of output, the effort, and what the model takes of temperature and the like.
    pub(super) fn write_sampling(&self, o: &mut Object<'_>, loss: &mut Loss) {
        let effort = self.effort(loss);
        let Sampling { max_output, temperature, top_p, top_k, frequency_penalty, presence_penalty, seed, effort: _ } =
            *self.sampling;
        self.to.max_output_names().iter().take(1).for_each(|name| o.value_if(name, max_output));
        let thinks = effort.map_or(self.traits.thinks_unasked != Unasked::Never, |effort| effort != Effort::None);
        let keeps = self.own() || self.traits.sampling.is_now(thinks);
        for (name, value, default) in [
            ("temperature", temperature, 1.0),
            ("top_p", top_p, 1.0),
            ("frequency_penalty", frequency_penalty, 0.0),
            ("presence_penalty", presence_penalty, 0.0),
        ] {
            if !keeps && value.is_some_and(|value| value != default) {
                loss.add(name);
            }
            o.value_if(name, value.filter(|_| keeps));
        }
        match top_k {
            Some(_) if !self.own() && (self.to.vendor || !self.traits.top_k || !keeps) => loss.add("top_k"),
            _ => o.value_if("top_k", top_k),
        }
        o.value_if("seed", seed);
        if let Some(effort) = effort {
            o.str("reasoning_effort", effort.as_str());
        }
    }

    /// Writes the stop sequences that the model takes.
    pub(super) fn write_stop(&self, o: &mut Object<'_>, loss: &mut Loss) {
        let stop = &self.request.stop;
        let most = if self.own() {
            usize::MAX
        } else if self.traits.stop {
            MAX_STOP
        } else {
            0
        };
        let taken: &[Text<'_>] = stop.get(..most).unwrap_or(stop);
        if taken.len() < stop.len() {
            loss.add("stop_sequences");
        }
        match taken {
            [] => {}
            [one] if self.request.stop_is_plain => o.text("stop", one),
            several => o.texts("stop", several),
        }
    }
}
