//! Questions about requests that nobody sent.

use crate::explain::{Candidate, Explanation, Moment};
use crate::{Asked, Caller, Facts, Table};
use serde::Serialize;
use std::str::FromStr;
use std::sync::Arc;
use weir_dialect::{Dialect, InputSize, ServiceTier};
use weir_snapshot::Name;

/// Somebody who might call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Nobody in particular.
    Anonymous,
    /// The key of a Secret.
    ApiKey(Name),
    /// A ServiceAccount, whether it exists or not.
    ServiceAccount(Name),
}

impl FromStr for Identity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "anonymous" {
            return Ok(Self::Anonymous);
        }
        let parts = || {
            let (kind, name) = text.split_once(':')?;
            let (namespace, name) = name.split_once('/')?;
            let name = (!namespace.is_empty() && !name.is_empty()).then(|| Name::new(namespace, name))?;
            match kind {
                "apikey" => Some(Self::ApiKey(name)),
                "serviceaccount" => Some(Self::ServiceAccount(name)),
                _ => None,
            }
        };
        let forms = "write serviceaccount:NAMESPACE/NAME, apikey:NAMESPACE/NAME (of its Secret) or anonymous";
        parts().ok_or_else(|| format!("{text:?} names no caller; {forms}"))
    }
}

/// A request that might come.
#[derive(Debug, Clone)]
pub struct Question {
    /// From whom.
    pub identity: Identity,
    /// The model that it names.
    pub model: String,
    /// The host that it is sent to, without port.
    pub hostname: Option<String>,
    /// Bytes of its prompt.
    pub prompt_bytes: usize,
    /// Most output that it asks for, in tokens.
    pub max_output: Option<u64>,
    /// The tier of service that it names.
    pub service_tier: Option<String>,
}

/// What would become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Every route that has the model.
    routes: Vec<Candidate>,
    /// Why none of them serves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// What the one that serves it makes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Explanation>,
}

impl Table {
    /// What would become of a request; an error where nobody of that name is known.
    pub fn answer(&self, question: &Question) -> Result<Answer, String> {
        let Question { identity, model, hostname, prompt_bytes, max_output, service_tier } = question;
        let mut caller = Arc::new(match identity {
            Identity::Anonymous => Caller::anonymous(),
            Identity::ServiceAccount(name) => Caller::of_account(self, &name.namespace, &name.name, None),
            Identity::ApiKey(secret) => Caller::known_by(self, secret).ok_or_else(|| unknown(secret))?,
        });
        let hostname = hostname.as_ref().map(|name| name.to_ascii_lowercase());
        let facts = Facts { caller: &caller, hostname: hostname.as_deref(), model };
        let routes = self.candidates(&facts);
        let route = match self.matching(&facts) {
            Ok(route) => route,
            Err(refusal) => return Ok(Answer { routes, refused: Some(refusal.message), request: None }),
        };
        route.tell(&mut caller, |_| None);
        let service_tier = service_tier.as_deref().map(ServiceTier::of).unwrap_or_default();
        let asked = Asked {
            caller: &caller,
            route,
            model: route.model(model),
            only: None,
            input: InputSize::of_bytes(*prompt_bytes),
            max_output: *max_output,
            choices: 1,
            predicted: 0,
            service_tier: &service_tier,
            counts_only: false,
            // Every provider is told of its tiers.
            dialect: Dialect::Anthropic,
            header: &|_| None,
        };
        let request = self.explain(&asked, Moment { now: 0, standing: &|_| None });
        Ok(Answer { routes, refused: None, request: Some(request) })
    }
}

fn unknown(secret: &Name) -> String {
    format!("no route admits the key of the Secret {secret}, or no such Secret of the type weir.dev/api-key is there")
}
