//! Providers that answer as the vendors of the two dialects do, and refuse what those refuse.
//!
//! An answer follows from what was understood of the request alone, told in words that no dialect has, so that
//! one expectation holds for every crossing.

mod anthropic;
mod openai;
mod words;

pub use words::TOKENS;

use serde_json::{Value, json};

use crate::manifests;
use crate::provider::{Provider, Script};
use words::{Reply, SECRET};

/// What a provider or a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the vendors")]
pub enum Dialect {
    OpenAI,
    Anthropic,
}

impl Dialect {
    /// Both.
    pub const ALL: [Self; 2] = [Self::OpenAI, Self::Anthropic];

    /// An error in its form.
    pub fn error(self, status: u16, kind: &str, message: &str) -> Script {
        match self {
            Self::OpenAI => Script::error(status, kind, None, message),
            Self::Anthropic => Script::json(
                status,
                &json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}),
            ),
        }
    }
}

/// Makes a provider answer as the vendor of that dialect, with signatures of its own.
pub fn be(provider: &Provider, dialect: Dialect, signature: &'static str) {
    serve(provider, dialect, signature, |asked| asked);
}

/// The same, with answers of that tier of service whatever is asked for; `None` is the standard one.
pub fn be_of_tier(provider: &Provider, dialect: Dialect, tier: Option<&'static str>) {
    serve(provider, dialect, "signature", move |_| tier.map(str::to_owned));
}

fn serve(
    provider: &Provider,
    dialect: Dialect,
    signature: &'static str,
    tier: impl Fn(Option<String>) -> Option<String> + Send + Sync + 'static,
) {
    provider.respond(move |record| {
        let asked = match dialect {
            Dialect::OpenAI => openai::understood(record),
            Dialect::Anthropic => anthropic::understood(record),
        };
        match asked {
            Err(why) => dialect.error(400, "invalid_request_error", &why),
            Ok(asked) => {
                let (mut reply, streamed) = (Reply::to(&asked, signature), asked.streamed);
                reply.tier = tier(reply.tier);
                match dialect {
                    Dialect::OpenAI => openai::script(&reply, streamed),
                    Dialect::Anthropic => anthropic::script(&reply, streamed),
                }
            }
        }
    });
}

/// A Provider object for a vendor, with any model.
pub fn manifest(name: &str, dialect: Dialect, provider: &Provider) -> Value {
    let url = match dialect {
        Dialect::OpenAI => provider.url(),
        Dialect::Anthropic => format!("http://{}", provider.address()),
    };
    json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "Provider", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "type": format!("{dialect:?}"),
            "endpoint": {"url": url, "allowPlaintext": true},
            "credentials": [{"name": "main", "secretRef": {"name": "upstream"}}],
            "modelPolicy": "Any",
        },
    })
}

/// The Secret that such a Provider names.
pub fn secret() -> Value {
    manifests::secret("default", "upstream", "apiKey", SECRET)
}
