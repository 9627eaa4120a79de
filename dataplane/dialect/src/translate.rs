//! From one dialect to the other by way of the chat model: a request to a provider, its answer back.

use crate::chat::{Request, Sampling};
use crate::fields::{Fields, Path};
use crate::{Dialect, Loss, Refusal, UpstreamModel, Usage, anthropic, openai};
use bytes::Bytes;

/// Most JSON values within one member of an answer: their decoded form is then no larger than an answer may be.
const MAX_VALUES: usize = 500_000;

/// The caller's side of an answer that is translated.
#[derive(Debug, Clone, Copy)]
pub struct Translation<'a> {
    /// What the provider speaks.
    pub from: Dialect,
    /// What the caller speaks.
    pub to: Dialect,
    /// The word that seals the provider's signatures.
    pub origin: &'a str,
    /// Unix seconds, for answers that do not say when they were made.
    pub now_s: u64,
    /// Whether the caller expects usage in its stream.
    pub wants_usage: bool,
}

/// Encodes a request for a provider. The refusal says what that provider cannot be asked.
pub fn encode_request(
    request: &Request<'_>,
    sampling: &Sampling,
    to: &UpstreamModel<'_>,
) -> Result<(Bytes, Loss), Refusal> {
    let (body, loss) = match to.dialect {
        Dialect::OpenAI => openai::encode_request(request, sampling, to)?,
        Dialect::Anthropic => anthropic::encode_request(request, sampling, to)?,
    };
    Ok((body.into(), loss))
}

impl Translation<'_> {
    /// A whole answer in the caller's dialect, and what it used. The error says why it is no answer.
    pub fn whole(&self, body: &[u8], loss: &mut Loss) -> Result<(Bytes, Option<Usage>), String> {
        let text = std::str::from_utf8(body).map_err(|e| e.to_string())?;
        let fields = Fields::scan(text, Path::Root).map_err(|refusal| refusal.message)?;
        fields.bound_values(MAX_VALUES).map_err(|refusal| refusal.message)?;
        let reply = match self.from {
            Dialect::OpenAI => openai::decode_reply(&fields, loss),
            Dialect::Anthropic => anthropic::decode_reply(&fields, loss),
        };
        let reply = reply.map_err(|refusal| refusal.message)?;
        let out = match self.to {
            Dialect::OpenAI => openai::encode_reply(&reply, self.origin, self.now_s, loss),
            Dialect::Anthropic => anthropic::encode_reply(&reply, self.origin, loss),
        };
        Ok((out.into(), reply.usage))
    }
}
