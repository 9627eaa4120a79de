//! What a target makes of the caller's sampling: removed, filled in, replaced, then bounded.

use weir_dialect::chat::{Effort, Sampling};
use weir_snapshot::{Caps, ParamName, Params, Target};

/// Whether the target changes anything.
pub(crate) fn tunes(target: &Target) -> bool {
    !target.defaults.is_empty() || !target.overrides.is_empty() || !target.caps.is_empty() || !target.remove.is_empty()
}

/// The sampling that the target is asked for.
pub(crate) fn tuned(target: &Target, asked: &Sampling) -> Sampling {
    let mut sampling = *asked;
    for name in &target.remove {
        match name {
            ParamName::MaxOutputTokens => sampling.max_output = None,
            ParamName::Temperature => sampling.temperature = None,
            ParamName::TopP => sampling.top_p = None,
            ParamName::FrequencyPenalty => sampling.frequency_penalty = None,
            ParamName::PresencePenalty => sampling.presence_penalty = None,
            ParamName::Seed => sampling.seed = None,
            ParamName::ReasoningEffort => sampling.effort = None,
        }
    }
    let (fills, forces) = (of(&target.defaults), of(&target.overrides));
    let Caps { max_output_tokens, temperature, top_p } = target.caps;
    let lower = |value: Option<f64>, cap: Option<f64>| value.map(|value| cap.map_or(value, |cap| value.min(cap)));
    let max_output = forces.max_output.or(sampling.max_output).or(fills.max_output);
    Sampling {
        // No limit is a limit above every cap.
        max_output: max_output
            .map_or(max_output_tokens, |value| Some(max_output_tokens.map_or(value, |cap| value.min(cap)))),
        temperature: lower(forces.temperature.or(sampling.temperature).or(fills.temperature), temperature),
        top_p: lower(forces.top_p.or(sampling.top_p).or(fills.top_p), top_p),
        top_k: sampling.top_k,
        frequency_penalty: forces.frequency_penalty.or(sampling.frequency_penalty).or(fills.frequency_penalty),
        presence_penalty: forces.presence_penalty.or(sampling.presence_penalty).or(fills.presence_penalty),
        seed: forces.seed.or(sampling.seed).or(fills.seed),
        effort: forces.effort.or(sampling.effort).or(fills.effort),
    }
}

fn of(params: &Params) -> Sampling {
    let Params { max_output_tokens, temperature, top_p, frequency_penalty, presence_penalty, seed, reasoning_effort } =
        params;
    Sampling {
        max_output: *max_output_tokens,
        temperature: *temperature,
        top_p: *top_p,
        top_k: None,
        frequency_penalty: *frequency_penalty,
        presence_penalty: *presence_penalty,
        seed: *seed,
        effort: reasoning_effort.as_deref().and_then(Effort::parse),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        serde_json::from_value(serde_json::json!({
            "name": "t", "provider": {"namespace": "n", "name": "p"}, "weight": 1
        }))
        .expect("a target")
    }

    #[test]
    fn defaults_fill_overrides_force_caps_lower_and_removed_is_gone() {
        let asked = Sampling { temperature: Some(1.5), seed: Some(3), max_output: Some(500), ..Sampling::default() };
        let mut target = target();
        assert!(!tunes(&target));
        assert_eq!(tuned(&target, &asked), asked);
        target.defaults = Params { temperature: Some(0.2), top_p: Some(0.9), ..Params::default() };
        target.overrides = Params { reasoning_effort: Some("low".into()), ..Params::default() };
        target.caps = Caps { temperature: Some(1.0), max_output_tokens: Some(100), top_p: Some(0.5) };
        target.remove = vec![ParamName::Seed];
        assert!(tunes(&target));
        let expected = Sampling {
            temperature: Some(1.0),
            top_p: Some(0.5),
            max_output: Some(100),
            effort: Some(Effort::Low),
            ..Sampling::default()
        };
        assert_eq!(tuned(&target, &asked), expected);
        assert_eq!(tuned(&target, &Sampling::default()).max_output, Some(100), "no limit is above the cap");
        assert_eq!(tuned(&target, &Sampling { max_output: Some(7), ..asked }).max_output, Some(7));
    }
}
