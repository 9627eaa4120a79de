//! Where the ledger outlives its leader. Every write compares with what was last read or written, so that an old
//! leader cannot undo what a new one wrote.

mod cluster;
mod file;
mod redis;

use std::path::Path;
use weir_lease::{Outcome, Settings};
use weir_snapshot::ledger::Shard;

/// Into how many parts the ledger is cut.
const SHARDS: usize = 64;
/// How large a part may grow; an object of the API server holds a megabyte.
const SHARD_BYTES: usize = 128 * 1024;

/// A durable store.
pub enum Store {
    /// ConfigMaps in the operator's namespace.
    Cluster(Box<cluster::Cluster>),
    /// One file, of one process.
    File(file::File),
    /// Redis, or what speaks its protocol.
    Redis(Box<redis::Redis>),
}

impl Store {
    /// ConfigMaps of that namespace.
    pub fn cluster(client: kube::Client, namespace: &str) -> Self {
        Self::Cluster(Box::new(cluster::Cluster::new(client, namespace)))
    }

    /// A file, made where there is none.
    pub fn file(path: &Path) -> Result<Self, String> {
        file::File::open(path).map(Self::File)
    }

    /// A Redis of that URL: `redis://` and `rediss://` for one server, `redis+sentinel://HOST:PORT,.../MASTER` and
    /// `redis+cluster://HOST:PORT,...` (with `rediss+` over TLS) for the others. It is never printed, since it may hold a password. `prefix` keeps
    /// ledgers apart that share a server.
    pub fn redis(url: &str, prefix: &str) -> Result<Self, String> {
        redis::Redis::new(url, prefix).map(Box::new).map(Self::Redis)
    }

    /// What a leader of that epoch is started with.
    pub const fn settings(&self, epoch: u64, nonce: u64) -> Settings {
        // The API server is shared with the cluster, and writes to it are spaced.
        let spaced = matches!(self, Self::Cluster(_));
        Settings { epoch, nonce, shards: SHARDS, shard_bytes: SHARD_BYTES, spaced }
    }

    /// All parts.
    pub async fn load(&self) -> Result<Vec<Shard>, String> {
        match self {
            Self::Cluster(store) => store.load().await,
            Self::File(store) => store.load(),
            Self::Redis(store) => store.load().await,
        }
    }

    /// Writes a part, if it is still as it was last read or written here.
    pub async fn write(&self, shard: usize, body: &Shard) -> Outcome {
        let written = match self {
            Self::Cluster(store) => store.write(shard, body).await,
            Self::File(store) => store.write(shard, body),
            Self::Redis(store) => store.write(shard, body).await,
        };
        written.unwrap_or_else(|error| {
            tracing::warn!(shard, error, "a part of the ledger cannot be stored");
            Outcome::Failed
        })
    }
}
