//! What a leader is started with.

/// What a leader is started with.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Above that of every leader before.
    pub epoch: u64,
    /// Of this process.
    pub nonce: u64,
    /// Into how many parts the store is cut.
    pub shards: usize,
    /// How large a part may be, in bytes, before it takes no further pot.
    pub shard_bytes: usize,
    /// Whether writes are spaced, so that the store is not hurt by them.
    pub spaced: bool,
}
