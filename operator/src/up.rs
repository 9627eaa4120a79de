//! `up`: the same compile and the same data plane in one process, from a folder that is watched.
//!
//! A folder with mistakes changes nothing: they are printed, and the last good config stays.

mod ledger;

use crate::key_sets::{self, KeySets};
use crate::source::files;
use clap::Args;
use ledger::Ledger;
pub(crate) use ledger::default_file as default_ledger;
use notify::{RecursiveMode, Watcher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use weir_dataplane::{Config, Gateway, signals};
use weir_ledger::Days;

/// Editors write a file in several steps; this long after the last one it is read.
const SETTLE: Duration = Duration::from_millis(50);

/// What to serve, and where.
#[derive(Args)]
pub(crate) struct UpArgs {
    /// Folder of manifests
    folder: PathBuf,
    /// How often key sets of token issuers are read
    #[arg(long, env = "WEIR_KEY_SET_REFRESH", default_value = "5m", value_parser = key_sets::refresh)]
    key_set_refresh: Duration,
    /// File that keeps what was spent; by default one with your other state, named after the folder
    #[arg(long, env = "WEIR_LEDGER")]
    ledger: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) config: Config,
}

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn up(args: UpArgs) -> Result<(), String> {
    let UpArgs { folder, key_set_refresh, ledger, config } = args;
    let key_sets = KeySets::new(key_set_refresh, None);
    let mut keys = key_sets.changes();
    let gateway = Gateway::new(config);
    let file = ledger.map_or_else(|| ledger::default_file(&folder), Ok)?;
    let ledger = Arc::new(Ledger::start(&file, &gateway).await?);
    let (_watcher, mut changes) = watch(&folder, &file)?;
    let (serves, leases) = (Arc::clone(&gateway), Arc::clone(&ledger));
    let mut served = Served { gateway: serves, ledger: leases, folder, key_sets, shown: String::new() };
    served.apply();
    let (listen, _, serving) = gateway.start().map_err(|e| e.to_string())?;
    tracing::info!("send requests to http://{listen}/v1/chat/completions");
    let following = tokio::spawn(async move {
        loop {
            tokio::select! {
                change = changes.recv() => if change.is_none() { return },
                change = keys.changed() => if change.is_err() { return },
            }
            while tokio::time::timeout(SETTLE, changes.recv()).await.is_ok_and(|change| change.is_some()) {}
            let applied = tokio::task::spawn_blocking(move || {
                served.apply();
                served
            });
            let Ok(applied) = applied.await else { return };
            served = applied;
        }
    });
    signals::told_to_end().await;
    tokio::select! {
        () = gateway.drain().run() => drop(serving.await),
        () = signals::interrupted() => {}
    }
    following.abort();
    gateway.settle_up().await;
    ledger.close().await;
    Ok(())
}

/// Watches the folder for changes of anything but the ledger, which may be in it.
fn watch(folder: &Path, ledger: &Path) -> Result<(notify::RecommendedWatcher, UnboundedReceiver<()>), String> {
    let failed = |e: notify::Error| format!("{}: cannot be watched: {e}", folder.display());
    let (sender, receiver) = unbounded_channel();
    let ledger = ledger.to_owned();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access() && !is_of_ledger(&ledger, &event.paths)) {
            let _ = sender.send(());
        }
    })
    .map_err(failed)?;
    // A single file is watched by its folder: editors replace it by another.
    let parent = folder.parent().filter(|_| folder.is_file());
    let watched = parent.map_or(folder, |parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    watcher.watch(watched, RecursiveMode::Recursive).map_err(failed)?;
    Ok((watcher, receiver))
}

/// Whether these are files of the ledger and nothing else.
fn is_of_ledger(ledger: &Path, paths: &[PathBuf]) -> bool {
    let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (file, days) = (whole(ledger), whole(Days::beside(ledger).folder()));
    !paths.is_empty() && paths.iter().map(|path| whole(path)).all(|path| path == file || path.starts_with(&days))
}

/// A folder, and who serves what it says.
struct Served {
    gateway: Arc<Gateway>,
    ledger: Arc<Ledger>,
    folder: PathBuf,
    key_sets: KeySets,
    /// The complaints that were shown last.
    shown: String,
}

impl Served {
    /// Reads, compiles and applies the folder if there is nothing against it. The same complaints are shown once.
    fn apply(&mut self) {
        let Self { gateway, ledger, folder, key_sets, shown } = self;
        let mut found = match files::read(folder, |name| std::env::var(name).ok()) {
            Ok(found) => found,
            Err(e) => return tracing::error!("{}: {e}", folder.display()),
        };
        // An issuer that does not answer is in the log and no mistake of the folder.
        found.objects.key_sets = key_sets.known().into_iter().filter(|(_, read)| read.jwks.is_some()).collect();
        found.objects.key_sets.values_mut().for_each(|read| read.trouble = None);
        let compiled = weir_compile::compile(&found.objects);
        key_sets.follow(&compiled.key_sources, &found.objects.settings);
        let complaints: String =
            found.complaints_of(&compiled).iter().map(|complaint| format!("\n{complaint}")).collect();
        if *shown != complaints {
            shown.clone_from(&complaints);
            if !complaints.is_empty() {
                tracing::error!("the folder has mistakes; the last good config stays:{complaints}");
            }
        }
        if !complaints.is_empty() {
            return;
        }
        if !compiled.alarms.is_empty() {
            tracing::warn!("thresholds tell nobody here: Events and webhooks are sent in a cluster alone");
        }
        ledger.limit(&compiled.snapshot);
        for rejected in gateway.apply(compiled.snapshot) {
            tracing::error!("{} was rejected: {}", rejected.id, rejected.reason);
        }
        tracing::info!(
            routes = found.objects.routes.len(),
            providers = found.objects.providers.len(),
            "config applied"
        );
    }
}

#[cfg(test)]
mod tests;
