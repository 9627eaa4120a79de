//! Signatures of tokens: the keys that were pushed, and the tokens that they were found to have signed.
//!
//! A token is remembered by its whole digest with the very keys that signed it, and forgotten with them.

use crate::rejection::Rejection;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, dangerous};
use moka::sync::Cache;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::sync::Arc;
use weir_dialect::Refusal;
use weir_policy::{Caller, Claims, Table, Token, TokenClaims, unauthenticated};
use weir_snapshot::{Issuer, Kind, Name, Resource, ResourceId, Resources};

/// Tokens that are remembered of one key set.
const CACHED_TOKENS: u64 = 10_000;
/// Key sets that one token is tried with: an audience has one or two, and more would be work for a forger to give.
const MOST_TRIED: usize = 8;

/// All keys.
#[derive(Default)]
pub(crate) struct Verifier {
    /// Those that sign ServiceAccount tokens.
    cluster: Option<(Issuer, Arc<Keys<TokenClaims>>)>,
    /// Those of other issuers, by the name of their set.
    others: HashMap<Name, Arc<Keys<Claims>>>,
}

/// The keys of one set.
struct Keys<T> {
    jwks: String,
    by_id: HashMap<String, (Algorithm, DecodingKey)>,
    verified: Cache<[u8; 32], Arc<T>>,
}

/// Keys that a token was tried with, and what it says if they signed it.
type Tried<'k> = (&'k Arc<Keys<Claims>>, Option<Arc<Claims>>);

/// Whose a token says that it is, before anything is known of it.
#[derive(Deserialize)]
struct Aim {
    iss: String,
    aud: Audiences,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Many(Vec<String>),
}

impl Verifier {
    /// The verifier of what was pushed; sets that did not change keep what they remember. A set that cannot be used
    /// is named, and its last good version stays.
    pub(crate) fn of(resources: &Resources, issuer: Option<&Issuer>, last: &Self) -> (Self, Vec<Rejection>) {
        let (mut this, mut rejected) = (Self::default(), Vec::new());
        this.cluster = issuer.and_then(|issuer| match &last.cluster {
            Some((held, keys)) if held.jwks == issuer.jwks => Some((issuer.clone(), Arc::clone(keys))),
            held => match Keys::read(&issuer.jwks) {
                Ok(keys) => Some((issuer.clone(), Arc::new(keys))),
                Err(reason) => {
                    rejected.push(Rejection { id: Arc::new(ResourceId::new(Kind::Issuer, "", "kubernetes")), reason });
                    held.clone()
                }
            },
        });
        // Equal sets share their keys, whoever named them.
        let mut shared: HashMap<&str, Arc<Keys<Claims>>> =
            last.others.values().map(|keys| (keys.jwks.as_str(), Arc::clone(keys))).collect();
        for (id, resource) in resources {
            let Resource::KeySet(set) = resource else { continue };
            let keys = match shared.get(set.jwks.as_str()) {
                Some(keys) => Ok(Arc::clone(keys)),
                None => Keys::read(&set.jwks).map(Arc::new),
            };
            match keys {
                Ok(keys) => {
                    shared.insert(&set.jwks, Arc::clone(&keys));
                    this.others.insert(id.name.clone(), keys);
                }
                Err(reason) => {
                    rejected.push(Rejection { id: Arc::clone(id), reason });
                    this.others.extend(last.others.get(&id.name).map(|keys| (id.name.clone(), Arc::clone(keys))));
                }
            }
        }
        (this, rejected)
    }

    /// The caller of a token, at this Unix time.
    pub(crate) fn caller(&self, table: &Table, token: &str, unix_s: i64) -> Result<Caller, Refusal> {
        let digest = *blake3::hash(token.as_bytes()).as_bytes();
        let cluster = self.cluster.as_ref();
        let known = cluster.and_then(|(_, keys)| keys.verified.get(&digest));
        if let Some(claims) = known {
            return Caller::of_token(table, &claims, unix_s);
        }
        let aim: Aim = dangerous::insecure_decode_claims(token).map_err(|_| unauthenticated())?;
        if let Some((_, keys)) = cluster.filter(|(issuer, _)| issuer.issuer == aim.iss) {
            let claims = keys.claims(token, digest).ok_or_else(unauthenticated)?;
            return Caller::of_token(table, &claims, unix_s);
        }
        let audiences = match &aim.aud {
            Audiences::One(audience) => std::slice::from_ref(audience),
            Audiences::Many(audiences) => audiences,
        };
        let named = table.key_sets(&aim.iss, audiences);
        let token = self.signed(token, digest, named).ok_or_else(unauthenticated)?;
        Caller::of_issuer(table, token, unix_s)
    }

    /// The token with those of the sets that signed it; `None` where none did.
    fn signed<'n>(&self, token: &str, digest: [u8; 32], named: impl Iterator<Item = &'n Name>) -> Option<Token> {
        let mut tried: Vec<Tried<'_>> = Vec::new();
        let (mut signers, mut found) = (Vec::new(), None);
        for (name, keys) in named.filter_map(|name| Some((name, self.others.get(name)?))) {
            let claims = match tried.iter().find(|(held, _)| Arc::ptr_eq(held, keys)) {
                Some((_, claims)) => claims.clone(),
                None if tried.len() == MOST_TRIED => continue,
                None => {
                    let claims = keys.claims(token, digest);
                    tried.push((keys, claims.clone()));
                    claims
                }
            };
            if claims.is_some() {
                signers.push(name.clone());
                found = claims;
            }
        }
        Some(Token::new(found?, signers))
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Keys<T> {
    fn read(jwks: &str) -> Result<Self, String> {
        let set: JwkSet = serde_json::from_str(jwks).map_err(|e| format!("the key set cannot be read: {e}"))?;
        let mut by_id = HashMap::new();
        for jwk in &set.keys {
            let (Some(id), Some(algorithm)) = (&jwk.common.key_id, jwk.common.key_algorithm) else { continue };
            let algorithm = algorithm.to_string().parse::<Algorithm>().ok().filter(|alg| is_asymmetric(*alg));
            if let (Some(algorithm), Ok(key)) = (algorithm, DecodingKey::from_jwk(jwk)) {
                by_id.insert(id.clone(), (algorithm, key));
            }
        }
        if by_id.is_empty() {
            return Err("the key set has no usable key".to_owned());
        }
        Ok(Self { jwks: jwks.to_owned(), by_id, verified: Cache::new(CACHED_TOKENS) })
    }

    /// What a token says, if one of the keys signed it.
    fn claims(&self, token: &str, digest: [u8; 32]) -> Option<Arc<T>> {
        if let Some(claims) = self.verified.get(&digest) {
            return Some(claims);
        }
        let header = jsonwebtoken::decode_header(token).ok()?;
        let (algorithm, key) = self.by_id.get(header.kid.as_deref()?)?;
        if header.alg != *algorithm {
            return None;
        }
        let mut signature = Validation::new(*algorithm);
        // Issuer, audience and times are the policy's, on every request and not only on the first.
        signature.validate_exp = false;
        signature.validate_aud = false;
        signature.required_spec_claims.clear();
        let claims = Arc::new(jsonwebtoken::decode::<T>(token, key, &signature).ok()?.claims);
        self.verified.insert(digest, Arc::clone(&claims));
        Some(claims)
    }
}

fn is_asymmetric(algorithm: Algorithm) -> bool {
    !matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
}
