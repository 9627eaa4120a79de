//! One stream with one operator.

use super::config::Config;
use super::holding::{Holding, Outdated};
use super::service::config_client::ConfigClient;
use super::store::Store;
use super::{observed, parts};
use crate::gateway::Gateway;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{self, Sender};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use weir_snapshot::envelope::{self, Commit, FromPod, Hello, Rejected, Token, from_pod, to_pod};
use weir_snapshot::{FEATURES, OPERATOR_SERVER_NAME};

const CONNECT: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Between two looks at the token file and at what is to be reported.
const TOKEN_EVERY: Duration = Duration::from_secs(10);
const OBSERVE_EVERY: Duration = Duration::from_secs(1);
/// Largest message of the operator: the parts of a resource are of a megabyte.
const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// How a session ended.
pub(super) enum End {
    /// The operator is a standby: dial this one.
    Leader(String),
    /// It ended; `served` says whether any config came over it.
    Closed { served: bool, why: String },
}

/// Dials, says hello, and takes config until the stream ends.
pub(super) async fn run(
    gateway: &Arc<Gateway>,
    config: &Config,
    address: &str,
    incarnation: &str,
    holding: &mut Holding,
    store: &mut Option<Store>,
) -> End {
    let closed = |why: String| End::Closed { served: false, why };
    let token = match read(&config.token_file) {
        Ok(token) => token,
        Err(why) => return closed(why),
    };
    let channel = match dial(config, address).await {
        Ok(channel) => channel,
        Err(why) => return closed(why),
    };
    holding.unstage();
    let (sender, receiver) = mpsc::channel(64);
    let hello = hello(config, token.clone(), incarnation, holding.epoch);
    let said = async {
        for hello in parts::hellos(hello, held(holding)) {
            say(&sender, from_pod::Kind::Hello(hello)).await?;
        }
        Ok::<_, ()>(())
    };
    let mut client = ConfigClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
    let (said, answer) = tokio::join!(said, client.subscribe(ReceiverStream::new(receiver)));
    let mut stream = match answer {
        Ok(response) => response.into_inner(),
        Err(status) => return closed(format!("{}: {}", status.code(), status.message())),
    };
    if said.is_err() {
        return closed("the stream closed at once".into());
    }
    let reports = tokio::spawn(report(Arc::clone(gateway), config.clone(), token, sender.clone()));
    let mut served = false;
    let end = loop {
        let message = match stream.message().await {
            Ok(Some(message)) => message,
            Ok(None) => break End::Closed { served, why: "it was closed".into() },
            Err(status) => break End::Closed { served, why: format!("{}: {}", status.code(), status.message()) },
        };
        match message.kind {
            Some(to_pod::Kind::Put(put)) => {
                let bounded = holding.put(put);
                if !bounded {
                    break End::Closed { served, why: "a resource never ended".into() };
                }
            }
            Some(to_pod::Kind::Remove(remove)) => holding.remove(remove),
            Some(to_pod::Kind::Commit(commit)) => match apply(gateway, holding, store, &commit).await {
                Ok(rejected) => {
                    served = true;
                    for ack in parts::acks(commit.revision, rejected) {
                        if say(&sender, from_pod::Kind::Ack(ack)).await.is_err() {
                            tracing::debug!("the operator does not hear what became of a commit");
                        }
                    }
                }
                Err(why) => break End::Closed { served, why },
            },
            Some(to_pod::Kind::NotLeader(leader)) if leader.address.is_empty() => {
                break End::Closed { served, why: "no operator leads at the moment".into() };
            }
            Some(to_pod::Kind::NotLeader(leader)) => break End::Leader(leader.address),
            None => {}
        }
    };
    reports.abort();
    end
}

/// A connection to that operator, proven by its CA.
pub(crate) async fn dial(config: &Config, address: &str) -> Result<tonic::transport::Channel, String> {
    let ca = read(&config.operator_ca)?;
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)).domain_name(OPERATOR_SERVER_NAME);
    let endpoint = Endpoint::from_shared(format!("https://{address}")).map_err(|e| format!("{address}: {e}"))?;
    let endpoint = endpoint.tls_config(tls).map_err(|e| format!("the operator's CA cannot be used: {e}"))?;
    let endpoint = endpoint.connect_timeout(CONNECT).http2_keep_alive_interval(KEEP_ALIVE).keep_alive_while_idle(true);
    endpoint.connect().await.map_err(|e| {
        let cause = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
        format!("{e}: {cause}")
    })
}

fn hello(config: &Config, token: String, incarnation: &str, highest_epoch: u64) -> Hello {
    Hello {
        token,
        gateway: config.gateway.clone(),
        incarnation: incarnation.to_owned(),
        features: FEATURES.iter().map(ToString::to_string).collect(),
        highest_epoch,
        ..Hello::default()
    }
}

fn held(holding: &Holding) -> Vec<envelope::Held> {
    let held = holding.iter().map(|(id, held)| envelope::Held {
        kind: id.kind.as_str().to_owned(),
        namespace: id.name.namespace.clone(),
        name: id.name.name.clone(),
        digest: held.digest.to_string(),
    });
    held.collect()
}

/// Applies a commit and keeps a copy; what is refused of it. The table is built off the request threads.
async fn apply(
    gateway: &Arc<Gateway>,
    holding: &mut Holding,
    store: &mut Option<Store>,
    commit: &Commit,
) -> Result<Vec<Rejected>, String> {
    let outdated = |e: Outdated| format!("its epoch is {}, older than {}", commit.epoch, e.seen);
    let mut rejected = holding.commit(commit).map_err(outdated)?;
    let (resources, applying) = (holding.resources(), Arc::clone(gateway));
    let unusable = tokio::task::spawn_blocking(move || applying.apply_resources(resources)).await;
    let unusable = unusable.map_err(|e| format!("the config could not be applied: {e}"))?;
    let live = gateway.live.load_full();
    rejected.extend(unusable.into_iter().filter_map(|rejected| {
        let served = live.resources.get(&*rejected.id).cloned();
        holding.reject(rejected, served)
    }));
    for rejected in &rejected {
        let id = format!("{} {}/{}", rejected.kind, rejected.namespace, rejected.name);
        tracing::warn!(resource = %id, reason = %rejected.reason, "a resource was rejected");
    }
    let changed = holding.take_changed();
    if let Some(store) = store
        && let Err(why) = store.save(holding, &changed)
    {
        tracing::error!(%why, "the config cannot be kept for a restart");
    }
    Ok(rejected)
}

/// Sends newer tokens, and what was seen of upstreams whenever it changes.
async fn report(gateway: Arc<Gateway>, config: Config, mut token: String, sender: Sender<FromPod>) {
    let mut tokens = tokio::time::interval(TOKEN_EVERY);
    let mut observing = tokio::time::interval(OBSERVE_EVERY);
    let mut told = Vec::new();
    loop {
        tokio::select! {
            _ = tokens.tick() => {
                let Ok(newer) = read(&config.token_file) else { continue };
                if newer != token {
                    token = newer;
                    if say(&sender, from_pod::Kind::Token(Token { token: token.clone() })).await.is_err() {
                        return;
                    }
                }
            }
            _ = observing.tick() => {
                let seen = observed::observe(&gateway);
                if seen != told {
                    told.clone_from(&seen);
                    for observed in parts::observed(seen) {
                        if say(&sender, from_pod::Kind::Observed(observed)).await.is_err() {
                            return;
                        }
                    }
                }
            }
        }
    }
}

async fn say(sender: &Sender<FromPod>, kind: from_pod::Kind) -> Result<(), ()> {
    sender.send(FromPod { kind: Some(kind) }).await.map_err(|_| ())
}

/// The text of a file, such as the pod's token.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map(|text| text.trim().to_owned()).map_err(|e| format!("{}: {e}", path.display()))
}
