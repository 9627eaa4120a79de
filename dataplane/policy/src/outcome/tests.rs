//! What real providers answer, and what it means.

use super::*;

/// What the body of an answer with that status means.
fn answer(status: u16, body: &str) -> Failure {
    classify_status(status, ErrorBody::read(body.as_bytes()), None)
}

/// Errors as providers write them: the provider, the status, the body and what the error means.
const SEEN: &[(&str, u16, &str, FailureKind)] = {
    use FailureKind::*;
    &[
        (
            "OpenAI",
            401,
            r#"{"error":{"message":"Incorrect API key provided: sk-ab***yz.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
            CredentialRejected,
        ),
        (
            "OpenAI",
            401,
            r#"{"error":{"message":"The account is deactivated","type":"invalid_request_error","code":"account_deactivated"}}"#,
            CredentialRejected,
        ),
        (
            "OpenAI",
            429,
            r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            Quota,
        ),
        (
            "OpenAI",
            429,
            r#"{"error":{"message":"Your account is not active, please check your billing details","type":"billing_not_active","param":null,"code":"billing_not_active"}}"#,
            Quota,
        ),
        (
            "OpenAI",
            429,
            r#"{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
            RateLimited,
        ),
        (
            "OpenAI",
            429,
            r#"{"error":{"message":"Request too large for gpt-4o in organization org-x on tokens per min (TPM)","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
            TooCostly,
        ),
        (
            "OpenAI",
            403,
            r#"{"error":{"message":"Project `proj_x` does not have access to model `o3`","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#,
            ModelUnavailable,
        ),
        (
            "OpenAI",
            403,
            r#"{"error":{"code":"unsupported_country_region_territory","message":"Country, region, or territory not supported","param":null,"type":"request_forbidden"}}"#,
            NotPermitted,
        ),
        (
            "OpenAI",
            403,
            r#"{"error":{"message":"You have insufficient permissions for this operation","type":"invalid_request_error","code":"insufficient_permissions"}}"#,
            NotPermitted,
        ),
        (
            "OpenAI",
            400,
            r#"{"error":{"message":"Your organization must be verified to stream this model.","type":"invalid_request_error","param":"stream","code":"unsupported_value"}}"#,
            ModelUnavailable,
        ),
        (
            "OpenAI",
            400,
            r#"{"error":{"message":"too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            Request,
        ),
        (
            "OpenAI",
            503,
            r#"{"error":{"message":"busy","type":"server_error","code":"server_is_overloaded"}}"#,
            Overloaded,
        ),
        (
            "Anthropic",
            401,
            r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#,
            CredentialRejected,
        ),
        (
            "Anthropic",
            403,
            r#"{"type":"error","error":{"type":"permission_error","message":"Your API key does not have permission to use the specified resource."}}"#,
            NotPermitted,
        ),
        (
            "Anthropic",
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}"#,
            Quota,
        ),
        (
            "Anthropic",
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."}}"#,
            Quota,
        ),
        (
            "Anthropic",
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"This organization has been disabled."}}"#,
            CredentialRejected,
        ),
        ("Anthropic", 402, r#"{"type":"error","error":{"type":"billing_error","message":"billing"}}"#, Quota),
        (
            "Anthropic",
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"Extra usage is required for long context requests."}}"#,
            TooCostly,
        ),
        (
            "Anthropic",
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            Overloaded,
        ),
        (
            "OpenRouter",
            402,
            r#"{"error":{"message":"This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens, but can only afford 3395.","code":402,"metadata":{"provider_name":null}},"user_id":"user_x"}"#,
            TooCostly,
        ),
        ("OpenRouter", 402, r#"{"error":{"message":"Insufficient credits","code":402}}"#, Quota),
        ("OpenRouter", 403, r#"{"error":{"message":"Key limit exceeded (monthly limit)","code":403}}"#, Quota),
        (
            "OpenRouter",
            403,
            r#"{"error":{"code":403,"message":"Input flagged","metadata":{"reasons":["violence"],"flagged_input":"x"}}}"#,
            Request,
        ),
        ("OpenRouter", 401, r#"{"error":{"message":"User not found.","code":401}}"#, CredentialRejected),
        (
            "xAI",
            400,
            r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: up***am. You can obtain an API key from https://console.x.ai."}"#,
            CredentialRejected,
        ),
        (
            "xAI",
            403,
            r#"{"code":"The caller does not have permission to execute the specified operation","error":"Your newly created team doesn't have any credits or licenses yet."}"#,
            Quota,
        ),
        (
            "xAI",
            429,
            r#"{"code":"Some resource has been exhausted","error":"Your team 16f2 has either used all available credits or reached its monthly spending limit."}"#,
            Quota,
        ),
        (
            "xAI",
            403,
            r#"{"code":"The caller does not have permission to execute the specified operation","error":"no"}"#,
            NotPermitted,
        ),
        (
            "Gemini",
            400,
            r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}]"#,
            CredentialRejected,
        ),
        (
            "Gemini",
            400,
            r#"[{"error":{"code":400,"message":"API Key not found. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]"#,
            CredentialRejected,
        ),
        (
            "Gemini",
            400,
            r#"[{"error":{"code":400,"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}]"#,
            NotPermitted,
        ),
        ("Gemini", 403, r#"[{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}]"#, NotPermitted),
        (
            "Gemini",
            429,
            r#"[{"error":{"code":429,"message":"Resource has been exhausted (e.g. check quota).","status":"RESOURCE_EXHAUSTED"}}]"#,
            RateLimited,
        ),
        (
            "Gemini",
            400,
            r#"[{"error":{"code":400,"message":"Invalid JSON payload: bad field","status":"INVALID_ARGUMENT"}}]"#,
            Request,
        ),
        (
            "Azure",
            401,
            r#"{"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint."}}"#,
            CredentialRejected,
        ),
        (
            "Azure",
            403,
            r#"{"error":{"code":"403","message":"Access denied due to Virtual Network/Firewall rules."}}"#,
            NotPermitted,
        ),
        ("Azure", 404, r#"{"error":{"code":"DeploymentNotFound","message":"no"}}"#, ModelUnavailable),
        (
            "Azure",
            400,
            r#"{"error":{"code":"content_filter","message":"filtered","param":"prompt","type":null}}"#,
            Request,
        ),
        ("Mistral", 401, r#"{"detail":"Unauthorized"}"#, CredentialRejected),
        ("Cohere", 401, r#"{"message":"invalid api token"}"#, CredentialRejected),
        (
            "Groq",
            400,
            r#"{"error":{"message":"Organization has been restricted.","type":"invalid_request_error","code":"organization_restricted"}}"#,
            CredentialRejected,
        ),
        (
            "DeepSeek",
            402,
            r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#,
            Quota,
        ),
        (
            "vLLM",
            400,
            r#"{"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}"#,
            Request,
        ),
        (
            "vLLM",
            404,
            r#"{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","code":404}"#,
            ModelUnavailable,
        ),
        ("FastAPI", 422, r#"{"detail":[{"loc":["body","n"],"msg":"field required"}]}"#, Request),
        ("a proxy", 403, "<html>", NotPermitted),
        ("a proxy", 407, "", NotPermitted),
        ("a proxy", 522, "", Server),
        ("a proxy", 307, "", Redirect),
    ]
};

#[test]
fn each_error_is_the_fault_of_whom_its_provider_means() {
    for (provider, status, body, kind) in SEEN {
        assert_eq!(answer(*status, body).kind, *kind, "{provider} {status} {body}");
    }
}

#[test]
fn an_error_inside_an_answer_means_the_same() {
    let inside = |body: &str| classify_error(ErrorBody::read(body.as_bytes())).kind;
    for (provider, _, body, kind) in SEEN.iter().filter(|(provider, ..)| matches!(*provider, "OpenRouter" | "Gemini")) {
        if !body.contains("PERMISSION_DENIED") && !body.contains("bad field") {
            assert_eq!(inside(body), *kind, "{provider} {body}");
        }
    }
    assert_eq!(inside(r#"{"error":{"code":"529"}}"#), FailureKind::Overloaded);
    assert_eq!(inside(r#"{"object":"error","message":"m","type":"BadRequestError","code":400}"#), FailureKind::Request);
    assert_eq!(
        inside(r#"{"type":"error","error":{"type":"rate_limit_error","message":"m"}}"#),
        FailureKind::RateLimited
    );
    assert_eq!(inside(r#"{"error":{"message":"boom","type":"other"}}"#), FailureKind::Server);
}

#[test]
fn what_a_request_quotes_is_not_taken_for_the_providers_word() {
    let quoted =
        r#"{"error":{"message":"Invalid value: 'Your credit balance is too low', 'Incorrect API key provided'"}}"#;
    assert_eq!(answer(400, quoted).kind, FailureKind::Request);
}

#[test]
fn no_text_about_a_key_or_an_account_reaches_a_client_a_log_or_a_status() {
    for (provider, status, body, kind) in SEEN {
        let failure = answer(*status, body);
        let refusal = failure.refusal();
        let verbatim = refusal.verbatim.map(|said| said.body.into_string());
        let told =
            [Some(refusal.message), refusal.param.map(Cow::into_owned), Some(refusal.code.into_owned()), verbatim];
        let kept = [Some(failure.message.clone()), failure.trouble().map(|trouble| trouble.message)];
        for text in told.into_iter().chain(kept).flatten().map(|text| text.to_lowercase()) {
            for secret in
                ["***", "sk-", "balance", "org-x", "billing details", "team 16f2", "3395", "console.x.ai", "<html>"]
            {
                assert!(!text.contains(secret), "{provider} {status}: {text}");
            }
        }
        let of_account = matches!(
            kind,
            FailureKind::CredentialRejected | FailureKind::Quota | FailureKind::TooCostly | FailureKind::NotPermitted
        );
        assert!((failure.said.is_none() && failure.verbatim.is_none()) || !of_account, "{provider} {status}");
        assert!(!failure.message.contains("too long") && !failure.message.contains("flagged"), "{}", failure.message);
    }
    let private = answer(
        400,
        r#"{"error":{"message":"no such thing for key sk-abcdef","code":"sk-abcdef","param":"sk-abcdef"}}"#,
    );
    assert_eq!(private.message, "the provider answered 400");
    assert_eq!(private.refusal().message, "the provider answered 400");
    assert_eq!((&*private.refusal().code, private.refusal().param), ("invalid_request", None));
}

#[test]
fn a_client_hears_what_its_own_request_did_wrong_and_the_log_does_not() {
    let failure = answer(
        400,
        r#"{"error":{"message":"bad task-list in 'my secret prompt'","code":"bad_value","param":"messages[0]"}}"#,
    );
    let refusal = failure.refusal();
    assert_eq!((refusal.status, &*refusal.code, refusal.param.as_deref()), (400, "bad_value", Some("messages[0]")));
    assert_eq!(refusal.message, "bad task-list in 'my secret prompt'");
    assert_eq!(failure.message, "the provider answered 400 (bad_value)");
    let flagged =
        answer(403, r#"{"error":{"code":403,"message":"Input flagged","metadata":{"reasons":["violence"]}}}"#);
    assert_eq!((flagged.refusal().status, &*flagged.refusal().message), (403, "Input flagged"));
}

#[test]
fn a_provider_is_quoted_as_it_is_where_it_speaks_of_no_key_and_no_account() {
    let anthropic = |kind: &str, text: &str| {
        format!(
            r#"{{"type":"error","error":{{"details":null,"type":"{kind}","message":"{text}"}},"request_id":"req_011"}}"#
        )
    };
    let long = "prompt is too long: 208310 tokens > 200000 maximum";
    for (status, body) in [
        (400, anthropic("invalid_request_error", long)),
        (400, anthropic("invalid_request_error", "context_management: Extra inputs are not permitted")),
        (404, anthropic("not_found_error", "model: claude-x")),
        (413, anthropic("request_too_large", "Request exceeds the maximum size")),
        (429, anthropic("rate_limit_error", "Number of request tokens has exceeded the per-minute rate limit")),
        (500, anthropic("api_error", "Internal server error")),
        (503, anthropic("overloaded_error", "Overloaded")),
        (529, anthropic("overloaded_error", "Overloaded")),
    ] {
        let refusal = answer(status, &body).refusal();
        let said = refusal.verbatim.expect("it may be told");
        assert_eq!((refusal.status, said.status, &*said.body), (status, Some(status), &*body));
        assert_eq!(answer(status, &body).told_in(false).refusal().verbatim, None, "{body}");
    }
    let kept = answer(529, &anthropic("overloaded_error", "Overloaded for sk-secret-piece"));
    assert_eq!(kept.verbatim, None, "a key");
    let piece = answer(529, &anthropic("overloaded_error", "Overloaded for xy-secret-piece"));
    assert!(piece.verbatim.is_some() && piece.without("1-secret-1").verbatim.is_none(), "a piece of the key");
    for private in [
        anthropic("rate_limit_error", "This request would exceed your organization's rate limit of 40,000 tokens"),
        r#"{"error":{"message":"Rate limit reached for m in organization org-x on tokens","type":"tokens"}}"#
            .to_owned(),
        r#"{"error":{"message":"Rate limited","code":429},"user_id":"user_2abc"}"#.to_owned(),
        r#"{"error":{"message":"m","details":[{"metadata":{"consumer":"x/1"}}]}}"#.to_owned(),
        r#"{"error":{"message":"m","note":"y\u006fur api k\u0065y"}}"#.to_owned(),
    ] {
        assert_eq!(answer(429, &private).verbatim, None, "{private}");
    }
    assert_eq!(answer(429, &anthropic("rate_limit_error", "slow down")).told_in(false).refusal().message, "slow down");
}

#[test]
fn the_gateways_credential_is_never_the_clients_problem() {
    let refusal = answer(401, r#"{"error":{"message":"key sk-secret","code":"invalid_api_key"}}"#).refusal();
    assert_eq!(refusal.status, 502);
    assert!(!refusal.message.contains("sk-secret"));
}

#[test]
fn the_body_says_when_to_come_back_where_no_header_does() {
    let body = || ErrorBody { retry_after_ms: Some(34_070), ..ErrorBody::default() };
    assert_eq!(classify_status(429, body(), None).retry_after_ms, Some(34_070));
    assert_eq!(classify_status(429, body(), Some(1)).retry_after_ms, Some(1));
}

/// Whether a word of the text begins as a key of OpenAI does.
fn names_key(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.match_indices("sk-").any(|(at, _)| !text[..at].ends_with(char::is_alphanumeric))
}

#[test]
fn no_body_panics_or_brings_a_key_to_a_client_or_a_log() {
    bolero::check!().with_max_len(512).for_each(|bytes| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let quoted =
            serde_json::json!({"error": {"message": text, "code": text, "type": text, "param": text, "status": text}});
        for body in [
            bytes.to_vec(),
            quoted.to_string().into_bytes(),
            serde_json::json!([{"error": text}]).to_string().into_bytes(),
        ] {
            let body = ErrorBody::read(&body);
            let status = 300 + u16::from(bytes.first().copied().unwrap_or(100));
            for failure in [classify_status(status, body.clone(), None), classify_error(body)] {
                let refusal = failure.refusal();
                let trouble = failure.trouble().map(|trouble| trouble.message).unwrap_or_default();
                for told in [
                    &*refusal.message,
                    &*refusal.code,
                    refusal.param.as_deref().unwrap_or(""),
                    refusal.verbatim.as_ref().map_or("", |said| &said.texts),
                    &failure.message,
                    &trouble,
                ] {
                    assert!(!names_key(told), "{told}");
                }
            }
        }
    });
}
