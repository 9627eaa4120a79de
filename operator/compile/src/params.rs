//! What a target does to the parameters of a request, as pods take it.
//!
//! The schema has seen to it that nothing contradicts; here it only changes its form.

use crate::spec::number;
use weir_crds::ReasoningEffort;
use weir_snapshot::{Caps, ParamName, Params};

/// What a target does to parameters.
#[derive(Default)]
pub(crate) struct ParamSets {
    pub(crate) defaults: Params,
    pub(crate) overrides: Params,
    pub(crate) caps: Caps,
    pub(crate) remove: Vec<ParamName>,
}

/// Reads what a target says of parameters.
pub(crate) fn read(spec: Option<&weir_crds::ParamSets>) -> ParamSets {
    let Some(weir_crds::ParamSets { defaults, overrides, caps, remove }) = spec else { return ParamSets::default() };
    let mut remove: Vec<_> = remove.iter().copied().map(name).collect();
    remove.sort();
    ParamSets {
        defaults: defaults.as_ref().map(given).unwrap_or_default(),
        overrides: overrides.as_ref().map(given).unwrap_or_default(),
        caps: caps.as_ref().map(bounds).unwrap_or_default(),
        remove,
    }
}

fn given(spec: &weir_crds::Params) -> Params {
    let weir_crds::Params {
        max_output_tokens,
        temperature,
        top_p,
        frequency_penalty,
        presence_penalty,
        seed,
        reasoning_effort,
    } = spec;
    Params {
        max_output_tokens: number(*max_output_tokens),
        temperature: *temperature,
        top_p: *top_p,
        frequency_penalty: *frequency_penalty,
        presence_penalty: *presence_penalty,
        seed: *seed,
        reasoning_effort: reasoning_effort.map(|effort| effort_name(effort).to_owned()),
    }
}

const fn effort_name(effort: ReasoningEffort) -> &'static str {
    match effort {
        ReasoningEffort::None => "none",
        ReasoningEffort::Minimal => "minimal",
        ReasoningEffort::Low => "low",
        ReasoningEffort::Medium => "medium",
        ReasoningEffort::High => "high",
        ReasoningEffort::XHigh => "xhigh",
    }
}

fn bounds(spec: &weir_crds::Caps) -> Caps {
    let weir_crds::Caps { max_output_tokens, temperature, top_p } = spec;
    Caps { max_output_tokens: number(*max_output_tokens), temperature: *temperature, top_p: *top_p }
}

const fn name(name: weir_crds::ParamName) -> ParamName {
    match name {
        weir_crds::ParamName::MaxOutputTokens => ParamName::MaxOutputTokens,
        weir_crds::ParamName::Temperature => ParamName::Temperature,
        weir_crds::ParamName::TopP => ParamName::TopP,
        weir_crds::ParamName::FrequencyPenalty => ParamName::FrequencyPenalty,
        weir_crds::ParamName::PresencePenalty => ParamName::PresencePenalty,
        weir_crds::ParamName::Seed => ParamName::Seed,
        weir_crds::ParamName::ReasoningEffort => ParamName::ReasoningEffort,
    }
}
