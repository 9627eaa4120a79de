//! The last good config on the pod's memory-backed volume, for a container that starts again.
//!
//! The file holds secrets: only the owner may read it, and it is replaced whole.

use super::holding::{Held, Holding};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use weir_snapshot::{Digest, Kind, Resource, ResourceId};

const FILE: &str = "config.json";

#[derive(Serialize, Deserialize)]
struct Kept {
    epoch: u64,
    resources: Vec<KeptResource>,
}

#[derive(Serialize, Deserialize)]
struct KeptResource {
    kind: String,
    namespace: String,
    name: String,
    digest: String,
    body: Box<RawValue>,
}

/// Writes all that is held.
pub(super) fn save(folder: &Path, holding: &Holding) -> Result<(), String> {
    let kept = |(id, held): (&ResourceId, &Held)| -> Result<KeptResource, String> {
        let body = held.resource.body().map_err(|e| e.to_string())?;
        let body = String::from_utf8(body).map_err(|e| e.to_string())?;
        Ok(KeptResource {
            kind: id.kind.as_str().to_owned(),
            namespace: id.name.namespace.clone(),
            name: id.name.name.clone(),
            digest: held.digest.0.clone(),
            body: RawValue::from_string(body).map_err(|e| e.to_string())?,
        })
    };
    let kept = Kept { epoch: holding.epoch, resources: holding.iter().map(kept).collect::<Result<_, _>>()? };
    let text = serde_json::to_vec(&kept).map_err(|e| e.to_string())?;
    let (path, new) = (folder.join(FILE), folder.join("config.json.new"));
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&text)?;
        std::fs::rename(&new, &path)
    };
    write().map_err(|e: std::io::Error| format!("{}: {e}", path.display()))
}

/// Reads it, if there is one. A resource that cannot be read any more is left out.
pub(super) fn load(folder: &Path) -> Result<Option<Holding>, String> {
    let path = folder.join(FILE);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(format!("{}: {e}", path.display())),
    };
    let kept: Kept = serde_json::from_slice(&text).map_err(|e| format!("{}: {:?}", path.display(), e.classify()))?;
    let held: BTreeMap<_, _> = kept
        .resources
        .into_iter()
        .filter_map(|kept| {
            let kind = Kind::parse(&kept.kind)?;
            let resource = Resource::parse(kind, kept.body.get().as_bytes()).ok()?;
            let held = Held { digest: Digest(kept.digest), resource: Arc::new(resource) };
            Some((ResourceId::new(kind, kept.namespace, kept.name), held))
        })
        .collect();
    Ok(Some(Holding::kept(held, kept.epoch)))
}
