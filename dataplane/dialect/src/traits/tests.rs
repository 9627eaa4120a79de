//! A test of each family by the names that its models go by.

use super::*;
use crate::Dialect::{Anthropic, OpenAI};

const LOW: &[&str] = &["low", "medium", "high"];
const UP_TO_MAX: &[&str] = &["low", "medium", "high", "max"];
const ALL: &[&str] = &["low", "medium", "high", "xhigh", "max"];

#[track_caller]
fn efforts_are(traits: &Traits, expected: &[&str], name: &str) {
    let efforts = traits.efforts.as_ref().map(|list| list.iter().map(|effort| effort.as_str()).collect::<Vec<_>>());
    assert_eq!(efforts.as_deref(), Some(expected), "{name}");
}

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

#[test]
fn each_family_of_claude_has_its_traits_t68() {
    use {Thinks as T, Unasked as U, When as W};
    let late = W::UnlessThinking;
    for (names, thinking, unasked, efforts, sampling, forced, schemas, max) in [
        (
            &["claude-3-opus-20240229", "claude-3-haiku-20240307", "anthropic.claude-3-sonnet-20240229-v1:0"][..],
            T::None,
            U::Never,
            &[][..],
            W::Always,
            W::Always,
            false,
            4_096,
        ),
        (
            &["claude-3-5-haiku-latest", "claude-3-5-sonnet-20241022", "claude-3-5-sonnet@20240620"],
            T::None,
            U::Never,
            &[],
            W::Always,
            W::Always,
            false,
            8_192,
        ),
        (
            &["claude-3-7-sonnet-20250219", "claude-sonnet-4-20250514", "claude-sonnet-4-0", "claude-sonnet-4"],
            T::Budget,
            U::Never,
            &[],
            late,
            late,
            false,
            64_000,
        ),
        (
            &["claude-opus-4-20250514", "claude-opus-4-0", "claude-opus-4"],
            T::Budget,
            U::Never,
            &[],
            late,
            late,
            false,
            32_000,
        ),
        (&["claude-opus-4-1-20250805", "claude-opus-4.1"], T::Budget, U::Never, &[], late, late, true, 32_000),
        (
            &[
                "claude-sonnet-4-5",
                "claude-opus-4-5-20251101",
                "claude-haiku-4-5-20251001",
                "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                "databricks-claude-sonnet-4-5",
            ],
            T::Budget,
            U::Never,
            &[],
            late,
            late,
            true,
            64_000,
        ),
        (
            &["claude-opus-4-6", "claude-opus-4-6@default", "anthropic.claude-opus-4-6-v1"],
            T::Adaptive,
            U::Never,
            UP_TO_MAX,
            late,
            late,
            true,
            128_000,
        ),
        (&["claude-sonnet-4-6"], T::Adaptive, U::Never, UP_TO_MAX, late, late, true, 64_000),
        (
            &["claude-opus-4-7", "claude-opus-4-8", "claude-opus-4-7-20260416"],
            T::Adaptive,
            U::Never,
            ALL,
            W::Never,
            late,
            true,
            128_000,
        ),
        (
            &["claude-opus-5", "claude-sonnet-5", "claude-haiku-5-5", "global.anthropic.claude-opus-5"],
            T::Adaptive,
            U::ByDefault,
            ALL,
            W::Never,
            late,
            true,
            128_000,
        ),
        (
            &["claude-fable-5", "claude-mythos-5", "claude-mythos-preview"],
            T::Adaptive,
            U::Always,
            ALL,
            W::Never,
            late,
            true,
            128_000,
        ),
        (
            &["claude-fable-5-1", "claude-fable-5-2", "claude-mythos-5-1", "claude-opus-5-5", "claude-sonnet-5-5"],
            T::Adaptive,
            U::Always,
            ALL,
            W::Never,
            W::Never,
            true,
            128_000,
        ),
        (
            &["claude-opus-6", "claude-sonnet-4-9", "claude-newest"],
            T::Adaptive,
            U::Always,
            LOW,
            W::Never,
            late,
            true,
            64_000,
        ),
    ] {
        for name in names {
            let traits = Traits::of(Anthropic, name);
            assert_eq!((traits.thinking, traits.thinks_unasked), (thinking, unasked), "{name}");
            efforts_are(traits, efforts, name);
            assert_eq!((traits.sampling, traits.forced_tools), (sampling, forced), "{name}");
            assert_eq!((traits.schemas, traits.strict_tools), (schemas, schemas), "{name}");
            assert_eq!(traits.max_output, Some(max), "{name}");
        }
    }
    for (name, together) in [("claude-sonnet-4-0", true), ("claude-opus-4-1", false), ("claude-sonnet-4-6", false)] {
        assert_eq!(Traits::of(Anthropic, name).top_p_beside_temperature, together, "{name}");
    }
}

#[test]
fn each_family_of_openai_has_its_traits() {
    use {Unasked as U, When as W};
    const NONE_UP: &[&str] = &["none", "low", "medium", "high"];
    const NONE_TO_XHIGH: &[&str] = &["none", "low", "medium", "high", "xhigh"];
    for (names, unasked, efforts, sampling, stop, schemas, newer_limit) in [
        (
            &[
                "gpt-3.5-turbo-0125",
                "gpt-35-turbo",
                "gpt-4",
                "gpt-4-turbo-2024-04-09",
                "gpt-4-1106-preview",
                "gpt-4o-2024-05-13",
            ][..],
            U::Never,
            &[][..],
            W::Always,
            true,
            false,
            false,
        ),
        (
            &[
                "gpt-4o",
                "gpt-4o-mini-2024-07-18",
                "gpt-4.1",
                "gpt-4.1-nano-2025-04-14",
                "ft:gpt-4o-mini:org::id",
                "openai/gpt-4.1",
                "chatgpt-4o-latest",
            ],
            U::Never,
            &[],
            W::Always,
            true,
            true,
            false,
        ),
        (&["gpt-4o-search-preview-2025-03-11"], U::Never, &[], W::Never, false, true, false),
        (&["o1-mini", "o1-preview-2024-09-12"], U::Always, &[], W::Never, true, false, true),
        (&["o1", "o1-2024-12-17", "o3-mini"], U::Always, LOW, W::Never, true, true, true),
        (&["o3", "o4-mini-2025-04-16", "azure/o3-2025-04-16"], U::Always, LOW, W::Never, false, true, true),
        (
            &["gpt-5", "gpt-5-2025-08-07", "gpt-5-mini", "gpt-5-nano-2025-08-07", "openai/gpt-5"],
            U::Always,
            &["minimal", "low", "medium", "high"],
            W::Never,
            false,
            true,
            true,
        ),
        (&["gpt-5-chat-latest"], U::Never, &[], W::Always, true, true, true),
        (&["gpt-5.2-chat-latest"], U::Always, &["medium"], W::Never, false, true, true),
        (&["gpt-5.1", "gpt-5.1-2025-11-13"], U::Never, NONE_UP, W::UnlessThinking, false, true, true),
        (&["gpt-5.2", "gpt-5.4-mini-2026-03-17"], U::Never, NONE_TO_XHIGH, W::UnlessThinking, false, true, true),
        (
            &["gpt-5.4-pro", "gpt-5.2-pro-2025-12-11"],
            U::Always,
            &["medium", "high", "xhigh"],
            W::Never,
            false,
            true,
            true,
        ),
        (&["gpt-5.5", "gpt-5.6-sol", "gpt-6-luna"], U::ByDefault, NONE_TO_XHIGH, W::UnlessThinking, false, true, true),
        (
            &["gpt-6-astra", "gpt-6.1-sol", "gpt-5.9"],
            U::Always,
            &["low", "medium", "high", "xhigh"],
            W::Never,
            false,
            true,
            true,
        ),
        (&["gpt-oss-120b", "openai/gpt-oss-20b"], U::Always, LOW, W::Always, true, true, false),
        (
            &["gemini-2.5-flash-lite", "google/gemini-2.5-flash"],
            U::ByDefault,
            &["none", "minimal", "low", "medium", "high"],
            W::Always,
            true,
            true,
            false,
        ),
        (
            &["gemini-2.5-pro", "gemini-3.1-pro-preview", "models/gemini-3-flash-preview"],
            U::Always,
            LOW,
            W::Always,
            true,
            true,
            false,
        ),
        (&["mistral-medium-3-5", "mistral-small-latest"], U::Never, &["none", "high"], W::Always, true, true, false),
        (&["mistral-large-latest", "codestral-2508"], U::Never, &[], W::Always, true, true, false),
        (&["grok-3-mini"], U::Always, &["low", "high"], W::Always, false, true, false),
        (
            &[
                "meta-llama/Llama-3.3-70B-Instruct-Turbo",
                "llama-3.1-8b",
                "accounts/fireworks/models/llama-v3p1-8b-instruct",
            ],
            U::Never,
            &[],
            W::Always,
            true,
            true,
            false,
        ),
    ] {
        for name in names {
            let traits = Traits::of(OpenAI, name);
            efforts_are(traits, efforts, name);
            assert_eq!((traits.thinks_unasked, traits.sampling, traits.stop), (unasked, sampling, stop), "{name}");
            assert_eq!((traits.schemas, traits.max_completion_tokens), (schemas, newer_limit), "{name}");
        }
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
        efforts_are(traits, ALL, name);
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
