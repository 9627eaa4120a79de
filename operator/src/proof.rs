//! Whether whoever opened a config stream is a pod of the data plane.
//!
//! Any pod can project a token with our audience, so the audience alone proves nothing: account and a
//! live Pod must fit too. Only an answer refuses; silence of the API server does not.

use crate::source::cluster::Cache;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt as _};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use weir_snapshot::{Issuer, POD_AUDIENCE};

/// An answer is wanted within this time; a review is a few milliseconds.
const REVIEW_TIMEOUT: Duration = Duration::from_secs(5);
/// Reviews at once of tokens whose signing key is not known: pods come one by one, and the key is known soon.
const UNKNOWN_KEYS: usize = 4;
/// Longest token that is looked at; kubelet's have about 1 KiB.
const TOKEN_BYTES: usize = 16 * 1024;
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// A pod that proved itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProvenPod {
    /// UID of the Pod object.
    pub(crate) uid: String,
    /// Its name, for messages.
    pub(crate) name: String,
    /// Unix seconds at which its token ends.
    pub(crate) expires_at: i64,
}

/// What a review said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Review {
    /// It is that pod.
    Proven(ProvenPod),
    /// It is not.
    Refused(&'static str),
    /// Nobody answered.
    Unanswered(String),
}

/// What a token must fit.
pub(crate) struct Prover {
    client: Client,
    username: String,
    pods: Arc<Cache<Pod>>,
    issuer: watch::Receiver<Option<Issuer>>,
    unknown_keys: Semaphore,
}

impl Prover {
    /// Pods of that ServiceAccount and of that list, whose tokens that issuer signs.
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        account: &str,
        pods: Arc<Cache<Pod>>,
        issuer: watch::Receiver<Option<Issuer>>,
    ) -> Self {
        let username = format!("system:serviceaccount:{namespace}:{account}");
        Self { client, username, pods, issuer, unknown_keys: Semaphore::new(UNKNOWN_KEYS) }
    }

    /// Asks the API server.
    pub(crate) async fn review(&self, token: &str) -> Review {
        let Some(pods) = self.pods.all() else {
            return Review::Unanswered("the pods of the data plane are not listed yet".to_owned());
        };
        let Some(claims) = claims(token) else { return Review::Refused("the token is no ServiceAccount token") };
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![POD_AUDIENCE.to_owned()]) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        match tokio::time::timeout(REVIEW_TIMEOUT, reviews.create(&PostParams::default(), &review)).await {
            Ok(Ok(answer)) => judge(&answer.status.unwrap_or_default(), &self.username, claims.exp, &pods),
            Ok(Err(error)) => Review::Unanswered(error.to_string()),
            Err(_) => Review::Unanswered("the API server does not answer in time".to_owned()),
        }
    }

    /// Asks the last signing keys and the last list of Pods, then the API server, whose answer counts where there is one.
    /// It hears of no token that the keys refuse: whoever reaches the port could else have it review as many as it likes.
    pub(crate) async fn admit(&self, token: &str) -> Review {
        let issuer = self.issuer.borrow().clone();
        let pods = self.pods.all().unwrap_or_default();
        let verified = screen(token, issuer.as_ref(), &self.username, &pods);
        let _few = match &verified {
            Review::Unanswered(_) => match self.unknown_keys.try_acquire() {
                Ok(permit) => Some(permit),
                Err(_) => return verified,
            },
            Review::Refused(_) => return verified,
            Review::Proven(_) => None,
        };
        let reviewed = self.review(token).await;
        let silent = matches!(reviewed, Review::Unanswered(_));
        if silent && matches!(verified, Review::Proven(_)) { verified } else { reviewed }
    }
}

/// What a token is without the API server's word: nothing is believed of one whose key is not known, but that it would
/// have to be of a live Pod.
fn screen(token: &str, issuer: Option<&Issuer>, username: &str, pods: &[Arc<Pod>]) -> Review {
    let Some(claims) = claims(token) else { return Review::Refused("the token is no ServiceAccount token") };
    if claims.sub != username {
        return Review::Refused("the token is not of the data plane's ServiceAccount");
    }
    let Some(BoundPod { uid }) = claims.kubernetes.pod else {
        return Review::Refused("the token is not bound to a Pod");
    };
    if let refused @ Review::Refused(_) = of_a_live_pod(&uid, claims.exp, pods) {
        return refused;
    }
    match issuer {
        Some(issuer) => verify(token, issuer, username, pods),
        None => Review::Unanswered("the keys that sign tokens are not known yet".to_owned()),
    }
}

fn judge(status: &TokenReviewStatus, username: &str, expires_at: i64, pods: &[Arc<Pod>]) -> Review {
    let user = status.user.clone().unwrap_or_default();
    let uids = user.extra.unwrap_or_default().remove(POD_UID).unwrap_or_default();
    if status.authenticated != Some(true) {
        return Review::Refused("the token is not valid for the audience weir-operator");
    }
    if !status.audiences.iter().flatten().any(|audience| audience == POD_AUDIENCE) {
        return Review::Refused("the API server did not confirm the audience weir-operator");
    }
    if user.username.as_deref() != Some(username) {
        return Review::Refused("the token is not of the data plane's ServiceAccount");
    }
    match uids.as_slice() {
        [uid] => of_a_live_pod(uid, expires_at, pods),
        _ => Review::Refused("the token is not bound to a Pod"),
    }
}

fn of_a_live_pod(uid: &str, expires_at: i64, pods: &[Arc<Pod>]) -> Review {
    let live = |pod: &&Arc<Pod>| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        pod.metadata.uid.as_deref() == Some(uid) && !matches!(phase, Some("Succeeded" | "Failed"))
    };
    match pods.iter().find(live) {
        Some(pod) => Review::Proven(ProvenPod { uid: uid.to_owned(), name: pod.name_any(), expires_at }),
        None => Review::Refused("the token is not of a live Pod of the data plane"),
    }
}

/// What a bound ServiceAccount token says of itself.
#[derive(Deserialize)]
struct Claims {
    exp: i64,
    sub: String,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Bound,
}

#[derive(Deserialize)]
struct Bound {
    pod: Option<BoundPod>,
}

#[derive(Deserialize)]
struct BoundPod {
    uid: String,
}

/// Reads the claims without believing them.
fn claims(token: &str) -> Option<Claims> {
    if token.len() > TOKEN_BYTES {
        return None;
    }
    jsonwebtoken::dangerous::insecure_decode_claims(token).ok()
}

/// Proves a token by its signature alone.
fn verify(token: &str, issuer: &Issuer, username: &str, pods: &[Arc<Pod>]) -> Review {
    let Some(key) = signing_key(token, issuer) else {
        return Review::Unanswered("the key that signed the token is not known".to_owned());
    };
    let (key, algorithm) = key;
    let mut rules = Validation::new(algorithm);
    rules.set_audience(&[POD_AUDIENCE]);
    rules.set_issuer(&[&issuer.issuer]);
    rules.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    rules.validate_nbf = true;
    let Ok(proven) = jsonwebtoken::decode::<Claims>(token, &key, &rules) else {
        return Review::Refused("the token's signature, audience or time is not valid");
    };
    if proven.claims.sub != username {
        return Review::Refused("the token is not of the data plane's ServiceAccount");
    }
    match proven.claims.kubernetes.pod {
        Some(pod) => of_a_live_pod(&pod.uid, proven.claims.exp, pods),
        None => Review::Refused("the token is not bound to a Pod"),
    }
}

/// The key that the token names, with the one algorithm that goes with it.
fn signing_key(token: &str, issuer: &Issuer) -> Option<(DecodingKey, Algorithm)> {
    let header = jsonwebtoken::decode_header(token).ok()?;
    let keys: JwkSet = serde_json::from_str(&issuer.jwks).ok()?;
    let key = DecodingKey::from_jwk(keys.find(header.kid.as_deref()?)?).ok()?;
    let asymmetric = matches!(
        header.alg,
        Algorithm::RS256 | Algorithm::ES256 | Algorithm::ES384 | Algorithm::RS384 | Algorithm::RS512
    );
    (asymmetric && header.alg.family() == key.family()).then_some((key, header.alg))
}

#[cfg(test)]
mod tests;
