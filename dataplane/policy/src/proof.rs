//! Proof of a caller: an API key, a token or a certificate, checked against the table.
//!
//! A digest is never a credential, and every way of being wrong gives the same refusal.

use crate::table::Key;
use crate::{Caller, CallerKind, Certificate, Table, Token};
use std::sync::Arc;
use subtle::ConstantTimeEq as _;
use weir_dialect::{ErrorType, Refusal};
use weir_snapshot::api_key::Presented;
use weir_snapshot::{CALLER_AUDIENCE, KeyHash, Name};

/// Longest life of a ServiceAccount token that is accepted, in seconds.
const MAX_TOKEN_LIFE_S: i64 = 24 * 3600;
/// Clock difference that is forgiven, in seconds.
const LEEWAY_S: i64 = 60;

/// Longest subject of a token (OpenID Connect); it stands in every log line.
const MOST_SUBJECT_BYTES: usize = 255;

/// The claims of a ServiceAccount token whose signature was found good.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct TokenClaims {
    /// Issuer.
    pub iss: String,
    /// Audiences.
    pub aud: Vec<String>,
    /// Unix seconds of its end.
    pub exp: i64,
    /// Unix seconds of its issue.
    pub iat: i64,
    /// The account.
    #[serde(rename = "kubernetes.io")]
    pub kubernetes: KubernetesClaims,
}

/// The Kubernetes part of the claims. Secret-based legacy tokens have none and are refused.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct KubernetesClaims {
    namespace: String,
    serviceaccount: AccountClaims,
}

#[derive(Debug, Clone, serde::Deserialize)]
struct AccountClaims {
    name: String,
    uid: String,
}

impl Caller {
    /// The caller of an API key, at this Unix time.
    pub fn of_key(table: &Table, token: &str, unix_s: i64) -> Result<Self, Refusal> {
        let presented = Presented::parse(token).ok_or_else(unauthenticated)?;
        let hash = presented.hash();
        let is_good = |hashes: &[KeyHash]| {
            hashes.iter().fold(subtle::Choice::from(0), |good, KeyHash(held)| good | held.ct_eq(&hash))
        };
        // An unknown id compares against a hash that nothing has, so that it takes as long as a known one. Of several
        // Secrets with one id that one counts which has the hash.
        let mut known = table.keys(presented.id).map(|key| (Some(key), &*key.data.hashes)).peekable();
        let unknown = known.peek().is_none().then_some((None, [KeyHash([0; 32])].as_slice()));
        let key = known.chain(unknown).fold(None, |held, (key, hashes)| {
            let good = bool::from(is_good(hashes));
            held.or(key.filter(|_| good))
        });
        let key = key.ok_or_else(unauthenticated)?;
        if key.data.expires_at.is_some_and(|end| unix_s >= end) {
            return Err(unauthenticated());
        }
        Ok(Self::of_secret(table, key))
    }

    fn of_secret(table: &Table, key: &Key) -> Self {
        let (secret, data) = (key.secret(), &key.data);
        let mut caller = Self {
            kind: CallerKind::ApiKey,
            namespace: secret.namespace.clone(),
            name: secret.name.clone(),
            key_id: Some(data.id.clone()),
            user: data.user.clone(),
            team: data.team.clone(),
            project: data.project.clone(),
            cost_center: data.cost_center.clone(),
            models: data.models.clone(),
            ..Self::anonymous()
        };
        caller.is_said(&secret.namespace, data.user.clone(), data.team.clone());
        caller.fill_from(table.namespace(&secret.namespace));
        caller
    }

    /// The key that a Secret holds, without the proof that a request must bring.
    pub(crate) fn known_by(table: &Table, secret: &Name) -> Option<Self> {
        Some(Self::of_secret(table, table.key_of(secret)?))
    }

    /// The caller of a ServiceAccount token whose signature is good, at this Unix time. The token of an account that no route
    /// admits is no credential where routes are open to everybody.
    pub fn of_token(table: &Table, claims: &TokenClaims, unix_s: i64) -> Result<Self, Refusal> {
        let KubernetesClaims { namespace, serviceaccount } = &claims.kubernetes;
        let issuer = table.issuer().is_some_and(|issuer| issuer.issuer == claims.iss);
        let audience = claims.aud.iter().any(|aud| aud == CALLER_AUDIENCE);
        let time = claims.exp.saturating_add(LEEWAY_S) > unix_s
            && claims.iat.saturating_sub(LEEWAY_S) <= unix_s
            && claims.exp.saturating_sub(claims.iat) <= MAX_TOKEN_LIFE_S;
        if !(issuer && audience && time) {
            return Err(unauthenticated());
        }
        match table.account(namespace, &serviceaccount.name) {
            Some(held) if held.uid == serviceaccount.uid => {
                Ok(Self::of_account(table, namespace, &serviceaccount.name, Some(serviceaccount.uid.clone())))
            }
            // No route admits this account, or the account is gone; what is open to everybody stays open to both.
            None if table.has_open_route() => Ok(Self::anonymous()),
            Some(_) | None => Err(unauthenticated()),
        }
    }

    /// A ServiceAccount.
    pub(crate) fn of_account(table: &Table, namespace: &str, name: &str, uid: Option<String>) -> Self {
        let mut caller = Self {
            kind: CallerKind::ServiceAccount,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid,
            ..Self::anonymous()
        };
        caller.fill_from(table.namespace(namespace));
        caller
    }

    /// The caller of a token that key sets signed which its issuer and audience belong to, at this Unix time.
    pub fn of_issuer(table: &Table, token: Token, unix_s: i64) -> Result<Self, Refusal> {
        let claims = &token.claims;
        let times = ["exp", "nbf", "iat"].map(|name| claims.time(name));
        let [Ok(Some(end)), Ok(begin), Ok(_)] = times else { return Err(unauthenticated()) };
        let in_time =
            end.saturating_add(LEEWAY_S) > unix_s && begin.is_none_or(|begin| begin.saturating_sub(LEEWAY_S) <= unix_s);
        let subject = claims.text("sub").filter(|subject| in_time && subject.len() <= MOST_SUBJECT_BYTES);
        let subject = subject.ok_or_else(unauthenticated)?;
        // An audience belongs to one namespace; of a token for several the platform's comes first.
        let platform = &table.settings().platform_namespace;
        let namespaces = token.keys.iter().map(|keys| &keys.namespace);
        let namespace = namespaces.min_by_key(|name| (*name != platform, *name)).ok_or_else(unauthenticated)?;
        let mut caller = Self {
            kind: CallerKind::Jwt,
            namespace: namespace.clone(),
            user: Some(subject.clone()),
            name: subject,
            ..Self::anonymous()
        };
        caller.fill_from(table.namespace(namespace));
        caller.is_said(namespace, caller.user.clone(), None);
        caller.token = Some(Arc::new(token));
        Ok(caller)
    }

    /// The caller of a connection with a client certificate that was found good. An account that no route admits,
    /// or that is gone, leaves the certificate's own names.
    pub fn of_certificate(table: &Table, certificate: &Arc<Certificate>, trust_domain: &str) -> Self {
        let account = certificate.account(trust_domain);
        if let Some((namespace, name)) = account.filter(|(namespace, name)| table.account(namespace, name).is_some()) {
            return Self::of_account(table, namespace, name, None);
        }
        let namespace = table.namespace_of_subject(&certificate.names).unwrap_or_default();
        let mut caller = Self {
            kind: CallerKind::Certificate,
            namespace: namespace.to_owned(),
            name: certificate.names.first().cloned().unwrap_or_default(),
            certificate: Some(Arc::clone(certificate)),
            ..Self::anonymous()
        };
        caller.fill_from(table.namespace(namespace));
        caller
    }
}

/// What a caller can do about a missing or wrong credential.
pub const SEND_CREDENTIAL: &str = "send a Weir API key, or a token with the audience that is expected here (of a ServiceAccount \"weir\"), as `Authorization: Bearer …`";

/// The one answer to every credential that is not good.
pub fn unauthenticated() -> Refusal {
    let message = format!("the credential is not valid here: {SEND_CREDENTIAL}");
    Refusal::new(401, ErrorType::Authentication, "invalid_api_key", message)
}
