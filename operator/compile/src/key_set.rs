//! JSON Web Key Sets: what pods get of one.
//!
//! A key that pods cannot use is left out, and so is every private part of one.

use serde_json::{Map, Value, json};

/// Most keys of a set; issuers have a handful.
const MOST_KEYS: usize = 64;
/// Shortest modulus of an RSA key, as base64url: 2048 bits.
const RSA_DIGITS: usize = 342;

/// Where a key set is read from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeySource {
    /// Its URL.
    pub url: String,
    /// CA certificates besides the public ones, in PEM.
    pub ca_pem: Option<String>,
}

/// What reading a key set came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadKeys {
    /// The last good one, as [`read_key_set`] gives it.
    pub jwks: Option<String>,
    /// Why there is none, or why the last good one is old.
    pub trouble: Option<String>,
}

/// A key set as pods get it: the same bytes whatever the order of its keys. The error never quotes it.
///
/// # Errors
/// It is no key set, or no key of it can be used.
pub fn read_key_set(text: &str) -> Result<String, String> {
    let set: Value = serde_json::from_str(text).map_err(|_| "is no JSON")?;
    let keys = set.get("keys").and_then(Value::as_array).ok_or("is no JSON Web Key Set: it has no list `keys`")?;
    let mut usable: Vec<Value> = keys.iter().filter_map(public).collect();
    usable.sort_by_cached_key(Value::to_string);
    usable.dedup();
    match usable.len() {
        0 => Err("holds no key that can be used: a public signing key with `kid`, RSA of 2048 bits or more, \
                  P-256, P-384 or Ed25519"
            .to_owned()),
        1..=MOST_KEYS => Ok(json!({"keys": usable}).to_string()),
        _ => Err(format!("holds more than {MOST_KEYS} keys")),
    }
}

/// The public members of a key, with the algorithm that it signs by; `None` where pods cannot use it.
fn public(key: &Value) -> Option<Value> {
    let text = |name: &str| key.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let digits = |name: &str| text(name).filter(|text| is_base64url(text));
    if text("use").is_some_and(|used| used != "sig") {
        return None;
    }
    let (members, default, others): (&[&str], _, &[&str]) = match (text("kty")?, text("crv")) {
        ("RSA", _) if digits("n")?.len() >= RSA_DIGITS => {
            (&["n", "e"], "RS256", &["RS384", "RS512", "PS256", "PS384", "PS512"])
        }
        ("EC", Some("P-256")) => (&["x", "y"], "ES256", &[]),
        ("EC", Some("P-384")) => (&["x", "y"], "ES384", &[]),
        ("OKP", Some("Ed25519")) => (&["x"], "EdDSA", &[]),
        _ => return None,
    };
    let algorithm = text("alg").unwrap_or(default);
    if algorithm != default && !others.contains(&algorithm) {
        return None;
    }
    let mut kept = Map::from_iter([("alg".to_owned(), json!(algorithm))]);
    for name in ["kty", "kid"] {
        kept.insert(name.to_owned(), json!(text(name)?));
    }
    kept.extend(text("crv").map(|curve| ("crv".to_owned(), json!(curve))));
    for name in members {
        kept.insert((*name).to_owned(), json!(digits(name)?));
    }
    Some(Value::Object(kept))
}

fn is_base64url(text: &str) -> bool {
    text.len() % 4 != 1 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(keys: &[Value]) -> Result<Value, String> {
        read_key_set(&json!({"keys": keys}).to_string()).map(|text| serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn of_a_key_the_public_part_is_kept_with_its_algorithm() {
        let n = "A".repeat(342);
        let rsa = json!({"kty": "RSA", "kid": "r", "n": n, "e": "AQAB", "d": "private", "x5c": ["junk"], "use": "sig"});
        let ec = json!({"kty": "EC", "kid": "e", "crv": "P-256", "x": "AAAA", "y": "AAAA"});
        let expected = json!([
            {"kty": "EC", "kid": "e", "alg": "ES256", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
            {"kty": "RSA", "kid": "r", "alg": "RS256", "n": n, "e": "AQAB"},
        ]);
        assert_eq!(read(&[rsa.clone(), ec.clone(), ec.clone()]).unwrap()["keys"], expected);
        assert_eq!(read(&[ec, rsa]).unwrap()["keys"], expected, "in any order");
    }

    #[test]
    fn what_pods_cannot_use_is_no_key() {
        for bad in [
            json!({"kty": "oct", "kid": "s", "k": "c2VjcmV0"}),
            json!({"kty": "RSA", "kid": "short", "n": "AAAA", "e": "AQAB"}),
            json!({"kty": "RSA", "n": "A".repeat(342), "e": "AQAB"}),
            json!({"kty": "RSA", "kid": "x", "n": "A".repeat(342), "e": "AQAB", "alg": "HS256"}),
            json!({"kty": "RSA", "kid": "x", "n": "A".repeat(342), "e": "AQAB", "use": "enc"}),
            json!({"kty": "EC", "kid": "x", "crv": "P-256", "x": "not base64", "y": "AAAA"}),
            json!({"kty": "EC", "kid": "x", "crv": "secp256k1", "x": "AAAA", "y": "AAAA"}),
            json!(7),
        ] {
            assert!(read(std::slice::from_ref(&bad)).unwrap_err().contains("no key that can be used"), "{bad}");
        }
        assert!(read_key_set("<html>").unwrap_err().contains("no JSON"));
        assert!(read_key_set("{}").unwrap_err().contains("keys"));
    }
}
