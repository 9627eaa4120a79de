//! Which pods serve what was compiled from an object. Pure.
//!
//! The pods that count are those that are Ready by the API server, connected or not.

use super::conditions::Finding;
use crate::publish::{Desired, Difference, PodState};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_compile::Verdict;
use weir_snapshot::Kind;

/// The pods of the data plane, as the API server and as their streams tell of them.
pub(crate) struct Fleet<'a> {
    ready: Vec<ReadyPod<'a>>,
    pub(crate) pods: &'a BTreeMap<String, PodState>,
}

/// A pod that counts.
struct ReadyPod<'a> {
    name: String,
    /// What its stream tells, if it has one, and what it has other than it should.
    stream: Option<(&'a PodState, Difference<'a>)>,
}

impl<'a> Fleet<'a> {
    /// Joins the two, and compares what pods have to what they are to have.
    pub(crate) fn new(pods: &[Arc<Pod>], streams: &'a BTreeMap<String, PodState>, desired: &'a Desired) -> Self {
        let ready = pods.iter().filter(|pod| is_ready(pod)).map(|pod| {
            let stream = streams.get(pod.metadata.uid.as_deref().unwrap_or_default());
            let stream = stream.map(|state| (state, state.holdings.difference(&desired.snapshot)));
            ReadyPod { name: pod.name_any(), stream }
        });
        Self { ready: ready.collect(), pods: streams }
    }

    /// Whether every Ready pod has a stream and told what it saw, where it has anything to see.
    pub(crate) fn is_whole(&self) -> bool {
        let told =
            |pod: &PodState| pod.observed.is_some() || !pod.holdings.held.keys().any(|id| id.kind == Kind::Provider);
        self.ready.iter().all(|pod| pod.stream.as_ref().is_some_and(|(state, _)| told(state)))
    }

    /// `Programmed`, with the count that columns show.
    pub(crate) fn programmed(&self, verdict: &Verdict) -> (Finding, String) {
        let lags: Vec<String> =
            self.ready.iter().filter_map(|pod| Some(format!("pod {} {}", pod.name, pod.lag(verdict)?))).collect();
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
}

impl ReadyPod<'_> {
    /// Why the pod does not serve it as it is now.
    fn lag(&self, verdict: &Verdict) -> Option<String> {
        let Some((PodState { holdings, .. }, difference)) = &self.stream else {
            return Some("does not follow the operator".to_owned());
        };
        let lags = verdict.resources.iter().filter_map(|id| Some((id, *difference.behind.get(id)?)));
        let mut lags = lags.peekable();
        lags.peek()?;
        let known = lags.find_map(|(id, sealed)| {
            if let Some((_, reason)) = holdings.rejected.get(id).filter(|(refused, _)| *refused == sealed.digest) {
                return Some(format!("refused {id}: {reason}"));
            }
            let need = holdings.lacks(&sealed.resource)?;
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
