//! What a leader is started with.

/// What a leader is started with.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Above that of every leader before.
    pub epoch: u64,
    /// Of this process.
    pub nonce: u64,
    /// Into how many parts the store is cut, 64 at most.
    pub shards: usize,
    /// How large a part may be, in bytes, before it takes no further pot: limits and namespaces have shares of it.
    pub shard_bytes: u64,
    /// How many pots it holds of limits that no store keeps, of all namespaces.
    pub passing: u64,
    /// Bytes of a part of a message.
    pub part_bytes: usize,
    /// Whether writes are spaced, so that the store is not hurt by them.
    pub spaced: bool,
}

/// Pots that no store bounds, of all namespaces: some 400 bytes each.
const MOST_PASSING: u64 = 200_000;

impl Settings {
    /// Of a leader over a store of so many parts, each of so many bytes.
    pub const fn new(epoch: u64, nonce: u64, shards: usize, shard_bytes: u64, spaced: bool) -> Self {
        Self { epoch, nonce, shards, shard_bytes, passing: MOST_PASSING, part_bytes: crate::PART_BYTES, spaced }
    }
}
