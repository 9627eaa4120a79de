//! From one dialect to the other by way of the chat model: a request to a provider, its answer back.

use crate::chat::{Reply, Request, Sampling};
use crate::peek::{NoEvent, Read};
use crate::{Dialect, Loss, Refusal, UpstreamModel, Usage, anthropic, openai};
use bytes::Bytes;

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
    /// Any number, another one for each answer: ids that the provider leaves out are made up of that.
    pub seed: u64,
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
    pub fn whole(&self, body: &[u8], loss: &mut Loss) -> Result<(Bytes, Option<Usage>), NoEvent> {
        let mut reply = Reply::default();
        let mut tell = |delta| reply.add(delta, loss);
        match self.from {
            Dialect::OpenAI => {
                let mut reader = openai::Reader::new(self.seed);
                if let Read::Error(_) = reader.read_whole(body, &mut tell)? {
                    return Err(NoEvent("it is an error".to_owned()));
                }
                reader.end(&mut tell)?;
            }
            Dialect::Anthropic => {
                let mut reader = anthropic::Reader::new(self.seed);
                reader.read_whole(body, &mut tell)?;
                reader.end(&mut tell)?;
            }
        }
        let out = match self.to {
            Dialect::OpenAI => openai::encode_reply(&reply, self, loss),
            Dialect::Anthropic => anthropic::encode_reply(&reply, self, loss),
        };
        Ok((out.into(), reply.usage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Call;

    #[test]
    fn a_large_request_is_written_into_room_that_it_does_not_outgrow() {
        let text = "All work and no play.\\n".repeat(100_000);
        let image = "QUJD".repeat(500_000);
        let openai = |content: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]}}"#);
        let anthropic = |content: &str| openai(content).replace("\"m\",", "\"m\",\"max_tokens\":9,");
        let url = format!(r#"[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{image}"}}}}]"#);
        let source =
            format!(r#"[{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{image}"}}}}]"#);
        for (from, to, body) in [
            (Dialect::OpenAI, Dialect::Anthropic, openai(&format!("\"{text}\""))),
            (Dialect::OpenAI, Dialect::Anthropic, openai(&url)),
            (Dialect::Anthropic, Dialect::OpenAI, anthropic(&format!("\"{text}\""))),
            (Dialect::Anthropic, Dialect::OpenAI, anthropic(&source)),
        ] {
            let request = Call::read(from, body.as_bytes()).and_then(|call| call.decode()).expect("it can be read");
            let to = UpstreamModel { dialect: to, vendor: true, name: "up", max_output: None, origin: "o" };
            let (sent, _) = encode_request(&request, &request.sampling, &to).expect("it can be sent");
            assert!(sent.len() > 1_000_000 && sent.len() <= request.room().capacity(), "{}", sent.len());
        }
    }
}
