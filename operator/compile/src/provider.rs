//! A Provider: its upstream, credentials, models, and who may use it.
//!
//! Consent is always there and fails closed; the rest only where the Provider can be used.

use crate::built::Built;
use crate::findings::{Findings, Gravity};
use crate::index::{self, Index};
use crate::verdict::{CredentialVerdict, Verdict};
use crate::{limits, pricing, reference, spec, url};
use std::collections::BTreeMap;
use weir_crds::{Endpoint, ModelPolicy, ProviderSpec, ProviderType};
use weir_snapshot::{CredentialRef, Headers, Model, Name, PriceSource, Provider, Secret, Upstream};

const OPENAI_URL: &str = "https://api.openai.com/v1";
const ANTHROPIC_URL: &str = "https://api.anthropic.com";

/// Compiles a Provider.
pub(crate) fn build(object: &weir_crds::Provider, index: &Index) -> Built {
    let name = index::name(&object.metadata);
    let mut findings = Findings::default();
    let upstream = upstream(&object.spec, &name, index, &mut findings);
    let ca_pem = object.spec.tls.as_ref().and_then(|tls| {
        let found = reference::certificates(index, &name.namespace, &tls.ca_config_map_ref);
        found.map_err(|e| findings.add(Gravity::Unresolved, e.reason, "spec.tls.caConfigMapRef", e.message)).ok()
    });
    let (credentials, secrets, shown) = credentials(&object.spec, &name.namespace, index, &mut findings);
    let models = models(&object.spec, index, &mut findings);
    let unpriced: Vec<_> = models.iter().filter(|(_, model)| model.pricing.is_none()).map(|(n, _)| n.clone()).collect();
    let timeouts = spec::timeouts(object.spec.timeouts.as_ref(), &mut findings);
    let health = spec::health(object.spec.health.as_ref(), &mut findings);
    let limits = limits::provider(object.spec.limits.as_ref(), &mut findings);
    let usable = findings.first(Gravity::Invalid).is_none() && findings.first(Gravity::Unresolved).is_none();
    let verdict = Verdict {
        generation: object.metadata.generation.unwrap_or_default(),
        conditions: findings.conditions(),
        complaints: findings.complaints(),
        credentials: shown,
        models: models.len(),
        unpriced,
        ..Verdict::default()
    };
    let data = upstream.filter(|_| usable).map(|upstream| Provider {
        provider_type: provider_type(object.spec.type_),
        upstream,
        ca_pem,
        credentials,
        models,
        any_model: object.spec.model_policy == Some(ModelPolicy::Any),
        headers: object.spec.headers.as_ref().map(headers).unwrap_or_default(),
        timeouts,
        health,
        limits,
        allowed_request_members: sorted(&object.spec.allowed_request_members),
    });
    Built { data, consent: index.consent(object.spec.allowed_namespaces.as_ref(), &name.namespace), secrets, verdict }
}

fn upstream(spec: &ProviderSpec, name: &Name, index: &Index, findings: &mut Findings) -> Option<Upstream> {
    match (spec.type_, &spec.endpoint) {
        (ProviderType::Mock, _) => Some(Upstream::Mock(spec::mock(spec.mock.as_ref(), findings))),
        (ProviderType::OpenAI, None) => Some(Upstream::Url(OPENAI_URL.into())),
        (ProviderType::Anthropic, None) => Some(Upstream::Url(ANTHROPIC_URL.into())),
        (_, Some(Endpoint { service: Some(service), .. })) => {
            let found = reference::service(index, &name.namespace, service);
            found.map_err(|e| findings.add(Gravity::Unresolved, e.reason, "spec.endpoint.service", e.message)).ok()
        }
        (_, Some(Endpoint { url: Some(url), allow_plaintext, .. })) => {
            let permitted = index.objects.permits_plaintext(&name.namespace);
            let plaintext = allow_plaintext.unwrap_or(false) && permitted;
            let (reason, message) = match url::check(url, plaintext, &index.objects.settings) {
                Ok(url) => return Some(Upstream::Url(url)),
                Err(url::Refused::Form(why)) => ("InvalidURL", why),
                Err(url::Refused::Address(why)) => ("AddressForbidden", why),
                Err(url::Refused::Plaintext) if permitted => {
                    ("PlaintextForbidden", "http needs endpoint.allowPlaintext: true; better use https".into())
                }
                Err(url::Refused::Plaintext) => (
                    "PlaintextForbidden",
                    format!(
                        "http needs the operator's --allow-plaintext-namespace={}; better use https",
                        name.namespace
                    ),
                ),
            };
            findings.add(Gravity::Invalid, reason, "spec.endpoint.url", message);
            None
        }
        (ProviderType::OpenAICompatible, None) | (_, Some(Endpoint { url: None, service: None, .. })) => {
            let message = "the address is missing; set endpoint.url or endpoint.service";
            findings.add(Gravity::Invalid, "InvalidURL", "spec.endpoint", message);
            None
        }
    }
}

type Credentials = (Vec<CredentialRef>, Vec<(String, Secret)>, Vec<CredentialVerdict>);

/// One missing credential of several leaves the Provider usable; all missing do not.
fn credentials(spec: &ProviderSpec, namespace: &str, index: &Index, findings: &mut Findings) -> Credentials {
    let (mut refs, mut secrets, mut shown, mut missing) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (at, credential) in spec.credentials.iter().enumerate() {
        let found = reference::secret(index, namespace, &credential.secret_ref);
        let fingerprint = found.as_ref().ok().map(Secret::fingerprint);
        shown.push(CredentialVerdict { name: credential.name.clone(), fingerprint });
        match found {
            Ok(secret) => {
                let weight = credential.weight.and_then(|weight| weight.try_into().ok()).unwrap_or(1);
                refs.push(CredentialRef { name: credential.name.clone(), weight });
                secrets.push((credential.name.clone(), secret));
            }
            Err(unresolved) => missing.push((format!("spec.credentials[{at}].secretRef"), unresolved)),
        }
    }
    let gravity = if refs.is_empty() { Gravity::Unresolved } else { Gravity::Partial };
    for (path, unresolved) in missing {
        findings.add(gravity, unresolved.reason, path, unresolved.message);
    }
    (refs, secrets, shown)
}

/// What a model does not state of itself is looked up by the provider's name for it.
fn models(spec: &ProviderSpec, index: &Index, findings: &mut Findings) -> BTreeMap<String, Model> {
    let models = spec.models.iter().enumerate().map(|(at, model)| {
        let upstream = model.upstream_name.as_ref().unwrap_or(&model.name);
        let known = index.prices.find(provider_type(spec.type_), upstream);
        let stated = |tokens: Option<i64>| tokens.and_then(|tokens| tokens.try_into().ok());
        let data = Model {
            upstream_name: model.upstream_name.clone(),
            pricing: match &model.pricing {
                Some(pricing) => {
                    pricing::read(pricing, PriceSource::Provider, &format!("spec.models[{at}].pricing"), findings)
                }
                None => known.and_then(|known| known.pricing.clone()),
            },
            context_window: stated(model.context_window).or(known.and_then(|known| known.context_window)),
            max_output: stated(model.max_output).or(known.and_then(|known| known.max_output)),
        };
        (model.name.clone(), data)
    });
    models.collect()
}

const fn provider_type(spec: ProviderType) -> weir_snapshot::ProviderType {
    match spec {
        ProviderType::OpenAI => weir_snapshot::ProviderType::OpenAI,
        ProviderType::OpenAICompatible => weir_snapshot::ProviderType::OpenAICompatible,
        ProviderType::Anthropic => weir_snapshot::ProviderType::Anthropic,
        ProviderType::Mock => weir_snapshot::ProviderType::Mock,
    }
}

fn headers(spec: &weir_crds::Headers) -> Headers {
    let weir_crds::Headers { set, remove } = spec;
    let set = set.iter().map(|header| (header.name.clone(), header.value.clone())).collect();
    Headers { set, remove: sorted(remove) }
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names
}
