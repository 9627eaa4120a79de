//! `validate` and `render`: what a folder of manifests says, without serving it.

use crate::source::files;
use std::path::Path;

/// A summary where all is well, else every complaint.
pub(crate) fn validate(folder: &Path) -> Result<String, String> {
    let found = read(folder)?;
    let compiled = weir_compile::compile(&found.objects);
    let complaints = found.complaints_of(&compiled);
    if !complaints.is_empty() {
        return Err(complaints.iter().map(|complaint| format!("{complaint}\n")).collect());
    }
    let (routes, providers, budgets) =
        (found.objects.routes.len(), found.objects.providers.len(), found.objects.budgets.len());
    let mut summary = format!("good: {routes} routes, {providers} providers, {budgets} budgets\n");
    for title in &found.ignored {
        summary.push_str(&format!("not looked at: {title}\n"));
    }
    Ok(summary)
}

/// The snapshot, whatever of it compiles, and the complaints.
pub(crate) fn render(folder: &Path) -> Result<(String, String), String> {
    let found = read(folder)?;
    let compiled = weir_compile::compile(&found.objects);
    let complaints = found.complaints_of(&compiled).iter().map(|complaint| format!("{complaint}\n")).collect();
    Ok((weir_compile::render(&compiled.snapshot), complaints))
}

/// Reads a folder or one file.
pub(crate) fn read(folder: &Path) -> Result<files::Folder, String> {
    files::read(folder, |name| std::env::var(name).ok()).map_err(|e| format!("{}: {e}\n", folder.display()))
}
