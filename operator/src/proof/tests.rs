//! Who gets in, and who does not, by an answer of the API server or by a signature alone.

use super::*;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, Header};
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::core::v1::PodStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;
use std::collections::BTreeMap;

const DATAPLANE: &str = "system:serviceaccount:weir:dataplane";
const FAR: i64 = 4_000_000_000;

fn pod(uid: &str, phase: &str) -> Arc<Pod> {
    let metadata = ObjectMeta { name: Some(format!("pod-{uid}")), uid: Some(uid.to_owned()), ..ObjectMeta::default() };
    let status = Some(PodStatus { phase: Some(phase.to_owned()), ..PodStatus::default() });
    Arc::new(Pod { metadata, status, ..Pod::default() })
}

fn pods() -> Vec<Arc<Pod>> {
    vec![pod("u1", "Running"), pod("u2", "Succeeded")]
}

fn proven() -> Review {
    Review::Proven(ProvenPod { uid: "u1".to_owned(), name: "pod-u1".to_owned(), expires_at: FAR })
}

fn answer(authenticated: bool, audiences: &[&str], username: &str, uid: Option<&str>) -> TokenReviewStatus {
    let extra = uid.map(|uid| BTreeMap::from([(POD_UID.to_owned(), vec![uid.to_owned()])]));
    TokenReviewStatus {
        authenticated: Some(authenticated),
        audiences: Some(audiences.iter().map(ToString::to_string).collect()),
        user: Some(UserInfo { username: Some(username.to_owned()), extra, ..UserInfo::default() }),
        ..TokenReviewStatus::default()
    }
}

#[test]
fn an_answer_must_name_audience_account_and_a_live_pod() {
    let ours = [POD_AUDIENCE];
    let judged = |status: &TokenReviewStatus| judge(status, DATAPLANE, FAR, &pods());
    assert_eq!(judged(&answer(true, &ours, DATAPLANE, Some("u1"))), proven());
    for refused in [
        answer(false, &ours, DATAPLANE, Some("u1")),
        answer(true, &[], DATAPLANE, Some("u1")),
        answer(true, &["https://kubernetes.default.svc"], DATAPLANE, Some("u1")),
        answer(true, &ours, "system:serviceaccount:team:dataplane", Some("u1")),
        answer(true, &ours, DATAPLANE, Some("u2")),
        answer(true, &ours, DATAPLANE, Some("u3")),
        answer(true, &ours, DATAPLANE, None),
    ] {
        assert!(matches!(judged(&refused), Review::Refused(_)), "{refused:?}");
    }
}

struct Signer(EncodingKey);

impl Signer {
    fn new() -> Self {
        let pair = rcgen::KeyPair::generate().unwrap();
        Self(EncodingKey::from_ec_der(&pair.serialize_der()))
    }

    fn issuer(&self) -> Issuer {
        let mut key = Jwk::from_encoding_key(&self.0, Algorithm::ES256).unwrap();
        key.common.key_id = Some("k1".to_owned());
        Issuer { issuer: "https://issuer".to_owned(), jwks: json!({"keys": [key]}).to_string() }
    }

    fn token(&self, change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut claims = json!({"iss": "https://issuer", "aud": [POD_AUDIENCE], "exp": FAR, "sub": DATAPLANE,
            "kubernetes.io": {"pod": {"name": "pod-u1", "uid": "u1"}}});
        change(&mut claims);
        let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, &claims, &self.0).unwrap()
    }
}

#[test]
fn without_an_answer_the_signature_decides_by_the_same_rules() {
    let signer = Signer::new();
    let verified = |token: &str| verify(token, &signer.issuer(), DATAPLANE, &pods());
    assert_eq!(verified(&signer.token(|_| {})), proven());
    let changes: [fn(&mut serde_json::Value); 7] = [
        |claims| claims["aud"] = json!(["weir"]),
        |claims| claims["exp"] = json!(1),
        |claims| claims["iss"] = json!("https://other"),
        |claims| claims["sub"] = json!("system:serviceaccount:team:dataplane"),
        |claims| claims["kubernetes.io"]["pod"]["uid"] = json!("u2"),
        |claims| claims["kubernetes.io"]["pod"]["uid"] = json!("u9"),
        |claims| claims["kubernetes.io"] = json!({}),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        assert!(matches!(verified(&signer.token(change)), Review::Refused(_)), "change {index}");
    }
    assert!(matches!(verified(&Signer::new().token(|_| {})), Review::Refused(_)), "another key of the same id");
}

#[test]
fn garbage_is_no_token() {
    for garbage in ["", "a.b.c", "weir_key", &"x".repeat(TOKEN_BYTES + 1)] {
        assert!(claims(garbage).is_none());
    }
}

#[test]
fn only_a_token_that_the_keys_do_not_refuse_is_reviewed() {
    let signer = Signer::new();
    let issuer = signer.issuer();
    let screened = |token: &str| screen(token, Some(&issuer), DATAPLANE, &pods());
    assert_eq!(screened(&signer.token(|_| {})), proven());
    let other = Signer::new();
    assert!(matches!(screened(&other.token(|_| {})), Review::Refused(_)), "the signature is checked first");
    let unknown = Issuer { jwks: json!({"keys": []}).to_string(), ..signer.issuer() };
    for issuer in [None, Some(&unknown)] {
        let screened = |change: fn(&mut serde_json::Value)| screen(&other.token(change), issuer, DATAPLANE, &pods());
        assert!(matches!(screened(|_| {}), Review::Unanswered(_)), "its key may be new");
        let refused: [fn(&mut serde_json::Value); 3] = [
            |claims| claims["sub"] = json!("system:serviceaccount:team:dataplane"),
            |claims| claims["kubernetes.io"]["pod"]["uid"] = json!("u9"),
            |claims| claims["kubernetes.io"] = json!({}),
        ];
        assert!(refused.into_iter().all(|change| matches!(screened(change), Review::Refused(_))));
    }
}
