//! The thresholds of a Budget with what their Secrets say.
//!
//! A webhook that cannot be told is no reason to lift or to block anything: the Budget stays as it is.

use crate::alarm::{Alarm, Webhook};
use crate::findings::{Findings, Gravity};
use crate::index::Index;
use crate::reference::{self, Unresolved};
use crate::url;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use weir_crds::{BudgetSpec, SecretKeyRef};

/// What the key of Standard Webhooks begins with.
const KEY_PREFIX: &str = "whsec_";
/// Bytes that such a key may have.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The thresholds by rising percent.
pub(super) fn alarms(spec: &BudgetSpec, namespace: &str, index: &Index, findings: &mut Findings) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    for (at, threshold) in spec.thresholds.iter().enumerate() {
        let webhook = threshold.webhook_ref.as_ref().and_then(|wanted| {
            let found = resolve(index, namespace, &wanted.name);
            let path = format!("spec.thresholds[{at}].webhookRef");
            found.map_err(|e| findings.add(Gravity::Partial, e.reason, path, e.message)).ok()
        });
        let percent = threshold.percent.try_into().unwrap_or(0);
        alarms.push(Alarm { percent, event: threshold.event.unwrap_or(false), webhook });
    }
    alarms.sort_by_key(|alarm| alarm.percent);
    alarms
}

fn resolve(index: &Index, namespace: &str, name: &str) -> Result<Webhook, Unresolved> {
    let secret = |key: &str| {
        let wanted = SecretKeyRef { name: name.to_owned(), key: Some(key.to_owned()) };
        reference::secret(index, namespace, &wanted)
    };
    let (url, signing_key) = (secret("url")?, secret("signingKey")?);
    let invalid = |key: &str, why: &str| {
        Unresolved::new("SecretInvalid", format!("the key {key} of the Secret {namespace}/{name}: {why}"))
    };
    let refused = |refused| match refused {
        url::Refused::Form(why) | url::Refused::Address(why) => invalid("url", &why),
        url::Refused::Plaintext => invalid("url", "the URL must begin with https://"),
    };
    url::check(url.expose(), false, &index.objects.settings).map_err(refused)?;
    let key = signing_key.expose().strip_prefix(KEY_PREFIX).and_then(|text| BASE64_STANDARD.decode(text).ok());
    if !key.is_some_and(|key| KEY_BYTES.contains(&key.len())) {
        let why = "write whsec_ and the base64 of 24 to 64 random bytes, as of `openssl rand -base64 32`";
        return Err(invalid("signingKey", why));
    }
    Ok(Webhook { url, signing_key })
}
