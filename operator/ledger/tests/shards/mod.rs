//! Parts of a ledger, told apart by who wrote them and when.

use weir_snapshot::ledger::{Pot, Shard, StoredPot};

pub(crate) fn body(epoch: u64, sequence: u64) -> Shard {
    let pot = Pot { limit: "Budget/a/b/USD".into(), partition: String::new(), window: 7 };
    let pots = vec![StoredPot { pot: Some(pot), mark: epoch * 100 + sequence, ..StoredPot::default() }];
    Shard { epoch, nonce: epoch, sequence, pots, ..Shard::default() }
}
