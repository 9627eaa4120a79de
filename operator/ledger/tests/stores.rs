//! Each store keeps what was written, and lets nobody undo what another wrote since.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use weir_costs::Book;
use weir_lease::Outcome;
use weir_ledger::Store;
use weir_snapshot::ledger::{Pot, Shard, StoredPot};

/// A real Redis with a password; stopped on drop.
struct Server {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let program = std::env::var("WEIR_TESTS_REDIS").unwrap_or_else(|_| "redis-server".to_owned());
        let process = Command::new(program)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--requirepass", "se:cret", "--save", ""])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server starts: run by tests/run, which installs it");
        Self { process, port, _folder: folder }
    }

    fn url(&self) -> String {
        format!("redis://:se%3Acret@127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn body(epoch: u64, sequence: u64) -> Shard {
    let pot = Pot { limit: "Budget/a/b/USD".into(), partition: String::new(), window: 7 };
    let pots = vec![StoredPot { pot: Some(pot), mark: epoch * 100 + sequence, ..StoredPot::default() }];
    Shard { epoch, nonce: epoch, sequence, pots, ..Shard::default() }
}

async fn loaded(store: &Store) -> Vec<Shard> {
    for _ in 0..100 {
        if let Ok(shards) = store.load().await {
            return shards;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the store does not answer");
}

#[tokio::test]
async fn redis_compares_before_it_replaces_and_outlives_its_leader() {
    let server = Server::start();
    let old = Store::redis(&server.url(), "weir:test").unwrap();
    assert_eq!(loaded(&old).await, []);
    assert!(matches!(old.write(3, &body(1, 1)).await, Outcome::Stored));
    let new = Store::redis(&server.url(), "weir:test").unwrap();
    assert_eq!(loaded(&new).await, [body(1, 1)]);
    // The old leader goes on after the new one read: the new one is told, and then fences it.
    assert!(matches!(old.write(3, &body(1, 2)).await, Outcome::Stored));
    let Outcome::Conflict(later) = new.write(3, &body(2, 1)).await else { panic!("it must be told") };
    assert_eq!(later, body(1, 2));
    assert!(matches!(new.write(3, &body(2, 2)).await, Outcome::Stored));
    let Outcome::Conflict(later) = old.write(3, &body(1, 3)).await else { panic!("the old one is fenced") };
    assert_eq!(later.epoch, 2);
    assert_eq!(loaded(&Store::redis(&server.url(), "weir:other").unwrap()).await, [], "ledgers are kept apart");
}

#[tokio::test]
async fn costs_of_a_day_are_not_written_over_those_that_another_leader_wrote() {
    let server = Server::start();
    let store = || Store::redis(&server.url(), "weir:test").unwrap();
    let (old, new) = (store(), store());
    loaded(&old).await;
    assert_eq!(old.write_costs(&mut Book::new(20_000)).await, Ok(true));
    let mut book = new.costs(20_000).await.unwrap().expect("it is there");
    book.fold();
    assert_eq!(new.write_costs(&mut book).await, Ok(true));
    assert_eq!(old.write_costs(&mut Book::new(20_000)).await, Ok(false));
    assert_eq!(old.costs(20_000).await, Ok(Some(book.clone())), "what the new one wrote");
    assert_eq!(old.write_costs(&mut book).await, Ok(true), "who has read may write");
    assert_eq!(old.forget_costs(20_000).await, Ok(()));
    assert_eq!(new.costs(20_000).await, Ok(None));
}

#[tokio::test]
async fn a_redis_that_went_away_fails_writes_and_serves_again_when_it_is_back() {
    let mut server = Server::start();
    let store = Store::redis(&server.url(), "weir:test").unwrap();
    loaded(&store).await;
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    assert!(matches!(store.write(0, &body(1, 1)).await, Outcome::Failed));
    let again = Server::start();
    let store = Store::redis(&again.url(), "weir:test").unwrap();
    loaded(&store).await;
    assert!(matches!(store.write(0, &body(1, 2)).await, Outcome::Stored));
}

#[tokio::test]
async fn a_file_outlives_its_process_and_belongs_to_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/ledger.redb");
    let store = Store::file(&path).unwrap();
    assert_eq!(store.load().await, Ok(vec![]));
    assert!(matches!(store.write(5, &body(1, 1)).await, Outcome::Stored));
    assert!(Store::file(&path).is_err_and(|error| error.contains("ledger.redb")), "it is taken");
    drop(store);
    assert_eq!(Store::file(&path).unwrap().load().await, Ok(vec![body(1, 1)]));
}

#[test]
fn a_url_that_is_none_is_refused_with_its_forms_and_without_its_password() {
    for url in ["http://:hidden@host", "redis+sentinel://:hidden@host", "redis+raft://:hidden@host", "host"] {
        let error = Store::redis(url, "weir").err().expect("it is refused");
        assert!(error.contains("redis+cluster://") && !error.contains("hidden"), "{error}");
    }
}
