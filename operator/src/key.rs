//! Minting API keys: the Secret holds a hash, the key is shown once.

use clap::Args;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use weir_snapshot::api_key;
use zeroize::Zeroizing;

/// What a new key is for.
#[derive(Args)]
pub(crate) struct NewKey {
    /// Name of the Secret
    #[arg(long)]
    name: String,
    /// Namespace of the Secret: a route admits the keys of its own namespace unless it says otherwise
    #[arg(long, default_value = "default")]
    namespace: String,
    /// Team that requests are accounted to
    #[arg(long)]
    team: Option<String>,
    /// User that requests are accounted to
    #[arg(long)]
    user: Option<String>,
    /// Who answers for the key
    #[arg(long)]
    owner: Option<String>,
    /// When the key ends, as RFC 3339: 2027-01-31T00:00:00Z
    #[arg(long, value_parser = timestamp)]
    expires_at: Option<String>,
    /// Models that the key may name, comma-separated; all that its routes serve when left out
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
}

/// The Secret as YAML, and the key.
pub(crate) fn new(wanted: &NewKey) -> Result<(String, Zeroizing<String>), String> {
    let NewKey { name, namespace, team, user, owner, expires_at, models } = wanted;
    let mut random = Zeroizing::new([0u8; 32 + api_key::ID_LEN]);
    rustls::crypto::aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut *random)
        .map_err(|_| "the system gave no random numbers".to_owned())?;
    let (secret, rest) = random.split_first_chunk::<32>().ok_or("too few random numbers")?;
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let letter = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied().map_or('a', char::from);
    let id: String = rest.iter().map(letter).collect();
    let mut hash = String::from("v1$");
    for byte in api_key::hash(&id, secret) {
        let _ = write!(hash, "{byte:02x}");
    }
    let models = (!models.is_empty()).then(|| models.join(","));
    let annotations: Map<String, Value> =
        [("team", team), ("user", user), ("owner", owner), ("expires-at", expires_at), ("models", &models)]
            .into_iter()
            .filter_map(|(name, value)| Some((format!("weir.dev/{name}"), value.clone()?.into())))
            .collect();
    let mut manifest = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "weir.dev/api-key",
        "metadata": {"name": name, "namespace": namespace, "labels": {"weir.dev/api-key": id}},
        "stringData": {"current": hash}
    });
    if !annotations.is_empty()
        && let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut)
    {
        metadata.insert("annotations".into(), annotations.into());
    }
    let text = serde_yaml::to_string(&manifest).map_err(|e| e.to_string())?;
    Ok((format!("{}\n", text.trim_end()), api_key::token(&id, secret)))
}

fn timestamp(text: &str) -> Result<String, String> {
    text.parse::<jiff::Timestamp>()
        .map(|_| text.to_owned())
        .map_err(|_| "write it like 2027-01-31T00:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_snapshot::api_key::Presented;

    #[test]
    fn the_secret_holds_the_hash_of_the_key_and_not_the_key() {
        let wanted = NewKey {
            name: "app".into(),
            namespace: "a".into(),
            team: Some("t".into()),
            user: None,
            owner: None,
            expires_at: None,
            models: vec!["m".into(), "n".into()],
        };
        let (text, token) = new(&wanted).unwrap();
        let secret: Value = serde_yaml::from_str(&text).unwrap();
        let presented = Presented::parse(&token).unwrap();
        assert_eq!(secret["metadata"]["labels"]["weir.dev/api-key"], presented.id);
        let hash: String = presented.hash().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(secret["stringData"]["current"], format!("v1${hash}"));
        assert_eq!(secret["metadata"]["annotations"]["weir.dev/models"], "m,n");
        assert!(!text.contains(&token[18..60]));
        assert_ne!(*new(&wanted).unwrap().1, *token);
    }
}
