//! How a Claude model is asked to think and to sample, by its traits: what it refuses together is never sent together.

use super::turns::{Merged, calls_without_thinking};
use crate::chat::{Effort, Request, Sampling, Thinking};
use crate::traits::{Thinks, Traits, Unasked, When};
use crate::upstream::{UpstreamModel, untranslatable};
use crate::write::Object;
use crate::{Dialect, Loss, Refusal};

/// Least budget of the API.
const MIN_BUDGET: u64 = 1_024;
/// The name of a caller's effort.
const EFFORT: &str = "reasoning_effort";

/// How to think, and within how many tokens the whole answer stays.
pub(super) struct Thought<'a> {
    thinking: Option<Thinking<'a>>,
    pub(super) effort: Option<Effort>,
    pub(super) max_tokens: u64,
    /// Whether thinking and sampling go on as the caller of the dialect itself has them.
    as_given: bool,
}

/// What is asked of the model, and of which model.
pub(super) struct Asked<'r, 'a> {
    pub(super) request: &'r Request<'a>,
    pub(super) sampling: &'r Sampling,
    pub(super) to: &'r UpstreamModel<'r>,
    pub(super) traits: &'static Traits,
}

impl<'a> Asked<'_, 'a> {
    /// Where a model cannot think as asked, it thinks less or not, and the loss names the effort.
    pub(super) fn thought(&self, merged: &Merged<'_, 'a>, loss: &mut Loss) -> Result<Thought<'a>, Refusal> {
        let Self { request, sampling, to, traits } = self;
        let ceiling = to.max_output.or(traits.max_output);
        // A table that cannot be read tells no limit; this one every model has.
        let max_tokens = sampling.max_output.or(ceiling).unwrap_or(4_096);
        let own = request.dialect == Dialect::Anthropic;
        let plain = Thought { thinking: None, effort: None, max_tokens, as_given: own };
        let tuned = sampling.effort != request.sampling.effort;
        if own && (!tuned || request.thinking.is_some()) {
            let effort = if tuned { self.effort(sampling.effort, loss) } else { sampling.effort };
            // With a budget the API wants the reasoning before the calls; where that was another provider's, it is left
            // out, and the model goes on without.
            let budgeted = matches!(request.thinking, Some(Thinking::Enabled { .. }));
            let left_out = loss.names().any(|name| name == "thinking");
            let stays = !(budgeted && left_out && calls_without_thinking(&merged.turns));
            return Ok(Thought { thinking: request.thinking.clone().filter(|_| stays), effort, ..plain });
        }
        if !own && request.forces_a_tool() && traits.forced_tools == When::Never {
            return Err(untranslatable("tool_choice", "the model cannot be made to call a tool; send `auto`"));
        }
        if request.forces_a_tool() && traits.forced_tools == When::UnlessThinking {
            if sampling.effort.is_some_and(|effort| effort != Effort::None) {
                loss.add(EFFORT);
            }
            let off = (traits.thinks_unasked == Unasked::ByDefault).then_some(Thinking::Disabled);
            return Ok(Thought { thinking: off, ..plain });
        }
        let Some(effort) = sampling.effort else { return Ok(plain) };
        let thinks = effort != Effort::None;
        Ok(match traits.thinking {
            Thinks::Adaptive | Thinks::Effort | Thinks::Unknown => {
                let off = !thinks && traits.thinks_unasked != Unasked::Always;
                let asked = if thinks { Thinking::Adaptive { display: None } } else { Thinking::Disabled };
                // A caller of the dialect itself who said nothing of thinking is given the effort alone.
                let thinking = (off || (thinks && !own)).then_some(asked);
                let effort = if off { None } else { self.effort(Some(effort), loss) };
                Thought { thinking, effort, ..plain }
            }
            Thinks::Budget if thinks => {
                let budget_tokens = effort.budget_tokens().min(max_tokens.saturating_sub(1));
                if budget_tokens < MIN_BUDGET || calls_without_thinking(&merged.turns) {
                    loss.add(EFFORT);
                    plain
                } else {
                    let thinking = Some(Thinking::Enabled { budget_tokens, display: None });
                    Thought { thinking, as_given: false, ..plain }
                }
            }
            Thinks::None if thinks => {
                loss.add(EFFORT);
                plain
            }
            Thinks::Budget | Thinks::None => plain,
        })
    }

    /// An effort as the model knows it; where that is another one, the loss says so.
    fn effort(&self, asked: Option<Effort>, loss: &mut Loss) -> Option<Effort> {
        let known = self.traits.effort(asked?).filter(|effort| *effort >= Effort::Low);
        if known != asked {
            loss.add(EFFORT);
        }
        known
    }

    /// Writes what the model takes of temperature and the like.
    pub(super) fn write_sampling(&self, o: &mut Object<'_>, thought: &Thought<'_>, loss: &mut Loss) {
        let Sampling { max_output: _, temperature, top_p, top_k, frequency_penalty, presence_penalty, seed, effort: _ } =
            *self.sampling;
        let keeps = thought.as_given || self.traits.sampling.is_now(thought.thinks(self.traits));
        let mut take = |name, value: Option<f64>, keep: bool| {
            // One is what the model does unasked.
            if value.is_some_and(|value| value != 1.0) && !keep {
                loss.add(name);
            }
            value.filter(|_| keep)
        };
        let clamped = temperature.map(|value| if thought.as_given { value } else { value.min(1.0) });
        take("temperature", temperature.filter(|value| Some(*value) != clamped), false);
        o.value_if("temperature", take("temperature", clamped, keeps));
        let alone = thought.as_given || temperature.is_none() || self.traits.top_p_beside_temperature;
        o.value_if("top_p", take("top_p", top_p, keeps && alone));
        for (name, value) in [("frequency_penalty", frequency_penalty), ("presence_penalty", presence_penalty)] {
            if value.is_some_and(|value| value != 0.0) {
                loss.add(name);
            }
        }
        if seed.is_some() {
            loss.add("seed");
        }
        match top_k {
            Some(_) if !keeps => loss.add("top_k"),
            _ => o.value_if("top_k", top_k),
        }
    }
}

impl Thought<'_> {
    /// Whether the model will think.
    fn thinks(&self, traits: &Traits) -> bool {
        match self.thinking {
            Some(Thinking::Adaptive { .. } | Thinking::Enabled { .. }) => true,
            Some(Thinking::Disabled | Thinking::BetweenTools) => false,
            None => traits.thinks_unasked != Unasked::Never,
        }
    }

    /// Writes `thinking`.
    pub(super) fn write(&self, o: &mut Object<'_>) {
        let Some(thinking) = &self.thinking else { return };
        o.object("thinking", |o| match thinking {
            Thinking::Disabled => o.str("type", "disabled"),
            Thinking::BetweenTools => o.str("type", "between_tools"),
            Thinking::Adaptive { display } => {
                o.str("type", "adaptive");
                o.text_if("display", display.as_ref());
            }
            Thinking::Enabled { budget_tokens, display } => {
                o.str("type", "enabled");
                o.value("budget_tokens", budget_tokens);
                o.text_if("display", display.as_ref());
            }
        });
    }
}
