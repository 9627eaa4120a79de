//! A target's typed parameters as members of the upstream's requests.

use weir_dialect::openai::Param;
use weir_snapshot::{Params, ProviderType};

/// The parameters that are set, named as that provider names them.
pub(crate) fn encode(params: &Params, provider: ProviderType) -> Vec<Param> {
    let Params { max_output_tokens, temperature, top_p, frequency_penalty, presence_penalty, seed, reasoning_effort } =
        params;
    // Only OpenAI itself refuses `max_tokens` (reasoning models); many compatible servers know nothing else.
    let max: &'static [&'static str] = match provider {
        ProviderType::OpenAI => &["max_completion_tokens", "max_tokens"],
        ProviderType::OpenAICompatible | ProviderType::Anthropic | ProviderType::Mock => {
            &["max_tokens", "max_completion_tokens"]
        }
    };
    let mut out = Vec::new();
    let mut set = |names: &'static [&'static str], value: Option<String>| {
        out.extend(value.map(|value| Param { names, value: value.into() }));
    };
    set(max, max_output_tokens.map(|n| n.to_string()));
    set(&["temperature"], temperature.map(|n| n.to_string()));
    set(&["top_p"], top_p.map(|n| n.to_string()));
    set(&["frequency_penalty"], frequency_penalty.map(|n| n.to_string()));
    set(&["presence_penalty"], presence_penalty.map(|n| n.to_string()));
    set(&["seed"], seed.map(|n| n.to_string()));
    set(
        &["reasoning_effort"],
        reasoning_effort.as_ref().map(|text| serde_json::Value::from(text.as_str()).to_string()),
    );
    out
}
