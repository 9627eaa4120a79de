//! `prices`: the catalogue as text.

use std::collections::BTreeMap;
use weir_compile::{Catalogue, Entry};

/// The catalogue, or what it knows of one model, in the form that an overlay takes.
pub(crate) fn catalogue(provider_type: Option<&str>, model: Option<&str>) -> Result<String, String> {
    let Catalogue { source, version, date, licence, models, .. } = Catalogue::built_in();
    let mut found: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for (of, entries) in models.iter().filter(|(of, _)| provider_type.is_none_or(|wanted| of.as_str() == wanted)) {
        let entries: Vec<_> = match model {
            None => entries.iter().collect(),
            Some(model) => entries.iter().find(|entry| entry.fits(model)).into_iter().collect(),
        };
        if !entries.is_empty() {
            found.insert(of.as_str(), entries);
        }
    }
    if found.is_empty() {
        let types: Vec<_> = models.keys().map(|of| of.as_str()).collect();
        return Err(format!("the catalogue has no such model; its provider types are {}\n", types.join(", ")));
    }
    let text = serde_yaml::to_string(&BTreeMap::from([("models", found)])).map_err(|e| format!("{e}\n"))?;
    Ok(format!("# {source} {version}, prices of {date} ({licence})\n{text}"))
}
