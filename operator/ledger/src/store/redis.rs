//! Redis, or what speaks its protocol: one hash a part, replaced by a script that compares its version.

use super::part::{Part, Written};
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{Client, RedisError, Script, TlsMode};
use std::collections::HashMap;
use std::sync::{Mutex as Held, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;

/// An answer, with the connection made for it where there is none.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Replaces a part if its version is still the one given; answers what it was otherwise.
const REPLACE: &str = "local held = redis.call('HGET', KEYS[1], 'version') or ''
if held ~= ARGV[1] then return {held, redis.call('HGET', KEYS[1], 'body') or ''} end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'body', ARGV[3])
return {ARGV[2], ''}";

pub struct Redis {
    way: Mutex<Way>,
    replace: Script,
    prefix: String,
    /// What was last read or written.
    versions: Held<HashMap<Part, Vec<u8>>>,
}

/// How it is reached, and the connection while there is one.
enum Way {
    Single(Client, Option<MultiplexedConnection>),
    Sentinel(Box<SentinelClient>, Option<MultiplexedConnection>),
    Cluster(ClusterClient, Option<ClusterConnection>),
}

impl Redis {
    pub(super) fn new(url: &str, prefix: &str) -> Result<Self, String> {
        Ok(Self {
            way: Mutex::new(way(url)?),
            replace: Script::new(REPLACE),
            prefix: prefix.to_owned(),
            versions: Held::default(),
        })
    }

    /// All parts of the pots.
    pub(super) async fn shards(&self) -> Result<Vec<(Part, Vec<u8>)>, String> {
        let mut shards = Vec::new();
        for part in (0..super::SHARDS).map(Part::Shard) {
            shards.extend(self.read(part).await?.map(|body| (part, body)));
        }
        Ok(shards)
    }

    pub(super) async fn read(&self, part: Part) -> Result<Option<Vec<u8>>, String> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.key(part)).arg("version").arg("body");
        let (version, body): (Option<Vec<u8>>, Option<Vec<u8>>) =
            self.timely(async |way| way.query(&command).await).await?;
        self.seen(part, version.unwrap_or_default());
        Ok(body)
    }

    pub(super) async fn write(&self, part: Part, body: Vec<u8>) -> Result<Written, String> {
        let held = self.versions.lock().unwrap_or_else(PoisonError::into_inner).get(&part).cloned().unwrap_or_default();
        let next = format!("{:032x}", fastrand::u128(..)).into_bytes();
        let mut call = self.replace.prepare_invoke();
        call.key(self.key(part)).arg(held).arg(&next).arg(body);
        let (version, stored): (Vec<u8>, Vec<u8>) = self.timely(async |way| way.invoke(&call).await).await?;
        let landed = version == next;
        self.seen(part, version);
        Ok(if landed { Written::Stored } else { Written::Changed(Some(stored).filter(|body| !body.is_empty())) })
    }

    pub(super) async fn forget(&self, part: Part) -> Result<(), String> {
        let mut command = redis::cmd("DEL");
        command.arg(self.key(part));
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).remove(&part);
        self.timely(async |way| way.query(&command).await).await
    }

    fn key(&self, part: Part) -> String {
        match part {
            Part::Shard(shard) => format!("{}:ledger:{{{shard}}}", self.prefix),
            Part::Costs(day) => format!("{}:costs:{{{day}}}", self.prefix),
        }
    }

    fn seen(&self, part: Part, version: Vec<u8>) {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).insert(part, version);
    }

    /// Asks within the time limit. A connection that failed is made anew for the next.
    async fn timely<T>(&self, ask: impl AsyncFnOnce(&mut Way) -> Result<T, RedisError>) -> Result<T, String> {
        let mut way = self.way.lock().await;
        let asked = tokio::time::timeout(TIMEOUT, ask(&mut way)).await;
        let failed = match asked {
            Ok(Ok(answer)) => return Ok(answer),
            // The category alone: a message might quote the URL.
            Ok(Err(error)) => format!("{:?}: {}", error.kind(), error.code().unwrap_or("no answer that can be used")),
            Err(_) => "it does not answer in time".to_owned(),
        };
        match &mut *way {
            Way::Single(_, connection) | Way::Sentinel(_, connection) => *connection = None,
            Way::Cluster(_, connection) => *connection = None,
        }
        Err(failed)
    }
}

impl Way {
    async fn query<T: redis::FromRedisValue>(&mut self, command: &redis::Cmd) -> Result<T, RedisError> {
        match self {
            Self::Single(client, held) => {
                if held.is_none() {
                    *held = Some(client.get_multiplexed_async_connection().await?);
                }
                command.query_async(held.as_mut().ok_or_else(gone)?).await
            }
            Self::Sentinel(client, held) => {
                if held.is_none() {
                    *held = Some(client.get_async_connection().await?);
                }
                command.query_async(held.as_mut().ok_or_else(gone)?).await
            }
            Self::Cluster(client, held) => {
                if held.is_none() {
                    *held = Some(client.get_async_connection().await?);
                }
                command.query_async(held.as_mut().ok_or_else(gone)?).await
            }
        }
    }

    async fn invoke<T: redis::FromRedisValue>(&mut self, call: &redis::ScriptInvocation<'_>) -> Result<T, RedisError> {
        // Makes the connection, and sees that it lives.
        let _: String = self.query(&redis::cmd("PING")).await?;
        match self {
            Self::Single(_, Some(held)) | Self::Sentinel(_, Some(held)) => call.invoke_async(held).await,
            Self::Cluster(_, Some(held)) => call.invoke_async(held).await,
            Self::Single(_, None) | Self::Sentinel(_, None) | Self::Cluster(_, None) => Err(gone()),
        }
    }
}

fn gone() -> RedisError {
    RedisError::from((redis::ErrorKind::Io, "there is no connection"))
}

fn way(url: &str) -> Result<Way, String> {
    let wrong = || {
        "the Redis URL cannot be used: write redis://[USER:PASSWORD@]HOST:PORT[/DB], redis+sentinel://[USER:PASSWORD@]HOST:PORT,.../MASTER \
         or redis+cluster://[USER:PASSWORD@]HOST:PORT,...; over TLS with rediss in the place of redis"
            .to_owned()
    };
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    let (base, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
    let tls = match base {
        "redis" => false,
        "rediss" => true,
        _ => return Err(wrong()),
    };
    let (user, hosts) = rest.rsplit_once('@').map_or(("", rest), |(user, hosts)| (user, hosts));
    let at = if user.is_empty() { String::new() } else { format!("{user}@") };
    let nodes = |hosts: &str, at: &str| hosts.split(',').map(|host| format!("{base}://{at}{host}")).collect::<Vec<_>>();
    match kind {
        "" => Client::open(url).map(|client| Way::Single(client, None)).map_err(|_| wrong()),
        "cluster" => {
            ClusterClient::new(nodes(hosts, &at)).map(|client| Way::Cluster(client, None)).map_err(|_| wrong())
        }
        "sentinel" => {
            let (hosts, master) = hosts.split_once('/').ok_or_else(wrong)?;
            let server =
                nodes(hosts, &at).into_iter().next().and_then(|url| Client::open(url).ok()).ok_or_else(wrong)?;
            let settings = server.get_connection_info().redis_settings().clone();
            let mut node = SentinelNodeConnectionInfo::default().set_redis_connection_info(settings);
            if tls {
                node = node.set_tls_mode(TlsMode::Secure);
            }
            let client = SentinelClient::build(nodes(hosts, ""), master, Some(node), SentinelServerType::Master);
            client.map(|client| Way::Sentinel(Box::new(client), None)).map_err(|_| wrong())
        }
        _ => Err(wrong()),
    }
}
