//! A file keeps what was written; and the URL of a Redis is checked before it is dialled.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod shards;

use shards::body;
use weir_lease::Outcome;
use weir_ledger::Store;

#[tokio::test]
async fn a_file_outlives_its_process_and_belongs_to_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/ledger.redb");
    let store = Store::file(&path).unwrap();
    assert_eq!(store.load().await, Ok(vec![]));
    assert!(matches!(store.write(5, &body(1, 1)).await, Outcome::Stored));
    assert!(Store::file(&path).is_err_and(|error| error.contains("ledger.redb")), "it is taken");
    drop(store);
    assert_eq!(Store::file(&path).unwrap().load().await, Ok(vec![(5, body(1, 1))]));
}

#[test]
fn a_url_that_is_none_is_refused_with_its_forms_and_without_its_password() {
    for url in [
        "redis://:hidden@",
        "http://:hidden@host",
        "redis+sentinel://:hidden@host",
        "redis+sentinel://:hidden@/main",
        "redis+sentinel://hidden:@:x/main",
        "redis+raft://:hidden@host",
        "host",
    ] {
        let error = Store::redis(url, "weir").err().unwrap_or_else(|| panic!("{url} is refused"));
        assert!(error.contains("redis+cluster://") && !error.contains("hidden"), "{error}");
    }
}
