//! API keys: minted, rotated and revoked as manifests of their Secrets. The Secret holds a hash, the key is shown once.
//!
//! No cluster is asked: what is printed is for kubectl, or for the repository that the manifests are in.

use clap::Args;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use weir_snapshot::api_key;
use zeroize::Zeroizing;

/// Label that holds a key's id, and type of its Secret.
const MARK: &str = "weir.dev/api-key";
/// What kubectl notes of a Secret is no part of it, and quotes its data.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

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
    /// Project that requests are accounted to
    #[arg(long)]
    project: Option<String>,
    /// Cost centre that requests are accounted to
    #[arg(long)]
    cost_center: Option<String>,
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

/// Which key is rotated.
#[derive(Args)]
pub(crate) struct RotateKey {
    /// Manifest of the key's Secret, such as kubectl get prints it; - for standard input
    #[arg(value_name = "FILE", default_value = "-")]
    manifest: PathBuf,
}

/// Which key is revoked.
#[derive(Args)]
pub(crate) struct RevokeKey {
    /// Manifest of the key's Secret, such as kubectl get prints it; - for standard input
    #[arg(value_name = "FILE", default_value = "-")]
    manifest: PathBuf,
    /// Revoke the key from before the last rotation alone: the Secret without it is printed, for kubectl replace
    #[arg(long)]
    previous: bool,
}

/// The Secret as YAML, and the key.
pub(crate) fn new(wanted: &NewKey) -> Result<(String, Zeroizing<String>), String> {
    let NewKey { name, namespace, team, project, cost_center, user, owner, expires_at, models } = wanted;
    let random = random()?;
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let letter = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied().map_or('a', char::from);
    let id: String = random.iter().take(api_key::ID_LEN).map(letter).collect();
    let (hash, token) = minted(&id)?;
    let models = (!models.is_empty()).then(|| models.join(","));
    let annotations: Map<String, Value> = [
        ("team", team),
        ("project", project),
        ("cost-center", cost_center),
        ("user", user),
        ("owner", owner),
        ("expires-at", expires_at),
        ("models", &models),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((format!("weir.dev/{name}"), value.clone()?.into())))
    .collect();
    let mut manifest = json!({
        "apiVersion": "v1", "kind": "Secret", "type": MARK,
        "metadata": {"name": name, "namespace": namespace, "labels": {MARK: id}},
        "stringData": {"current": hash}
    });
    if !annotations.is_empty()
        && let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut)
    {
        metadata.insert("annotations".into(), annotations.into());
    }
    Ok((yaml(&manifest)?, token))
}

/// The Secret with a new key beside the one that it had, as YAML, and the new key.
pub(crate) fn rotate(wanted: &RotateKey) -> Result<(String, Zeroizing<String>), String> {
    let mut secret = read(&wanted.manifest)?;
    let id = secret.metadata.labels.as_ref().and_then(|labels| labels.get(MARK)).cloned().unwrap_or_default();
    if taken(&mut secret, "plaintext").is_some() {
        return Err("the Secret has the entry `plaintext`: rotate its key where that is written\n".to_owned());
    }
    let held = taken(&mut secret, "current").filter(|hash| hash.starts_with("v1$"));
    let held = held.ok_or("the Secret has no entry `current`; mint a key with `weir-operator key new`\n")?;
    let _ = taken(&mut secret, "previous");
    let (hash, token) = minted(&id)?;
    let entries = secret.string_data.get_or_insert_default();
    entries.extend([("current".to_owned(), hash), ("previous".to_owned(), held)]);
    Ok((yaml(&secret)?, token))
}

/// The command that revokes a key, or the Secret as YAML without the key from before the last rotation.
pub(crate) fn revoke(wanted: &RevokeKey) -> Result<String, String> {
    let mut secret = read(&wanted.manifest)?;
    if wanted.previous {
        taken(&mut secret, "previous").ok_or("the Secret has no entry `previous`: nothing is left to revoke\n")?;
        return yaml(&secret);
    }
    let ObjectMeta { name, namespace, .. } = secret.metadata;
    let namespace = namespace.map(|namespace| format!(" --namespace {namespace}")).unwrap_or_default();
    Ok(format!("kubectl delete secret {}{namespace}\n", name.unwrap_or_default()))
}

/// A new secret's hash, as it is stored, and the key.
fn minted(id: &str) -> Result<(String, Zeroizing<String>), String> {
    let secret = random()?;
    let mut hash = String::from("v1$");
    for byte in api_key::hash(id, &secret) {
        let _ = write!(hash, "{byte:02x}");
    }
    Ok((hash, api_key::token(id, &secret)))
}

fn random() -> Result<Zeroizing<[u8; 32]>, String> {
    let mut random = Zeroizing::new([0u8; 32]);
    let source = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    source.fill(&mut *random).map_err(|_| "the system gave no random numbers".to_owned())?;
    Ok(random)
}

/// The Secret of a key, without what the API server adds. What it holds is never quoted.
fn read(file: &Path) -> Result<Secret, String> {
    let text =
        if file == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    let text = text.map(Zeroizing::new).map_err(|e| format!("{}: {e}\n", file.display()))?;
    let secret: Secret = serde_yaml::from_str(&text).map_err(|_| "this is no manifest of a Secret\n")?;
    let ObjectMeta { name, namespace, labels, mut annotations, .. } = secret.metadata;
    if !labels.as_ref().and_then(|labels| labels.get(MARK)).is_some_and(|id| api_key::is_id(id)) {
        return Err(format!("this is no API key: the Secret's label {MARK} is no key id\n"));
    }
    let is_name = |text: &String| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    if !name.as_ref().is_some_and(is_name) || !namespace.iter().all(is_name) {
        return Err("the Secret's metadata.name or namespace is no name\n".to_owned());
    }
    if let Some(annotations) = &mut annotations {
        annotations.remove(APPLIED);
    }
    let annotations = annotations.filter(|annotations| !annotations.is_empty());
    Ok(Secret { metadata: ObjectMeta { name, namespace, labels, annotations, ..ObjectMeta::default() }, ..secret })
}

/// Takes an entry out of a Secret, however it is written.
fn taken(secret: &mut Secret, entry: &str) -> Option<String> {
    let written = secret.string_data.as_mut().and_then(|data| data.remove(entry));
    let stored = secret.data.as_mut().and_then(|data| data.remove(entry));
    secret.data = secret.data.take().filter(|data| !data.is_empty());
    written.or_else(|| String::from_utf8(stored?.0).ok()).map(|text| text.trim_ascii_end().to_owned())
}

fn yaml(manifest: &impl serde::Serialize) -> Result<String, String> {
    let text = serde_yaml::to_string(manifest).map_err(|e| format!("{e}\n"))?;
    Ok(format!("{}\n", text.trim_end()))
}

fn timestamp(text: &str) -> Result<String, String> {
    text.parse::<k8s_openapi::jiff::Timestamp>()
        .map(|_| text.to_owned())
        .map_err(|_| "write it like 2027-01-31T00:00:00Z".to_owned())
}

#[cfg(test)]
mod tests;
