//! Where the ledger outlives its leader. Every write compares with what was last read or written, so that an old
//! leader cannot undo what a new one wrote.

mod cluster;
mod days;
mod file;
mod part;
mod redis;

pub use days::Days;

use part::{Part, Written};
use prost::Message as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use weir_costs::Book;
use weir_lease::{Outcome, Settings};
use weir_snapshot::ledger::Shard;

/// Into how many parts the ledger is cut.
const SHARDS: usize = 64;
/// How large a part may grow in ConfigMaps: an object of the API server holds a megabyte, and every change writes a part
/// as a whole. 24 MiB in all.
const CLUSTER_BYTES: u64 = 384 * 1024;
/// The same elsewhere: 96 MiB in all, which a leader holds some 400,000 pots for.
const SHARD_BYTES: u64 = 1_536 * 1024;

/// A durable store.
pub enum Store {
    /// ConfigMaps in the operator's namespace.
    Cluster(Box<cluster::Cluster>),
    /// One file and a folder beside it, of one process.
    File(Arc<file::File>),
    /// Redis, or what speaks its protocol.
    Redis(Box<redis::Redis>),
}

/// How long the costs of requests are kept, and how finely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Days that are kept.
    pub days: u64,
    /// Days whose hours are kept apart.
    pub fine_days: u64,
    /// Most bytes of a day.
    pub day_bytes: usize,
    /// At least so long between two writes.
    pub spacing: Duration,
}

impl Store {
    /// ConfigMaps of that namespace.
    pub fn cluster(client: kube::Client, namespace: &str) -> Self {
        Self::Cluster(Box::new(cluster::Cluster::new(client, namespace)))
    }

    /// A file, made where there is none.
    pub fn file(path: &Path) -> Result<Self, String> {
        file::File::open(path).map(Arc::new).map(Self::File)
    }

    /// A Redis of that URL: `redis://` and `rediss://` for one server, `redis+sentinel://HOST:PORT,.../MASTER` and
    /// `redis+cluster://HOST:PORT,...` (with `rediss+` over TLS) for the others. Sentinels are asked without the
    /// credential, which is that of the servers. The URL is never printed, since it may hold a password. `prefix` keeps
    /// ledgers apart that share a server.
    pub fn redis(url: &str, prefix: &str) -> Result<Self, String> {
        redis::Redis::new(url, prefix).map(Box::new).map(Self::Redis)
    }

    /// What a leader of that epoch is started with.
    pub const fn settings(&self, epoch: u64, nonce: u64) -> Settings {
        // The API server is shared with the cluster, and writes to it are spaced.
        let spaced = matches!(self, Self::Cluster(_));
        Settings::new(epoch, nonce, SHARDS, if spaced { CLUSTER_BYTES } else { SHARD_BYTES }, spaced)
    }

    /// How long costs are kept. In the API server there is room for less.
    pub const fn retention(&self) -> Retention {
        match self {
            Self::Cluster(_) => Retention {
                days: cluster::COST_DAYS,
                fine_days: 8,
                day_bytes: 512 * 1024,
                spacing: Duration::from_secs(30),
            },
            Self::File(_) | Self::Redis(_) => {
                Retention { days: 400, fine_days: 35, day_bytes: 8 * 1024 * 1024, spacing: Duration::from_secs(1) }
            }
        }
    }

    /// All parts, each with its number.
    pub async fn load(&self) -> Result<Vec<(usize, Shard)>, String> {
        let bodies = match self {
            Self::Cluster(store) => store.shards().await?,
            Self::File(store) => store.shards()?,
            Self::Redis(store) => store.shards().await?,
        };
        let decode = |(part, body): (Part, Vec<u8>)| {
            let Part::Shard(number) = part else { return Err(format!("{part:?} is no part of the ledger")) };
            let shard = Shard::decode(body.as_slice());
            Ok((number, shard.map_err(|e| format!("{part:?} of the ledger cannot be read: {e}"))?))
        };
        bodies.into_iter().map(decode).collect()
    }

    /// Writes a part, if it is still as it was last read or written here.
    pub async fn write(&self, shard: usize, body: &Shard) -> Outcome {
        match self.replace(Part::Shard(shard), body.encode_to_vec()).await {
            Ok(Written::Stored) => Outcome::Stored,
            Ok(Written::Changed(held)) => {
                let held = held.and_then(|held| Shard::decode(held.as_slice()).ok());
                Outcome::Conflict(held.unwrap_or_default())
            }
            Err(error) => {
                tracing::warn!(shard, error, "a part of the ledger cannot be stored");
                Outcome::Failed
            }
        }
    }

    /// What requests of that day cost, since the Unix epoch; `None` where nothing is kept of it.
    pub async fn costs(&self, day: u64) -> Result<Option<Book>, String> {
        let part = Part::Costs(day);
        let body = match self {
            Self::Cluster(store) => store.read(part).await?,
            Self::File(store) => store.days.read(day)?,
            Self::Redis(store) => store.read(part).await?,
        };
        body.map_or(Ok(None), |body| days::book(day, &body))
    }

    /// Writes the costs of a day, if they are still as they were last read or written here; false if they are not.
    pub async fn write_costs(&self, book: &mut Book) -> Result<bool, String> {
        let most = self.retention().day_bytes;
        let body = book.encode(most);
        if body.len() > most {
            return Err(format!("the costs of a day come to {} bytes; this store takes {most}", body.len()));
        }
        self.replace(Part::Costs(book.day()), body).await.map(|written| matches!(written, Written::Stored))
    }

    /// Lets go of the costs of a day that is kept no longer. ConfigMaps are used again by later days.
    pub async fn forget_costs(&self, day: u64) -> Result<(), String> {
        match self {
            Self::Cluster(_) => Ok(()),
            Self::File(store) => store.days.forget(day),
            Self::Redis(store) => store.forget(Part::Costs(day)).await,
        }
    }

    async fn replace(&self, part: Part, body: Vec<u8>) -> Result<Written, String> {
        match self {
            Self::Cluster(store) => store.write(part, body).await,
            Self::File(store) => {
                let store = Arc::clone(store);
                let written = tokio::task::spawn_blocking(move || store.write(part, &body)).await;
                written.unwrap_or_else(|e| Err(e.to_string()))
            }
            Self::Redis(store) => store.write(part, body).await,
        }
    }
}
