//! A Budget of very many users in a real Redis: a pod that holds a lease of each comes back to its leader, and to the
//! next one, within seconds, by messages of bounded size. With `WEIR_TESTS_KUBECONFIG` the store is ConfigMaps of that
//! cluster's namespace `default`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

use prost::Message as _;
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::{Child, Command as Program, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use weir_lease::{Bounds, Claim, Greeting, Limit, Reserved, Terms, View, Wallet, limits_of_budget};
use weir_ledger::{Command, End, Lead, Meters, Office, Store, Tenure};
use weir_snapshot::ledger::{FromPod, ToPod, from_pod, to_pod};
use weir_snapshot::{Budget, FailureMode, Name};

/// Users of the Budget; `WEIR_TESTS_PARTITIONS` sets another number.
const USERS: usize = 3_000;
/// Asks that wait for an answer at once.
const AT_ONCE: usize = 1_000;
/// A stream that broke is whole again within that time, however much the pod holds.
const BACK: Duration = Duration::from_secs(20);
/// What either end takes of a message.
const DECODE_BYTES: usize = 4 * 1024 * 1024;

fn users() -> usize {
    std::env::var("WEIR_TESTS_PARTITIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(USERS)
}

struct Redis {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Redis {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let mut program = Program::new(std::env::var("WEIR_TESTS_REDIS").unwrap_or_else(|_| "redis-server".to_owned()));
        program.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        let spawned = program.current_dir(folder.path()).stdout(Stdio::null()).spawn();
        let process = spawned.expect("redis-server starts: run by tests/run, which installs it");
        Self { process, port, _folder: folder }
    }

    fn store(&self) -> Store {
        Store::redis(&format!("redis://127.0.0.1:{}", self.port), "weir:many").unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn store(redis: &Redis) -> Arc<Store> {
    let store = match std::env::var("WEIR_TESTS_KUBECONFIG") {
        Ok(path) => {
            let kubeconfig = kube::config::Kubeconfig::read_from(path).unwrap();
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
            Store::cluster(kube::Client::try_from(config).unwrap(), "default")
        }
        Err(_) => redis.store(),
    };
    while store.load().await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Arc::new(store)
}

fn limits() -> Vec<(Arc<str>, Limit)> {
    let budget = |partition_by: &[&str]| -> Budget {
        serde_json::from_value(serde_json::json!({
            "limits": [{"unit": "Requests", "amount": 1_000_000_000}], "window": "Total", "mode": "Enforce",
            "partition_by": partition_by,
        }))
        .unwrap()
    };
    let mut limits = limits_of_budget(&Name::new("greedy", "users"), &budget(&["User"]));
    limits.extend(limits_of_budget(&Name::new("modest", "all"), &budget(&[])));
    limits
}

/// A leader that is on.
struct Term {
    office: Office,
    views: watch::Receiver<Arc<View>>,
    tenure: watch::Sender<Tenure>,
    leading: JoinHandle<End>,
}

async fn lead(store: &Arc<Store>, epoch: u64) -> Term {
    let stored = store.load().await.unwrap();
    let (tell, views) = watch::channel(Arc::new(View::default()));
    let settings = store.settings(epoch, epoch);
    let meters = Meters::new().unwrap();
    let (lead, office) = Lead::new(settings, Arc::clone(store), stored, &BTreeSet::new(), tell, &meters);
    let (tenure, until) = watch::channel(Tenure::Open);
    let leading = tokio::spawn(lead.run(until));
    office.tell(Command::Limits(limits())).await;
    Term { office, views, tenure, leading }
}

/// A pod's end, without a network: what is said is measured.
struct Pod {
    wallet: Wallet,
    began: Instant,
    streams: u64,
    words: mpsc::Receiver<ToPod>,
    largest: [usize; 2],
}

impl Pod {
    fn new() -> Self {
        let (_, words) = mpsc::channel(1);
        let wallet = Wallet::bounded("start", Bounds::default());
        Self { wallet, began: Instant::now(), streams: 0, words, largest: [0, 0] }
    }

    fn now(&self) -> u64 {
        1_000 + self.began.elapsed().as_millis() as u64
    }

    async fn say(&mut self, office: &Office, kind: from_pod::Kind) {
        let message = FromPod { kind: Some(kind) };
        self.largest[0] = self.largest[0].max(message.encoded_len());
        let (incarnation, pod) = ("start".to_owned(), "pod".to_owned());
        assert!(office.tell(Command::Message { incarnation, pod, message }).await);
    }

    /// Opens a stream, tells all that is held and hears of all; how long that took.
    async fn greet(&mut self, office: &Office) -> Duration {
        let began = Instant::now();
        self.wallet.set_connected(false);
        let (outgoing, words) = mpsc::channel(4_096);
        (self.words, self.streams) = (words, self.streams + 1);
        let (incarnation, pod) = ("start".to_owned(), "pod".to_owned());
        office.tell(Command::Enter { incarnation, pod, stream: self.streams, outgoing }).await;
        self.wallet.meet(office.epoch());
        let mut greeting = Greeting::default();
        loop {
            let hello = self.wallet.hello(&mut greeting);
            let more = hello.more;
            self.say(office, from_pod::Kind::Hello(hello)).await;
            if !more {
                break;
            }
        }
        loop {
            let word = self.hear().await;
            self.wallet.set_connected(true);
            if matches!(&word.kind, Some(to_pod::Kind::Round(round)) if !round.more) {
                return began.elapsed();
            }
        }
    }

    async fn hear(&mut self) -> ToPod {
        let word = tokio::time::timeout(BACK, self.words.recv()).await.expect("in time").expect("the stream is open");
        self.largest[1] = self.largest[1].max(word.encoded_len());
        let now = self.now();
        self.wallet.take(word.clone(), now);
        word
    }

    fn reserve(&mut self, limit: &str, partition: &str) -> Reserved {
        let terms = Terms::Hard(FailureMode::LeasedOnly);
        let claim = Claim { limit: limit.into(), partition: partition.into(), amount: 1, leave: 0, terms };
        let now = self.now();
        self.wallet.reserve(&[claim], now)
    }

    /// Spends once of each partition, and asks until it can.
    async fn spend(&mut self, office: &Office, limit: &str, mut partitions: Vec<String>) {
        let mut reported = Instant::now();
        while !partitions.is_empty() {
            let batch = partitions.split_off(partitions.len().saturating_sub(AT_ONCE));
            let mut asked = BTreeSet::new();
            for partition in batch {
                match self.reserve(limit, &partition) {
                    Reserved::Held(held) => {
                        let now = self.now();
                        self.wallet.settle(held, &[Some(1)], now);
                        continue;
                    }
                    Reserved::Short(wants) => {
                        let ask = self.wallet.ask(wants);
                        asked.insert(ask.id);
                        self.say(office, from_pod::Kind::Ask(ask)).await;
                    }
                    Reserved::Refused(refusal) => assert!(!refusal.crowded, "{partition}: {refusal:?}"),
                }
                partitions.push(partition);
            }
            while !asked.is_empty() {
                if let Some(to_pod::Kind::Answer(answer)) = self.hear().await.kind {
                    asked.remove(&answer.id);
                }
            }
            if reported.elapsed() > Duration::from_millis(500) {
                reported = Instant::now();
                self.report(office).await;
            }
        }
        self.report(office).await;
    }

    async fn report(&mut self, office: &Office) {
        let now = self.now();
        for report in self.wallet.reports(now) {
            self.say(office, from_pod::Kind::Report(report)).await;
        }
    }
}

/// What this process holds in memory, in MiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1_024
}

async fn counted(views: &mut watch::Receiver<Arc<View>>, users: usize) {
    let counts = |view: &Arc<View>| {
        let limit = view.limits.get("Budget/greedy/users/Requests");
        limit.is_some_and(|limit| limit.partitions == users && !limit.full)
    };
    tokio::time::timeout(BACK, views.wait_for(counts)).await.expect("in time").expect("it leads");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_holds_leases_of_very_many_users_is_back_within_seconds_by_small_messages() {
    let (redis, users) = (Redis::start(), users());
    let names = || (0..users).map(|n| format!("user-{n:07}@example.com")).collect::<Vec<_>>();
    let (all, of_user) = ("Budget/modest/all/Requests", "Budget/greedy/users/Requests");
    let store = store(&redis).await;
    let mut term = lead(&store, 1).await;
    let mut pod = Pod::new();
    pod.greet(&term.office).await;
    let began = Instant::now();
    pod.spend(&term.office, of_user, names()).await;
    counted(&mut term.views, users).await;
    println!("{users} users spend within {:?}; {} MiB in both ends", began.elapsed(), memory());

    let back = pod.greet(&term.office).await;
    println!("the stream to the same leader is whole again within {back:?}");
    assert!(back < BACK);
    pod.spend(&term.office, all, vec![String::new()]).await;
    pod.spend(&term.office, of_user, names().split_off(users - users.min(10))).await;

    term.tenure.send_replace(Tenure::Over);
    assert_eq!(term.leading.await.unwrap(), End::Stopped);
    let began = Instant::now();
    let mut next = lead(&store, 2).await;
    let read = began.elapsed();
    let back = pod.greet(&next.office).await;
    println!("the next leader reads the store within {read:?}, and the stream to it is whole within {back:?}");
    assert!(back < BACK);
    pod.spend(&next.office, all, vec![String::new()]).await;
    counted(&mut next.views, users).await;
    let spent = next.views.borrow().limits[all].top[0].1.spent;
    println!("{} MiB; the largest messages have {:?} bytes; {spent} spent of the other Budget", memory(), pod.largest);
    assert!(pod.largest.iter().all(|bytes| *bytes < DECODE_BYTES / 8), "{:?}", pod.largest);
}
