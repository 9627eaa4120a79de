//! Redis in each of its forms keeps what was written, and lets nobody undo what another wrote since.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod shards;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use shards::body;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use weir_costs::Book;
use weir_lease::Outcome;
use weir_ledger::Store;
use weir_snapshot::ledger::Shard;

const PASSWORD: &str = "se:cret";
/// The same in a URL.
const CREDENTIAL: &str = ":se%3Acret@";

/// A real Redis with a password; stopped on drop.
struct Server {
    process: Child,
    port: u16,
    folder: TempDir,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        Self::at(free_port(), tempfile::tempdir().unwrap(), arguments)
    }

    fn at(port: u16, folder: TempDir, arguments: &[&str]) -> Self {
        let mut command = program();
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--requirepass", PASSWORD, "--masterauth", PASSWORD]).args(arguments);
        let process = spawn(command, folder.path());
        Self { process, port, folder }
    }

    /// A Sentinel that watches a server as `main`.
    fn watching(server: &Self) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let lines = [
            format!("port {port}\nbind 127.0.0.1"),
            format!("sentinel monitor main 127.0.0.1 {} 1", server.port),
            format!("sentinel auth-pass main {PASSWORD}"),
            "sentinel down-after-milliseconds main 500".to_owned(),
        ];
        let config = folder.path().join("sentinel.conf");
        std::fs::write(&config, lines.join("\n")).unwrap();
        let mut command = program();
        command.arg(config).arg("--sentinel");
        let process = spawn(command, folder.path());
        Self { process, port, folder }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Kills it and starts it again at its port, with what it wrote to its folder.
    fn restart(mut self, arguments: &[&str]) -> Self {
        self.kill();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        Self::at(self.port, folder, arguments)
    }

    fn url(&self) -> String {
        format!("redis://{CREDENTIAL}127.0.0.1:{}", self.port)
    }

    fn ask(&self, credential: &str, words: &str) -> Result<String, String> {
        let client = redis::Client::open(format!("redis://{credential}127.0.0.1:{}", self.port)).unwrap();
        let mut connection = client.get_connection().map_err(|error| error.to_string())?;
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        let answer: redis::Value = command.query(&mut connection).map_err(|error| error.to_string())?;
        Ok(format!("{answer:?}"))
    }

    /// Asks until the answer has `part`.
    async fn until(&self, credential: &str, words: &str, part: &str) {
        let mut last = String::new();
        for _ in 0..600 {
            last = self.ask(credential, words).unwrap_or_else(|error| error);
            if last.contains(part) {
                return;
            }
            pause().await;
        }
        panic!("{words} never says {part} but {last}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> Command {
    Command::new(std::env::var("WEIR_TESTS_REDIS").unwrap_or_else(|_| "redis-server".to_owned()))
}

fn spawn(mut command: Command, folder: &Path) -> Child {
    let spawned = command.current_dir(folder).stdout(Stdio::null()).spawn();
    spawned.expect("redis-server starts: run by tests/run, which installs it")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn loaded(store: &Store) -> Vec<Shard> {
    for _ in 0..600 {
        if let Ok(shards) = store.load().await {
            return shards.into_iter().map(|(_, shard)| shard).collect();
        }
        pause().await;
    }
    panic!("the store does not answer");
}

/// Writes as a leader does, until it is told that the store has it; what it was told before.
async fn written(store: &Store, shard: usize, sequence: u64) -> Vec<Outcome> {
    let mut before = Vec::new();
    for _ in 0..600 {
        match store.write(shard, &body(1, sequence)).await {
            Outcome::Stored => return before,
            told @ (Outcome::Failed | Outcome::Conflict(_)) => before.push(told),
        }
        pause().await;
    }
    panic!("the store takes no write");
}

/// What every form of it promises.
async fn compares_before_it_replaces(url: &str) {
    let old = Store::redis(url, "weir:test").unwrap();
    assert_eq!(loaded(&old).await, []);
    assert!(matches!(old.write(3, &body(1, 1)).await, Outcome::Stored));
    let new = Store::redis(url, "weir:test").unwrap();
    assert_eq!(loaded(&new).await, [body(1, 1)]);
    // The old leader goes on after the new one read: the new one is told, and then fences it.
    assert!(matches!(old.write(3, &body(1, 2)).await, Outcome::Stored));
    let Outcome::Conflict(later) = new.write(3, &body(2, 1)).await else { panic!("it must be told") };
    assert_eq!(later, body(1, 2));
    assert!(matches!(new.write(3, &body(2, 2)).await, Outcome::Stored));
    let Outcome::Conflict(later) = old.write(3, &body(1, 3)).await else { panic!("the old one is fenced") };
    assert_eq!(later.epoch, 2);
    for shard in 4..20 {
        assert!(matches!(new.write(shard, &body(2, 3)).await, Outcome::Stored), "part {shard}");
    }
    assert_eq!(loaded(&Store::redis(url, "weir:test").unwrap()).await.len(), 17);
    assert_eq!(loaded(&Store::redis(url, "weir:other").unwrap()).await, [], "ledgers are kept apart");
}

#[tokio::test]
async fn one_server_compares_before_it_replaces() {
    compares_before_it_replaces(&Server::start(&[]).url()).await;
}

#[tokio::test]
async fn costs_of_a_day_are_not_written_over_those_that_another_leader_wrote() {
    let server = Server::start(&[]);
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
async fn a_server_that_comes_back_has_what_it_kept_or_is_filled_again() {
    let kept = ["--appendonly", "yes", "--appendfsync", "always"];
    for (arguments, stored) in [(&kept[..], 1), (&[], 0)] {
        let mut server = Server::start(arguments);
        let store = Store::redis(&server.url(), "weir:test").unwrap();
        assert_eq!(loaded(&store).await, []);
        assert!(matches!(store.write(0, &body(1, 1)).await, Outcome::Stored));
        server.kill();
        assert!(matches!(store.write(0, &body(1, 2)).await, Outcome::Failed));
        let server = server.restart(arguments);
        let other = Store::redis(&server.url(), "weir:test").unwrap();
        assert_eq!(loaded(&other).await, vec![body(1, 1); stored]);
        written(&store, 0, 3).await;
        assert_eq!(loaded(&other).await, [body(1, 3)]);
    }
}

#[tokio::test]
async fn behind_sentinel_the_ledger_goes_on_when_its_master_dies_and_no_write_is_lost_in_silence() {
    let mut master = Server::start(&[]);
    master.until(CREDENTIAL, "PING", "PONG").await;
    let replica = Server::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    replica.until(CREDENTIAL, "INFO replication", "master_link_status:up").await;
    let sentinel = Server::watching(&master);
    sentinel.until("", "SENTINEL REPLICAS main", &replica.port.to_string()).await;
    let url = format!("redis+sentinel://{CREDENTIAL}127.0.0.1:{}/main", sentinel.port);
    compares_before_it_replaces(&url).await;

    let store = Store::redis(&url, "weir:failover").unwrap();
    assert_eq!(loaded(&store).await, []);
    assert!(matches!(store.write(0, &body(1, 1)).await, Outcome::Stored));
    master.kill();
    let told = written(&store, 0, 2).await;
    assert!(!told.is_empty(), "it is told that nothing is stored while no master is there");
    replica.until(CREDENTIAL, "INFO replication", "role:master").await;
    assert_eq!(loaded(&Store::redis(&url, "weir:failover").unwrap()).await, [body(1, 2)]);
}

#[tokio::test]
async fn behind_sentinel_a_master_that_is_made_a_replica_takes_no_more_writes() {
    let master = Server::start(&[]);
    master.until(CREDENTIAL, "PING", "PONG").await;
    let replica = Server::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    replica.until(CREDENTIAL, "INFO replication", "master_link_status:up").await;
    let sentinel = Server::watching(&master);
    let url = format!("redis+sentinel://{CREDENTIAL}127.0.0.1:{}/main", sentinel.port);
    let store = Store::redis(&url, "weir:failover").unwrap();
    assert_eq!(loaded(&store).await, []);
    assert!(matches!(store.write(0, &body(1, 1)).await, Outcome::Stored));
    sentinel.until("", "SENTINEL FAILOVER main", "ok").await;
    replica.until(CREDENTIAL, "INFO replication", "role:master").await;
    master.until(CREDENTIAL, "INFO replication", "role:slave").await;
    written(&store, 0, 2).await;
    assert_eq!(loaded(&Store::redis(&url, "weir:failover").unwrap()).await, [body(1, 2)]);
    assert_eq!(loaded(&Store::redis(&replica.url(), "weir:failover").unwrap()).await, [body(1, 2)], "it has it");
}

/// Three masters that share the slots, each with the port that its clients use; over TLS with that certificate.
async fn cluster(certificate: Option<&TempDir>) -> Vec<(Server, u16)> {
    let start = || {
        let (bus, port) = (free_port(), free_port());
        let (port_text, bus_text) = (port.to_string(), bus.to_string());
        let mut arguments = vec!["--cluster-enabled", "yes", "--cluster-port", &bus_text];
        let paths = certificate.map(|folder| {
            ["ca.pem", "server.pem", "server.key"].map(|file| folder.path().join(file).display().to_string())
        });
        let Some([ca, certificate, key]) = &paths else {
            let server = Server::start(&arguments);
            return (server.port, bus, server);
        };
        arguments.extend(["--tls-port", &port_text, "--tls-cluster", "yes", "--tls-auth-clients", "no"]);
        arguments.extend(["--tls-ca-cert-file", ca, "--tls-cert-file", certificate, "--tls-key-file", key]);
        (port, bus, Server::start(&arguments))
    };
    let servers = [start(), start(), start()];
    let (_, _, first) = &servers[0];
    for ((port, bus, server), slots) in servers.iter().zip(["0 5460", "5461 10922", "10923 16383"]) {
        server.until(CREDENTIAL, "PING", "PONG").await;
        server.ask(CREDENTIAL, &format!("CLUSTER ADDSLOTSRANGE {slots}")).unwrap();
        first.ask(CREDENTIAL, &format!("CLUSTER MEET 127.0.0.1 {port} {bus}")).unwrap();
    }
    for (_, _, server) in &servers {
        server.until(CREDENTIAL, "CLUSTER INFO", "cluster_state:ok").await;
        server.until(CREDENTIAL, "CLUSTER INFO", "cluster_known_nodes:3").await;
    }
    servers.into_iter().map(|(port, _, server)| (server, port)).collect()
}

fn cluster_url(scheme: &str, servers: &[(Server, u16)]) -> String {
    let hosts: Vec<_> = servers.iter().map(|(_, port)| format!("127.0.0.1:{port}")).collect();
    format!("{scheme}://{CREDENTIAL}{}", hosts.join(","))
}

#[tokio::test]
async fn a_cluster_holds_the_parts_on_all_its_masters() {
    let mut servers = cluster(None).await;
    let url = cluster_url("redis+cluster", &servers);
    compares_before_it_replaces(&url).await;
    for (server, _) in &servers {
        assert_ne!(server.ask(CREDENTIAL, "DBSIZE").unwrap(), "int(0)", "each has a share");
    }
    // One master is away: its parts cannot be written, and nobody takes that for done.
    let store = Store::redis(&url, "weir:away").unwrap();
    assert_eq!(loaded(&store).await, []);
    servers[0].0.kill();
    let mut failed = false;
    for shard in 0..64 {
        failed = failed || matches!(store.write(shard, &body(1, 1)).await, Outcome::Failed);
    }
    assert!(failed, "some part was on it");
}

fn use_the_operators_cryptography() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A certificate for 127.0.0.1, its key, and the authority that signed it.
fn certificate() -> TempDir {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "an authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = [("ca.pem", authority.pem()), ("server.pem", server.pem()), ("server.key", key.serialize_pem())];
    for (file, text) in files {
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    folder
}

#[tokio::test]
async fn a_cluster_over_tls_is_trusted_by_the_roots_of_the_machine_alone() {
    let folder = certificate();
    use_the_operators_cryptography();
    let servers = cluster(Some(&folder)).await;
    let url = cluster_url("rediss+cluster", &servers);
    let untrusted = Store::redis(&url, "weir:test").unwrap();
    assert!(untrusted.load().await.is_err(), "nobody knows its certificate here");
    // Roots are read once a process, so that another one asks.
    let inside = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "inside_of_a_process_with_roots", "--ignored"])
        .env("SSL_CERT_FILE", folder.path().join("ca.pem"))
        .env("WEIR_TEST_URL", url)
        .output()
        .unwrap();
    assert!(inside.status.success(), "{}", String::from_utf8_lossy(&inside.stdout));
}

#[tokio::test]
#[ignore = "run by the tests of TLS, in a process with roots of its own"]
async fn inside_of_a_process_with_roots() {
    use_the_operators_cryptography();
    compares_before_it_replaces(&std::env::var("WEIR_TEST_URL").unwrap()).await;
}
