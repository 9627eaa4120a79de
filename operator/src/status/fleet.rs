//! Which pods serve what was compiled from an object. Pure.
//!
//! The pods that count are those that are Ready by the API server, connected or not.

use super::conditions::Finding;
use crate::publish::{Desired, PodState};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_compile::Verdict;
use weir_snapshot::Kind;

/// The pods of the data plane, as the API server and as their streams tell of them.
pub(crate) struct Fleet<'a> {
    ready: Vec<(String, String)>,
    pub(crate) pods: &'a BTreeMap<String, PodState>,
}

impl<'a> Fleet<'a> {
    /// Joins the two.
    pub(crate) fn new(pods: &[Arc<Pod>], streams: &'a BTreeMap<String, PodState>) -> Self {
        let ready = pods.iter().filter(|pod| is_ready(pod));
        let ready = ready.map(|pod| (pod.uid().unwrap_or_default(), pod.name_any())).collect();
        Self { ready, pods: streams }
    }

    /// Whether every Ready pod has a stream and told what it saw, where it has anything to see.
    pub(crate) fn is_whole(&self) -> bool {
        let told =
            |pod: &PodState| pod.observed.is_some() || !pod.holdings.held.keys().any(|id| id.kind == Kind::Provider);
        self.ready.iter().all(|(uid, _)| self.pods.get(uid).is_some_and(told))
    }

    /// `Programmed`, with the count that columns show.
    pub(crate) fn programmed(&self, verdict: &Verdict, desired: &Desired) -> (Finding, String) {
        let lags: Vec<String> = self
            .ready
            .iter()
            .filter_map(|(uid, name)| self.lag(uid, verdict, desired).map(|why| format!("pod {name} {why}")))
            .collect();
        let count = format!("{}/{}", self.ready.len() - lags.len(), self.ready.len());
        let finding = |status, reason, message| Finding::new("Programmed", Some(status), reason, message);
        let finding = match (self.ready.is_empty(), lags.first()) {
            _ if verdict.resources.is_empty() => {
                finding(false, "NothingToProgram", "no pod is sent anything of it".to_owned())
            }
            (true, _) => finding(false, "NoReadyPods", "no pod of the data plane is Ready".to_owned()),
            (false, Some(lag)) => finding(false, "PodLagging", format!("{count} pods: {lag}")),
            (false, None) => finding(true, "Programmed", format!("{count} pods")),
        };
        (finding, count)
    }

    /// Why a pod does not serve it as it is now.
    fn lag(&self, uid: &str, verdict: &Verdict, desired: &Desired) -> Option<String> {
        let Some(pod) = self.pods.get(uid) else { return Some("does not follow the operator".to_owned()) };
        let lags = verdict.resources.iter().filter(|id| pod.holdings.held.get(*id) != desired.digests.get(*id));
        let mut lags = lags.peekable();
        lags.peek()?;
        let known = lags.find_map(|id| {
            let digest = desired.digests.get(id)?;
            if let Some((_, reason)) = pod.holdings.rejected.get(id).filter(|(refused, _)| refused == digest) {
                return Some(format!("refused {id}: {reason}"));
            }
            let need = pod.holdings.lacks(desired.snapshot.resources.get(id)?)?;
            Some(format!("lacks the feature {need} that {id} needs"))
        });
        Some(known.unwrap_or_else(|| "has not applied it yet".to_owned()))
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
