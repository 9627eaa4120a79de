//! One status to be written, compared to what is stored. Pure.

use super::change::{Change, change};
use super::conditions::{compiled, conditions, summary};
use crate::events::News;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::api::DynamicObject;
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde_json::{Value, json};
use weir_compile::{ObjectId, Verdict};

/// Who owns the fields of status.
pub(crate) const FIELD_MANAGER: &str = "weir-operator";
/// Conditions whose changes are told as Events, with the status that is bad; `Ready` speaks for those that it sums up.
const TOLD: [(&str, &str); 4] =
    [("Ready", "False"), ("CredentialsValid", "False"), ("Healthy", "False"), (EXHAUSTED, "True")];
/// Of it only the end is news, beside itself.
const EXHAUSTED: &str = "Exhausted";

/// One status to be written.
pub(crate) struct Draft {
    pub(crate) id: ObjectId,
    /// Stored version that it was compared to.
    pub(crate) version: String,
    pub(crate) change: Change,
    /// The patch.
    pub(crate) body: Value,
    /// Whether the object decodes, and so can be applied to.
    pub(crate) decodes: bool,
    pub(crate) news: Vec<News>,
}

impl Draft {
    /// A draft, unless status already says so.
    pub(crate) fn new<K, S: Serialize>(id: ObjectId, object: &K, stored: Option<&S>, new: &S) -> Option<Self>
    where
        K: Resource<DynamicType = ()>,
    {
        let (stored, new) = (serde_json::to_value(stored).ok()?, serde_json::to_value(new).ok()?);
        let version = object.resource_version()?;
        let body = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": {"name": id.name.name, "namespace": id.name.namespace, "resourceVersion": version},
            "status": new,
        });
        Some(Self {
            change: change(&stored, &new)?,
            news: news(&object.object_ref(&()), &stored, &new),
            id,
            version,
            body,
            decodes: true,
        })
    }
}

/// An object that does not decode.
pub(crate) struct Undecoded {
    pub(crate) id: ObjectId,
    pub(crate) version: String,
}

impl Undecoded {
    /// Its status, unless it already says so; `found` is the object as it is stored.
    pub(crate) fn draft(self, found: &DynamicObject, verdict: &Verdict, now: Timestamp) -> Option<Draft> {
        let stored = found.data.get("status").cloned().unwrap_or_default();
        let before: Vec<Condition> =
            stored.get("conditions").cloned().and_then(|all| serde_json::from_value(all).ok()).unwrap_or_default();
        let mut findings = compiled(verdict);
        findings.extend(summary(&findings));
        let new = json!({
            "observedGeneration": verdict.generation,
            "conditions": conditions(findings, &before, verdict.generation, now),
        });
        let mut shown = stored.clone();
        if let Some(fields) = shown.as_object_mut() {
            fields.retain(|field, _| matches!(field.as_str(), "observedGeneration" | "conditions"));
        }
        let version = found.resource_version()?;
        let body = json!({"metadata": {"resourceVersion": version}, "status": new});
        let change = change(&shown, &new)?;
        let about = ObjectReference {
            api_version: found.types.as_ref().map(|types| types.api_version.clone()),
            kind: found.types.as_ref().map(|types| types.kind.clone()),
            namespace: found.namespace(),
            name: Some(found.name_any()),
            uid: found.uid(),
            ..ObjectReference::default()
        };
        let news = news(&about, &stored, &new);
        Some(Draft { id: self.id, version, change, body, decodes: false, news })
    }
}

/// What is worth an Event: a known state that is another than before.
fn news(about: &ObjectReference, stored: &Value, new: &Value) -> Vec<News> {
    let find = |status: &Value, type_: &str| {
        let all = status.get("conditions")?.as_array()?;
        all.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(type_)).cloned()
    };
    let text = |condition: &Value, field: &str| condition.get(field).and_then(Value::as_str).unwrap_or("").to_owned();
    let mut told = Vec::new();
    for (type_, bad) in TOLD {
        let Some(after) = find(new, type_) else { continue };
        let before = find(stored, type_).filter(|before| type_ != EXHAUSTED || text(before, "status") == bad);
        let same = |field| before.as_ref().map(|before| text(before, field)) == Some(text(&after, field));
        // That a pod lags is no news of each object; its status says so.
        let lags = |condition: &Value| text(condition, "reason") == "PodLagging";
        if (same("status") && same("reason")) || lags(&after) || before.as_ref().is_some_and(lags) {
            continue;
        }
        let (reason, note) = (text(&after, "reason"), format!("{type_}: {}", text(&after, "message")));
        match (text(&after, "status").as_str(), before.is_some()) {
            (status, _) if status == bad => told.push(News::warning(about.clone(), &reason, note)),
            ("True" | "False", true) => told.push(News::normal(about.clone(), &reason, note)),
            // What is well from the start is no news, and what is not known never is.
            _ => {}
        }
    }
    told
}
