//! Minting API keys: the Secret holds a hash, the key is shown once.

use clap::Args;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
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
    /// Manifest of the Secret whose key this one replaces, - for standard input: the id stays, and the old key
    /// is good as well until the entry `previous` is removed
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
}

/// The Secret as YAML, and the key.
pub(crate) fn new(wanted: &NewKey) -> Result<(String, Zeroizing<String>), String> {
    let NewKey { name, namespace, team, user, owner, expires_at, models, previous } = wanted;
    let previous = previous.as_deref().map(|file| replaced(&read(file)?)).transpose()?;
    let mut random = Zeroizing::new([0u8; 32 + api_key::ID_LEN]);
    rustls::crypto::aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut *random)
        .map_err(|_| "the system gave no random numbers".to_owned())?;
    let (secret, rest) = random.split_first_chunk::<32>().ok_or("too few random numbers")?;
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let letter = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied().map_or('a', char::from);
    let id = previous.as_ref().map_or_else(|| rest.iter().map(letter).collect(), |(id, _)| id.clone());
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
    if let Some((_, hash)) = previous
        && let Some(data) = manifest.get_mut("stringData").and_then(Value::as_object_mut)
    {
        data.insert("previous".into(), hash.into());
    }
    let text = serde_yaml::to_string(&manifest).map_err(|e| e.to_string())?;
    Ok((format!("{}\n", text.trim_end()), api_key::token(&id, secret)))
}

fn read(file: &Path) -> Result<Zeroizing<String>, String> {
    let text =
        if file == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    text.map(Zeroizing::new).map_err(|e| format!("{}: {e}\n", file.display()))
}

/// Id and stored hash of the key in a Secret's manifest. What it holds is never quoted.
fn replaced(manifest: &str) -> Result<(String, String), String> {
    let secret: Secret = serde_yaml::from_str(manifest).map_err(|_| "--previous: this is no manifest of a Secret\n")?;
    let id = secret.metadata.labels.and_then(|mut labels| labels.remove("weir.dev/api-key"));
    let id =
        id.filter(|id| api_key::is_id(id)).ok_or("--previous: the Secret's label weir.dev/api-key is no key id\n")?;
    let written = secret.string_data.and_then(|mut data| data.remove("current"));
    let stored = secret.data.and_then(|mut data| String::from_utf8(data.remove("current")?.0).ok());
    let hash = written.or(stored).filter(|hash| hash.starts_with("v1$"));
    let hash = hash.ok_or("--previous: the Secret has no entry `current`; replace its key where it was written\n")?;
    Ok((id, hash.trim_ascii_end().to_owned()))
}

fn timestamp(text: &str) -> Result<String, String> {
    text.parse::<k8s_openapi::jiff::Timestamp>()
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
            previous: None,
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

    #[test]
    fn a_key_that_replaces_another_keeps_its_id_and_lets_the_old_one_go_on() {
        let folder = std::env::temp_dir().join(format!("weir-key-{:x}", fastrand::u128(..)));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("old.yaml");
        let mut wanted = NewKey {
            name: "app".into(),
            namespace: "a".into(),
            team: None,
            user: None,
            owner: None,
            expires_at: None,
            models: Vec::new(),
            previous: None,
        };
        let (old_text, old_token) = new(&wanted).unwrap();
        std::fs::write(&file, &old_text).unwrap();
        wanted.previous = Some(file);
        let (text, token) = new(&wanted).unwrap();
        let (old, renewed): (Value, Value) =
            (serde_yaml::from_str(&old_text).unwrap(), serde_yaml::from_str(&text).unwrap());
        assert_eq!(renewed["metadata"], old["metadata"]);
        assert_eq!(renewed["stringData"]["previous"], old["stringData"]["current"]);
        assert_eq!(Presented::parse(&token).unwrap().id, Presented::parse(&old_token).unwrap().id);
        std::fs::write(folder.join("old.yaml"), "kind: Secret\nstringData: {apiKey: sk-x}\n").unwrap();
        assert!(new(&wanted).unwrap_err().contains("label"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
