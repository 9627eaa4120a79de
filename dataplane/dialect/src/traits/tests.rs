//! A test of each family by the names that its models go by.

use super::*;
use crate::Dialect::{Anthropic, OpenAI};

#[test]
fn the_table_reads_and_no_name_stands_in_it_twice() {
    let table: Table = serde_json::from_str(TEXT).unwrap();
    for families in [&table.anthropic.families, &table.openai.families] {
        let mut names: Vec<_> = families.iter().flat_map(|family| &family.names).collect();
        assert!(names.len() > 10);
        assert!(
            names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
        );
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}

/// Names and, after each `=`, how their models think, whether unasked, with which efforts; when they sample, and when
/// they can be made to call a tool; whether they answer by schemas; most tokens of output.
const CLAUDE: &str = "
claude-3-opus-20240229 claude-3-haiku-20240307 anthropic.claude-3-sonnet-20240229-v1:0 = None Never [] Always Always false 4096
claude-3-5-haiku-latest claude-3-5-sonnet-20241022 claude-3-5-sonnet@20240620 = None Never [] Always Always false 8192
claude-3-7-sonnet-20250219 claude-sonnet-4-20250514 claude-sonnet-4-0 claude-sonnet-4 = Budget Never [] UnlessThinking UnlessThinking false 64000
claude-opus-4-20250514 claude-opus-4-0 claude-opus-4 = Budget Never [] UnlessThinking UnlessThinking false 32000
claude-opus-4-1-20250805 claude-opus-4.1 = Budget Never [] UnlessThinking UnlessThinking true 32000
claude-sonnet-4-5 claude-opus-4-5-20251101 claude-haiku-4-5-20251001 = Budget Never [] UnlessThinking UnlessThinking true 64000
us.anthropic.claude-sonnet-4-5-20250929-v1:0 databricks-claude-sonnet-4-5 = Budget Never [] UnlessThinking UnlessThinking true 64000
claude-opus-4-6 claude-opus-4-6@default anthropic.claude-opus-4-6-v1 = Adaptive Never [low,medium,high,max] UnlessThinking UnlessThinking true 128000
claude-sonnet-4-6 = Adaptive Never [low,medium,high,max] UnlessThinking UnlessThinking true 64000
claude-opus-4-7 claude-opus-4-8 claude-opus-4-7-20260416 = Adaptive Never [low,medium,high,xhigh,max] Never UnlessThinking true 128000
claude-opus-5 claude-sonnet-5 claude-haiku-5-5 global.anthropic.claude-opus-5 = Adaptive ByDefault [low,medium,high,xhigh,max] Never UnlessThinking true 128000
claude-fable-5 claude-mythos-5 claude-mythos-preview = Adaptive Always [low,medium,high,xhigh,max] Never UnlessThinking true 128000
claude-fable-5-1 claude-fable-5-2 claude-mythos-5-1 = Adaptive Always [low,medium,high,xhigh,max] Never Never true 128000
claude-opus-5-5 claude-sonnet-5-5 = Adaptive Always [low,medium,high,xhigh,max] Never Never true 128000
claude-opus-6 claude-sonnet-4-9 claude-newest = Adaptive Always [low,medium,high] Never UnlessThinking true 64000";

/// Names and, after each `=`, whether their models reason unasked, and with which efforts; when they sample; whether
/// they take stop sequences and schemas, and only the newer name of the output limit.
const OPENAI: &str = "
gpt-3.5-turbo-0125 gpt-35-turbo gpt-4 gpt-4-turbo-2024-04-09 gpt-4-1106-preview gpt-4o-2024-05-13 = Never [] Always true false false
gpt-4o gpt-4o-mini-2024-07-18 gpt-4.1 gpt-4.1-nano-2025-04-14 chatgpt-4o-latest = Never [] Always true true false
ft:gpt-4o-mini:org::id openai/gpt-4.1 = Never [] Always true true false
gpt-4o-search-preview-2025-03-11 gpt-5-search-api = Never [] Never false true false
o1-mini o1-preview-2024-09-12 = Always [] Never true false true
o1 o1-2024-12-17 o3-mini = Always [low,medium,high] Never true true true
o3 o4-mini-2025-04-16 azure/o3-2025-04-16 = Always [low,medium,high] Never false true true
gpt-5 gpt-5-2025-08-07 gpt-5-mini gpt-5-nano-2025-08-07 openai/gpt-5 = Always [minimal,low,medium,high] Never false true true
gpt-5-pro = Always [high] Never false true true
gpt-5-codex gpt-5.1-codex-max = Always [low,medium,high] Never false true true
gpt-5-chat-latest = Never [] Always true true true
gpt-5.2-chat-latest = Always [medium] Never false true true
gpt-5.1 gpt-5.1-2025-11-13 = Never [none,low,medium,high] UnlessThinking false true true
gpt-5.2 gpt-5.4-mini-2026-03-17 = Never [none,low,medium,high,xhigh] UnlessThinking false true true
gpt-5.4-pro gpt-5.2-pro-2025-12-11 = Always [medium,high,xhigh] Never false true true
gpt-5.5 gpt-5.6-sol gpt-6-luna = ByDefault [none,low,medium,high,xhigh] UnlessThinking false true true
gpt-6-astra gpt-6.1-sol gpt-5.9 = Always [low,medium,high,xhigh] Never false true true
gpt-oss-120b openai/gpt-oss-20b = Always [low,medium,high] Always true true false
gemini-2.5-flash-lite google/gemini-2.5-flash = ByDefault [none,minimal,low,medium,high] Always true true false
gemini-2.5-pro gemini-3.1-pro-preview models/gemini-3-flash-preview = Always [low,medium,high] Always true true false
mistral-medium-3-5 mistral-small-latest = Never [none,high] Always true true false
mistral-large-latest codestral-2508 = Never [] Always true true false
grok-3-mini = Always [low,high] Always false true false
grok-4 grok-4-0709 grok-code-fast-1 = Always [] Always false true false
meta-llama/Llama-3.3-70B-Instruct-Turbo llama-3.1-8b accounts/fireworks/models/llama-v3p1-8b-instruct = Never [] Always true true false";

fn efforts(traits: &Traits) -> String {
    let known = traits.efforts.as_deref().unwrap_or_default();
    format!("[{}]", known.iter().map(|effort| effort.as_str()).collect::<Vec<_>>().join(","))
}

#[track_caller]
fn each(table: &str, summary: impl Fn(&str) -> String) {
    for row in table.trim().lines() {
        let (names, expected) = row.split_once(" = ").unwrap();
        names.split(' ').for_each(|name| assert_eq!(summary(name), expected, "{name}"));
    }
}

#[test]
fn each_family_of_claude_has_its_traits_t68() {
    each(CLAUDE, |name| {
        let traits = Traits::of(Anthropic, name);
        let Traits { thinking, thinks_unasked, sampling, forced_tools, schemas, .. } = traits;
        assert_eq!(traits.strict_tools, *schemas, "{name}");
        let most = traits.max_output.unwrap();
        format!("{thinking:?} {thinks_unasked:?} {} {sampling:?} {forced_tools:?} {schemas} {most}", efforts(traits))
    });
    for (name, together) in [("claude-sonnet-4-0", true), ("claude-opus-4-1", false), ("claude-sonnet-4-6", false)] {
        assert_eq!(Traits::of(Anthropic, name).top_p_beside_temperature, together, "{name}");
    }
}

#[test]
fn each_family_of_openai_has_its_traits() {
    each(OPENAI, |name| {
        let traits = Traits::of(OpenAI, name);
        let Traits { thinks_unasked, sampling, stop, schemas, max_completion_tokens, .. } = traits;
        format!("{thinks_unasked:?} {} {sampling:?} {stop} {schemas} {max_completion_tokens}", efforts(traits))
    });
    for (name, marks, one_by_one) in [
        ("gpt-4o", false, true),
        ("o1", false, false),
        ("o3-mini", false, false),
        ("o4-mini", false, false),
        ("gpt-5", false, true),
        ("gpt-5.5", false, true),
        ("gpt-5.5-pro", false, true),
        ("gpt-5.6", true, true),
        ("gpt-6.1-sol", true, true),
        ("my-own-model", true, true),
    ] {
        let traits = Traits::of(OpenAI, name);
        assert_eq!((traits.cache_breakpoints, traits.parallel_tool_calls), (marks, one_by_one), "{name}");
    }
    for (name, takes) in [("gemini-2.5-pro", false), ("mistral-large-latest", false), ("qwen3-32b", true)] {
        assert_eq!(Traits::of(OpenAI, name).top_k, takes, "{name}");
    }
}

#[test]
fn a_name_that_nobody_knows_takes_what_comes() {
    let names = [
        "my-own-model",
        "prod-chat",
        "deepseek-chat",
        "deepseek-r1-distill-llama-70b",
        "Qwen/Qwen3-32B",
        "kimi-k2",
        "",
        "-",
    ];
    for name in names.into_iter().chain(["gpt", "gptx-5", "o", "o35", "anthropic/claude-sonnet-4.5"]) {
        assert_eq!(Traits::of(OpenAI, name), &Traits::default(), "{name}");
    }
    for name in ["my-own-model", "deepseek-chat", "glm-4.6", "kimi-k2", "gpt-5"] {
        let traits = Traits::of(Anthropic, name);
        assert_eq!((traits.thinking, traits.max_output), (Thinks::Adaptive, Some(8_192)), "{name}");
        assert_eq!((traits.sampling, traits.schemas), (When::UnlessThinking, true), "{name}");
        assert_eq!(efforts(traits), "[low,medium,high,xhigh,max]", "{name}");
    }
}

#[test]
fn an_effort_becomes_the_nearest_that_is_known_t47() {
    let effort = |dialect, name, asked: &str| {
        let asked = Effort::parse(asked).unwrap();
        Traits::of(dialect, name).effort(asked).map(Effort::as_str)
    };
    for (dialect, name, asked, expected) in [
        (Anthropic, "claude-opus-4-6", "xhigh", Some("high")),
        (Anthropic, "claude-opus-4-6", "max", Some("max")),
        (Anthropic, "claude-opus-4-7", "xhigh", Some("xhigh")),
        (Anthropic, "claude-opus-4-6", "minimal", Some("low")),
        (Anthropic, "claude-fable-5", "none", Some("low")),
        (Anthropic, "claude-3-opus", "high", None),
        (OpenAI, "gpt-5", "none", Some("minimal")),
        (OpenAI, "gpt-5", "xhigh", Some("high")),
        (OpenAI, "gpt-5.1", "minimal", Some("low")),
        (OpenAI, "o3", "minimal", Some("low")),
        (OpenAI, "gpt-5.6", "max", Some("xhigh")),
        (OpenAI, "mistral-small", "low", Some("high")),
        (OpenAI, "gpt-4o", "high", None),
        (OpenAI, "my-own-model", "max", Some("max")),
    ] {
        assert_eq!(effort(dialect, name, asked), expected, "{name}: {asked}");
    }
}
