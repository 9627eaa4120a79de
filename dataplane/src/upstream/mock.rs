//! The Mock provider: a deterministic upstream without a network, in the OpenAI dialect.
//!
//! Same request, same answer; which requests fail is a matter of counting, not of chance.

use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;
use weir_policy::{Failure, FailureKind};

/// Unix seconds that every mock answer was created at.
const CREATED: u64 = 1_700_000_000;

/// A mock upstream.
pub(crate) struct Mock {
    data: weir_snapshot::Mock,
    requests: AtomicU64,
}

/// What a mock answer depends on.
pub(super) struct Question<'a> {
    pub(super) model: &'a str,
    pub(super) stream: bool,
    pub(super) input_tokens: u64,
}

/// The bytes of one mock answer, each due after its pause.
pub(crate) struct Answer {
    pieces: VecDeque<(Duration, Bytes)>,
    wait: Option<Pin<Box<Sleep>>>,
    cut: bool,
}

impl Mock {
    pub(super) const fn new(data: weir_snapshot::Mock) -> Self {
        Self { data, requests: AtomicU64::new(0) }
    }

    pub(super) const fn data(&self) -> &weir_snapshot::Mock {
        &self.data
    }

    /// Status and body, after the latency; every so many requests with the error status.
    pub(super) async fn answer(&self, asked: &Question<'_>) -> (u16, Answer) {
        let latency = Duration::from_millis(self.data.latency_ms);
        if !asked.stream {
            tokio::time::sleep(latency).await;
        }
        let n = self.requests.fetch_add(1, Ordering::Relaxed);
        // Evenly spread: the n-th fails where the running share of failures steps up.
        let share = self.data.errors_per_mille;
        let fails = (n + 1) * share / 1_000 > n * share / 1_000;
        let (status, pieces) = if fails {
            let error = json!({"error": {"message": "injected by the Mock provider", "type": "server_error", "code": "mock_error"}});
            (self.data.error_status, VecDeque::from([(Duration::ZERO, error.to_string().into())]))
        } else if asked.stream {
            (200, self.events(asked, latency))
        } else {
            (200, VecDeque::from([(Duration::ZERO, self.whole(asked))]))
        };
        let cut = !fails && asked.stream && self.data.cut_after_tokens.is_some();
        (status, Answer { pieces, wait: None, cut })
    }

    fn tokens(&self) -> Vec<&str> {
        self.data.text.split_inclusive(' ').collect()
    }

    fn usage(&self, asked: &Question<'_>) -> Value {
        let (prompt, completion) = (asked.input_tokens, self.tokens().len() as u64);
        json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
    }

    fn whole(&self, asked: &Question<'_>) -> Bytes {
        let message = json!({"role": "assistant", "content": self.data.text, "refusal": null});
        json!({
            "id": "chatcmpl-mock", "object": "chat.completion", "created": CREATED, "model": asked.model,
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}],
            "usage": self.usage(asked)
        })
        .to_string()
        .into()
    }

    fn events(&self, asked: &Question<'_>, latency: Duration) -> VecDeque<(Duration, Bytes)> {
        let interval = Duration::from_millis(self.data.token_interval_ms);
        let event = |choices: Value, usage: Value| -> Bytes {
            let chunk = json!({
                "id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": CREATED, "model": asked.model,
                "choices": choices, "usage": usage
            });
            format!("data: {chunk}\n\n").into()
        };
        let part = |delta: Value, finish: Value| {
            event(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]), Value::Null)
        };
        let mut pieces =
            VecDeque::from([(Duration::ZERO, part(json!({"role": "assistant", "content": ""}), Value::Null))]);
        let tokens = self.tokens();
        let sent = self.data.cut_after_tokens.map_or(tokens.len(), |cut| usize::try_from(cut).unwrap_or(usize::MAX));
        for (n, token) in tokens.iter().enumerate().take(sent) {
            pieces.push_back((if n == 0 { latency } else { interval }, part(json!({"content": token}), Value::Null)));
        }
        if self.data.cut_after_tokens.is_none() {
            pieces.push_back((Duration::ZERO, part(json!({}), json!("stop"))));
            pieces.push_back((Duration::ZERO, event(json!([]), self.usage(asked))));
            pieces.push_back((Duration::ZERO, Bytes::from_static(b"data: [DONE]\n\n")));
        }
        pieces
    }
}

impl Answer {
    /// An answer of these bytes, each after its pause; `cut` = broken at the end.
    #[cfg(test)]
    pub(crate) fn scripted(pieces: impl IntoIterator<Item = (Duration, Bytes)>, cut: bool) -> Self {
        Self { pieces: pieces.into_iter().collect(), wait: None, cut }
    }

    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        if let Some(wait) = &mut self.wait {
            ready!(wait.as_mut().poll(cx));
            self.wait = None;
        }
        let Some((pause, piece)) = self.pieces.pop_front() else {
            let broken = Failure::local(FailureKind::Reset, "the Mock provider cut the stream");
            return Poll::Ready(std::mem::take(&mut self.cut).then_some(Err(broken)));
        };
        if pause.is_zero() {
            return Poll::Ready(Some(Ok(piece)));
        }
        self.pieces.push_front((Duration::ZERO, piece));
        self.wait = Some(Box::pin(tokio::time::sleep(pause)));
        self.poll_chunk(cx)
    }
}
