//! The ledger of `up`: leader and pod in one process, kept in one file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;
use weir_dataplane::Gateway;
use weir_lease::{Limit, View};
use weir_ledger::{Command, End, Lead, Meters, Office, Store, Tenure, limits};
use weir_snapshot::Snapshot;
use weir_snapshot::ledger::{FromPod, ToPod, from_pod};

/// Messages that wait on either side.
const QUEUE: usize = 4_096;
/// The only Pod.
const POD: &str = "up";

/// The leader, and the way to it.
pub(super) struct Ledger {
    limits: watch::Sender<Vec<(Arc<str>, Limit)>>,
    tenure: watch::Sender<Tenure>,
    leading: Mutex<JoinHandle<End>>,
}

impl Ledger {
    /// Leads from what the file has; `gateway` spends.
    pub(super) async fn start(file: &Path, gateway: &Arc<Gateway>) -> Result<Self, String> {
        let store = Arc::new(Store::file(file)?);
        let stored = store.load().await?;
        let epoch = 1 + stored.iter().map(|(_, shard)| shard.epoch).max().unwrap_or(0);
        let settings = store.settings(epoch, fastrand::u64(..));
        let (views, _) = watch::channel(Arc::new(View::default()));
        let meters = Meters::new().map_err(|error| error.to_string())?;
        let (lead, office) = Lead::new(settings, store, stored, &BTreeSet::new(), views, &meters);
        let (tell, tenure) = watch::channel(Tenure::Open);
        let leading = tokio::spawn(lead.run(tenure));
        let (to_leader, words) = mpsc::channel(QUEUE);
        let (to_pod, answers) = mpsc::channel(QUEUE);
        let (limits, told) = watch::channel(Vec::new());
        tokio::spawn(inform(office.clone(), told));
        tokio::spawn(pass(office, words, to_pod));
        let gateway = Arc::clone(gateway);
        tokio::spawn(async move { gateway.join_ledger(to_leader, answers).await });
        Ok(Self { limits, tenure: tell, leading: Mutex::new(leading) })
    }

    /// What may be spent from now on.
    pub(super) fn limit(&self, snapshot: &Snapshot) {
        self.limits.send_replace(limits(snapshot));
    }

    /// Writes what was spent.
    pub(super) async fn close(&self) {
        self.tenure.send_replace(Tenure::Over);
        let mut leading = self.leading.lock().await;
        let _ = (&mut *leading).await;
    }
}

/// Tells the leader what may be spent, whenever that changes.
async fn inform(office: Office, mut limits: watch::Receiver<Vec<(Arc<str>, Limit)>>) {
    while limits.changed().await.is_ok() {
        let told = limits.borrow_and_update().clone();
        office.tell(Command::Limits(told)).await;
    }
}

/// Passes the pod's words on; its hello names the start.
async fn pass(office: Office, mut words: mpsc::Receiver<FromPod>, to_pod: mpsc::Sender<ToPod>) {
    let mut start = String::new();
    while let Some(message) = words.recv().await {
        if let Some(from_pod::Kind::Hello(hello)) = &message.kind
            && hello.incarnation != start
        {
            start.clone_from(&hello.incarnation);
            let (incarnation, outgoing) = (start.clone(), to_pod.clone());
            office.tell(Command::Enter { incarnation, pod: POD.to_owned(), stream: 0, outgoing }).await;
        }
        office.tell(Command::Message { incarnation: start.clone(), pod: POD.to_owned(), message }).await;
    }
}

/// Where the ledger of a folder is, if nobody says otherwise: with the user's other state, named after the folder.
pub(crate) fn default_file(folder: &Path) -> Result<PathBuf, String> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
    let state = state.or_else(home).ok_or("there is no home folder for the ledger; name a file with --ledger")?;
    let folder = std::path::absolute(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let name = folder.to_string_lossy().replace(['/', '\\'], "-");
    let short: String = name.chars().rev().take(200).collect::<Vec<_>>().into_iter().rev().collect();
    Ok(state.join("weir").join(format!("{}.redb", short.trim_start_matches('-'))))
}
