//! Manifests of the kinds, as small as they can be; a test changes what it is about.

use serde_json::{Value, json};
use weir_snapshot::api_key;

use crate::provider::Provider as Upstream;
use crate::tls::Authority;

/// A Provider of one model at `url`, without a credential; plain http is let through.
pub fn provider(namespace: &str, name: &str, url: &str, model: &str) -> Value {
    json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "Provider",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "type": "OpenAICompatible",
            "endpoint": {"url": url, "allowPlaintext": true},
            "models": [{"name": model}],
        },
    })
}

/// An LLMRoute that serves `model` from these Providers of its namespace, each after the one before.
pub fn route(namespace: &str, name: &str, model: &str, providers: &[&str]) -> Value {
    let targets = providers.iter().enumerate().map(|(priority, provider)| {
        json!({"name": provider, "providerRef": {"name": provider}, "model": model, "priority": priority})
    });
    json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "LLMRoute",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "models": [{"name": model}],
            "rules": [{"name": "all", "targets": targets.collect::<Vec<_>>()}],
        },
    })
}

/// A Budget of so many dollars a month, whoever's Provider answers.
pub fn budget(namespace: &str, name: &str, dollars: &str) -> Value {
    json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "Budget",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "limits": [{"unit": "USD", "amount": dollars}],
            "window": {"calendar": {"every": "Month"}},
            "selector": {"providerNamespaces": {"from": "All"}},
        },
    })
}

/// A Provider of the model `m` that answers by itself, at a cent a request.
pub fn cent(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "Provider", "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "type": "Mock", "mock": {"text": "ok"},
            "models": [{"name": "m", "pricing": {"currency": "USD", "input": "0", "output": "0", "perRequest": "0.01"}}],
        },
    })
}

/// An LLMRoute for everybody that serves `alias` from the `model` of one Provider.
pub fn aliased_route(namespace: &str, alias: &str, provider: &str, model: &str) -> Value {
    let mut route = open_route(namespace, alias, alias, &[provider]);
    route["spec"]["rules"][0]["targets"][0]["model"] = json!(model);
    route
}

/// The same as [`route`] for everybody, without any credential.
pub fn open_route(namespace: &str, name: &str, model: &str, providers: &[&str]) -> Value {
    let mut route = route(namespace, name, model, providers);
    route["spec"]["access"] = json!({"anonymous": true});
    route
}

/// A Provider with TLS under the name `localhost`, the certificates that are trusted for it, and an open route
/// to it, as one file.
pub fn over_tls(upstream: &Upstream, trusted: &Authority, model: &str) -> String {
    let bundle = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "default", "name": "ca"},
        "data": {"ca.crt": trusted.pem()},
    });
    let url = upstream.url().replace("127.0.0.1", "localhost");
    let mut object = provider("default", "upstream", &url, model);
    object["spec"]["endpoint"] = json!({"url": url});
    object["spec"]["tls"] = json!({"caConfigMapRef": {"name": "ca"}});
    file(&[bundle, object, open_route("default", "chat", model, &["upstream"])])
}

/// A Secret with one value.
pub fn secret(namespace: &str, name: &str, key: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": name},
        "stringData": {key: value},
    })
}

/// An API key: the token that a caller presents, and the Secret that holds its hash.
pub fn api_key(namespace: &str, name: &str, annotations: &Value) -> (String, Value) {
    let id: String = name.chars().filter(char::is_ascii_lowercase).cycle().take(api_key::ID_LEN).collect();
    let secret = [7; 32];
    let hash: String = api_key::hash(&id, &secret).iter().map(|byte| format!("{byte:02x}")).collect();
    let manifest = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "weir.dev/api-key",
        "metadata": {
            "namespace": namespace, "name": name,
            "labels": {"weir.dev/api-key": id}, "annotations": annotations,
        },
        "stringData": {"current": format!("v1${hash}")},
    });
    (api_key::token(&id, &secret).to_string(), manifest)
}

/// Manifests as one file of YAML documents (JSON is YAML).
pub fn file(objects: &[Value]) -> String {
    objects.iter().map(|object| format!("---\n{object:#}\n")).collect()
}
