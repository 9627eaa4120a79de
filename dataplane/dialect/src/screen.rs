//! Which members of a request are taken at all: none that servers behind a target may read as another one, and none
//! that would move the request elsewhere.

use crate::json::{Member, Members};
use crate::names::{folded, is_odd};
use crate::{Dialect, Refusal};
use std::borrow::Cow;

/// Members by which a caller would say where a request goes, or bring its own credential, at any gateway or server
/// behind a target.
const FORBIDDEN: &[&str] = &[
    "api_base",
    "api_key",
    "api_type",
    "api_version",
    "azure_ad_token",
    "base_url",
    "custom_llm_provider",
    "default_headers",
    "deployment_id",
    "extra_body",
    "extra_headers",
    "extra_query",
    "headers",
    "model_list",
    "organization",
    "proxy",
    "user_config",
    "virtual_key",
];
/// The same by how they begin: those of LiteLLM that hold credentials of clouds.
const FORBIDDEN_PREFIXES: &[&str] = &["aws_", "azure_", "vertex_"];
/// Members by which gateways and servers behind a target (OpenRouter, LiteLLM, Bifrost, Portkey, Vercel, vLLM, SGLang) take
/// another model or provider than the request names, ask another host, or change what it costs.
const REROUTING: &[&str] = &[
    "adapters",
    "bootstrap_host",
    "bootstrap_port",
    "context_window_fallback_dict",
    "context_window_fallbacks",
    "content_policy_fallbacks",
    "disable_fallbacks",
    "draft_model",
    "fallback",
    "fallback_model",
    "fallback_models",
    "fallbacks",
    "kv_transfer_params",
    "lora_path",
    "mock_response",
    "mock_testing_fallbacks",
    "model_group",
    "models",
    "num_retries",
    "plugins",
    "preset",
    "priority",
    "provider",
    "providerOptions",
    "providers",
    "route",
    "router",
    "router_settings_override",
    "routing",
    "tags",
    "targets",
    "transforms",
];
const REROUTING_PREFIXES: &[&str] = &["litellm_"];
/// Members of either dialect.
const KNOWN: &[&str] = &[
    "audio",
    "best_of",
    "cache_control",
    "container",
    "context_management",
    "frequency_penalty",
    "function_call",
    "functions",
    "inference_geo",
    "input",
    "instructions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "min_p",
    "min_tokens",
    "modalities",
    "model",
    "moderation",
    "n",
    "output_config",
    "output_format",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "reasoning_effort",
    "repetition_penalty",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "speed",
    "stop",
    "stop_sequences",
    "store",
    "stream",
    "stream_options",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];
/// Objects whose members decide what is charged, and those members.
const NESTED: &[(&str, &[&str])] = &[
    ("stream_options", &["include_usage", "include_obfuscation"]),
    ("thinking", &["type", "budget_tokens", "display"]),
    ("output_config", &["effort", "format"]),
];
/// Other names of a limit of output, which no dialect has and some servers read.
const LIMITS: &[&str] = &["max_new_tokens", "max_output_tokens", "max_gen_len", "num_predict", "n_predict"];

/// Most elements of `messages`, which is the bound of the Anthropic API.
const MAX_MESSAGES: usize = 100_000;
/// Most JSON values within `messages`: their decoded form is then about as large as a body may be.
const MAX_MESSAGE_VALUES: usize = 300_000;
/// Most JSON values within any other member, such as the schemas in `tools`.
const MAX_VALUES: usize = 100_000;
/// Most stop sequences.
const MAX_STOP: usize = 256;

/// Refuses what is not taken; gives the members that only some providers may be sent.
pub(crate) fn screen(dialect: Dialect, members: &Members<'_>) -> Result<Vec<Box<str>>, Refusal> {
    let mut rerouting = Vec::new();
    for member in members.iter() {
        let name = &*member.name;
        cased(name, "", KNOWN, members)?;
        if let Some(meant) = member.resembled {
            let message = format!(
                "`{name}` has a member that differs from `{meant}` by case alone, and servers read it differently; write `{meant}`"
            );
            return Err(refused("invalid_value", name, message));
        }
        bounded(member)?;
        let other_dialects = dialect == Dialect::Anthropic && name == "max_completion_tokens";
        if known(name) && !other_dialects {
            continue;
        }
        if FORBIDDEN.contains(&name) || begins(name, FORBIDDEN_PREFIXES) {
            let why = "where a request goes, and with which credential, is the gateway's to decide; remove it";
            return Err(refused("unsupported_parameter", name, format!("`{name}` is not accepted: {why}")));
        }
        if LIMITS.contains(&name) || other_dialects {
            let mend = match dialect {
                Dialect::OpenAI => "max_completion_tokens",
                Dialect::Anthropic => "max_tokens",
            };
            let message = format!("`{name}` is no limit of this API; send `{mend}` in its place");
            return Err(refused("unsupported_parameter", name, message));
        }
        if REROUTING.contains(&name) || begins(name, REROUTING_PREFIXES) {
            rerouting.push(name.into());
        }
    }
    for (outer, inner) in NESTED {
        let Some(raw) = members.raw(outer).filter(|raw| raw.bytes().any(is_odd)) else { continue };
        if let Ok(held) = Members::scan(raw) {
            held.iter().try_for_each(|member| cased(&member.name, outer, inner, &held))?;
        }
    }
    Ok(rerouting)
}

/// The refusal of a member that a provider may not be sent.
pub(crate) fn not_allowed(name: &str) -> Refusal {
    let message = format!(
        "`{name}` is not accepted: gateways behind a provider may take another model by it; remove it, or have it named in `allowedRequestMembers` of the Provider"
    );
    refused("unsupported_parameter", name, message)
}

fn known(name: &str) -> bool {
    KNOWN.binary_search(&name).is_ok()
}

fn begins(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Refuses a name that differs by case alone from a known one or from another one beside it: servers differ in which
/// of them they read.
fn cased(name: &str, outer: &str, known: &[&str], beside: &Members<'_>) -> Result<(), Refusal> {
    if !name.bytes().any(is_odd) {
        return Ok(());
    }
    let folded = folded(name);
    let lists: [&[&str]; 4] =
        if outer.is_empty() { [known, FORBIDDEN, REROUTING, LIMITS] } else { [known, &[], &[], &[]] };
    let meant = lists.into_iter().flatten().copied().find(|held| *held == folded && *held != name);
    let other =
        || beside.iter().map(|member| &*member.name).find(|held| *held != name && held.to_lowercase() == folded);
    let prefixed = outer.is_empty() && (begins(&folded, FORBIDDEN_PREFIXES) || begins(&folded, REROUTING_PREFIXES));
    let Some(meant) = meant.or_else(other).or(prefixed.then_some(&*folded)) else { return Ok(()) };
    let path = if outer.is_empty() { String::new() } else { format!("{outer}.") };
    let message = format!(
        "`{path}{name}` differs from `{path}{meant}` by case alone, and servers read it differently; send `{path}{meant}`"
    );
    Err(refused("invalid_value", &format!("{path}{name}"), message))
}

fn bounded(member: &Member<'_>) -> Result<(), Refusal> {
    let name = &*member.name;
    let (elements, values) = match name {
        "messages" => (MAX_MESSAGES, MAX_MESSAGE_VALUES),
        "stop" | "stop_sequences" => (MAX_STOP, MAX_VALUES),
        _ => (usize::MAX, MAX_VALUES),
    };
    if member.elements > elements {
        let message = format!("`{name}` has {} entries, at most {elements} are accepted", member.elements);
        return Err(refused("array_above_max_length", name, message));
    }
    if member.values > values {
        let message = format!("`{name}` has over {values} JSON values");
        return Err(refused("invalid_value", name, message));
    }
    Ok(())
}

fn refused(code: &'static str, param: &str, message: String) -> Refusal {
    let shown: String = param.chars().take(128).collect();
    Refusal { param: Some(Cow::Owned(shown)), ..Refusal::invalid(code, None, message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screened(dialect: Dialect, body: &str) -> Result<Vec<Box<str>>, Refusal> {
        screen(dialect, &Members::scan(body).expect("an object"))
    }

    #[test]
    fn the_known_names_can_be_searched() {
        assert!(KNOWN.is_sorted());
    }

    #[test]
    fn a_name_that_differs_by_case_alone_is_refused_and_both_are_named() {
        for (body, names) in [
            (r#"{"model":"m","Model":"n"}"#, ["Model", "model"]),
            (r#"{"MAX_TOKENS":9}"#, ["MAX_TOKENS", "max_tokens"]),
            (r#"{"Api_Base":"x"}"#, ["Api_Base", "api_base"]),
            (r#"{"Models":[]}"#, ["Models", "models"]),
            (r#"{"LiteLLM_metadata":1}"#, ["LiteLLM_metadata", "litellm_metadata"]),
            (r#"{"ſtream":true}"#, ["ſtream", "stream"]),
            (r#"{"top_\u212a":1}"#, ["top_\u{212a}", "top_k"]),
            (r#"{"\u004dodel":1}"#, ["Model", "model"]),
            (r#"{"custom":1,"Custom":2}"#, ["Custom", "custom"]),
            (
                r#"{"stream_options":{"Include_Usage":false}}"#,
                ["stream_options.Include_Usage", "stream_options.include_usage"],
            ),
            (
                r#"{"thinking":{"type":"enabled","budget_Tokens":9}}"#,
                ["thinking.budget_Tokens", "thinking.budget_tokens"],
            ),
        ] {
            let refusal = screened(Dialect::OpenAI, body).expect_err(body);
            assert_eq!(refusal.param.as_deref(), Some(names[0]), "{body}");
            assert!(names.iter().all(|name| refusal.message.contains(name)), "{}", refusal.message);
        }
        for (body, param, meant) in [
            (r#"{"messages":[{"role":"user","Content":"a"}]}"#, "messages", "`content`"),
            (r#"{"messages":[{"content":[{"type":"text","Text":"a"}]}]}"#, "messages", "`text`"),
            (r#"{"messages":[{"Tool_Calls":[]}]}"#, "messages", "`tool_calls`"),
            (r#"{"messages":[{"tool_calls":[{"\u0046unction":{}}]}]}"#, "messages", "`function`"),
            (r#"{"tools":[{"type":"function","function":{"Name":"f"}}]}"#, "tools", "`name`"),
        ] {
            let refusal = screened(Dialect::OpenAI, body).expect_err(body);
            assert_eq!(refusal.param.as_deref(), Some(param), "{body}");
            assert!(refusal.message.contains(meant), "{}", refusal.message);
        }
        for body in [
            r#"{"messages":[{"content":[{"type":"tool_use","input":{"Name":1,"Content":2}}]}]}"#,
            r#"{"tools":[{"function":{"parameters":{"properties":{"Name":{},"Type":{}}}}}]}"#,
            r#"{"tools":[{"input_schema":{"properties":{"Name":{}}}}]}"#,
            r#"{"messages":[{"myOwn":1}]}"#,
        ] {
            assert_eq!(screened(Dialect::OpenAI, body), Ok(vec![]), "{body}");
        }
        for body in [r#"{"myOwn":1}"#, r#"{"chat_template_kwargs":{"Model":1}}"#, r#"{"größe":1}"#] {
            assert_eq!(screened(Dialect::OpenAI, body), Ok(vec![]), "{body}");
        }
    }

    #[test]
    fn what_moves_a_request_elsewhere_is_refused_or_asked_about() {
        for name in ["api_base", "base_url", "extra_body", "extra_headers", "aws_access_key_id", "vertex_credentials"] {
            let refusal = screened(Dialect::OpenAI, &format!("{{\"{name}\":1}}")).expect_err(name);
            assert!(refusal.message.contains(name), "{}", refusal.message);
        }
        for name in ["models", "route", "fallbacks", "provider", "plugins", "transforms", "litellm_metadata"] {
            let found = screened(Dialect::Anthropic, &format!("{{\"{name}\":1}}")).expect(name);
            assert_eq!(found.iter().map(|name| &**name).collect::<Vec<_>>(), [name]);
        }
    }

    #[test]
    fn another_name_of_the_output_limit_is_refused_with_the_right_one() {
        for (dialect, name, right) in [
            (Dialect::OpenAI, "max_output_tokens", "max_completion_tokens"),
            (Dialect::OpenAI, "max_new_tokens", "max_completion_tokens"),
            (Dialect::Anthropic, "max_completion_tokens", "`max_tokens`"),
        ] {
            let refusal = screened(dialect, &format!("{{\"{name}\":9}}")).expect_err(name);
            assert!(refusal.message.contains(right), "{}", refusal.message);
        }
    }

    #[test]
    fn lists_are_bounded_before_anything_is_built_from_them() {
        let list = |element: &str, times: usize| format!("[{}]", vec![element; times].join(","));
        for (name, value) in [
            ("stop", list("\"\"", MAX_STOP + 1)),
            ("stop_sequences", list("\"\"", MAX_STOP + 1)),
            ("messages", list("{}", MAX_MESSAGES + 1)),
            ("messages", format!("[{{\"content\":{}}}]", list("{\"type\":\"text\"}", MAX_MESSAGE_VALUES / 2))),
            ("tools", list("{}", MAX_VALUES + 1)),
            ("system", list("{}", MAX_VALUES + 1)),
            ("tool_choice", format!("{{\"allowed_tools\":{}}}", list("{}", MAX_VALUES))),
            ("custom", list("0", MAX_VALUES + 1)),
        ] {
            let refusal = screened(Dialect::OpenAI, &format!("{{\"{name}\":{value}}}")).expect_err(name);
            assert_eq!((refusal.status, refusal.param.as_deref()), (400, Some(name)));
        }
        assert_eq!(screened(Dialect::OpenAI, &format!("{{\"tools\":{}}}", list("{}", 1_000))), Ok(vec![]));
    }
}
