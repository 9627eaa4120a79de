//! From headers to a caller. No network, no API server: keys and token signatures are checked against
//! what was pushed.

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use moka::sync::Cache;
use std::collections::HashMap;
use std::sync::Arc;
use weir_dialect::Refusal;
use weir_policy::{Caller, Table, TokenClaims, unauthenticated};
use weir_snapshot::Issuer;

/// Where Anthropic's SDKs put their key.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Tokens whose signature was found good, remembered by their whole digest.
const CACHED_TOKENS: u64 = 10_000;

/// The keys that sign ServiceAccount tokens.
pub(crate) struct Verifier {
    issuer: Option<Issuer>,
    keys: HashMap<String, (Algorithm, DecodingKey)>,
    verified: Cache<[u8; 32], Arc<TokenClaims>>,
}

impl Default for Verifier {
    fn default() -> Self {
        Self { issuer: None, keys: HashMap::new(), verified: Cache::new(CACHED_TOKENS) }
    }
}

impl Verifier {
    /// The verifier of an issuer; the last one as long as nothing changed. The text says what of a key set
    /// could not be used.
    pub(crate) fn of(issuer: Option<&Issuer>, last: &Arc<Self>) -> (Arc<Self>, Option<String>) {
        if issuer == last.issuer.as_ref() {
            return (Arc::clone(last), None);
        }
        let mut verifier = Self { issuer: issuer.cloned(), ..Self::default() };
        let Some(issuer) = issuer else { return (Arc::new(verifier), None) };
        let set: JwkSet = match serde_json::from_str(&issuer.jwks) {
            Ok(set) => set,
            Err(e) => return (Arc::clone(last), Some(format!("the key set cannot be read: {e}"))),
        };
        for jwk in &set.keys {
            let (Some(id), Some(algorithm)) = (&jwk.common.key_id, jwk.common.key_algorithm) else { continue };
            let algorithm = algorithm.to_string().parse::<Algorithm>().ok().filter(|alg| is_asymmetric(*alg));
            if let (Some(algorithm), Ok(key)) = (algorithm, DecodingKey::from_jwk(jwk)) {
                verifier.keys.insert(id.clone(), (algorithm, key));
            }
        }
        let complaint = verifier.keys.is_empty().then(|| "the key set has no usable key".to_owned());
        (Arc::new(verifier), complaint)
    }

    fn claims(&self, token: &str) -> Option<Arc<TokenClaims>> {
        let digest = *blake3::hash(token.as_bytes()).as_bytes();
        if let Some(claims) = self.verified.get(&digest) {
            return Some(claims);
        }
        let header = jsonwebtoken::decode_header(token).ok()?;
        let (algorithm, key) = self.keys.get(header.kid.as_deref()?)?;
        if header.alg != *algorithm {
            return None;
        }
        let mut signature = Validation::new(*algorithm);
        // Issuer, audience and times are the policy's, on every request and not only on the first.
        signature.validate_exp = false;
        signature.validate_aud = false;
        signature.required_spec_claims.clear();
        let claims = Arc::new(jsonwebtoken::decode::<TokenClaims>(token, key, &signature).ok()?.claims);
        self.verified.insert(digest, Arc::clone(&claims));
        Some(claims)
    }
}

fn is_asymmetric(algorithm: Algorithm) -> bool {
    !matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
}

/// The caller of a request. A credential that has the form of one and is not good is refused everywhere;
/// anything else, such as the placeholder that SDKs insist on, is no credential.
pub(crate) fn authenticate(
    headers: &HeaderMap,
    table: &Table,
    verifier: &Verifier,
    unix_s: i64,
) -> Result<Caller, Refusal> {
    for credential in [bearer(headers)?, headers.get(API_KEY).and_then(|key| key.to_str().ok())].into_iter().flatten() {
        if credential.starts_with("weir_") {
            return Caller::of_key(table, credential, unix_s);
        }
        if credential.bytes().filter(|b| *b == b'.').count() == 2 {
            let claims = verifier.claims(credential).ok_or_else(unauthenticated)?;
            return Caller::of_token(table, &claims, unix_s);
        }
    }
    Ok(Caller::anonymous())
}

/// Whether a client sent anything that might be one.
pub(crate) fn has_credential(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION) || headers.contains_key(API_KEY)
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let Some(header) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let credential = header.to_str().ok().and_then(|text| {
        let (scheme, credential) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| credential.trim())
    });
    credential.map(Some).ok_or_else(unauthenticated)
}
