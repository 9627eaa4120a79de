//! A client may leave at any moment: its upstream is cancelled, it is settled once, and nothing of it stays.
//!
//! `WEIR_TESTS_LEAVING=100000` runs more than the few thousand of every day; `--nocapture` shows the figures.

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use weir_tests::client::{Client, Sender, chat};
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{file, open_route, provider};
use weir_tests::provider::{Provider, Record, Script, Step, Usage, chunk};
use weir_tests::wait;

const MODEL: &str = "gpt-test";
const RUNS: usize = 3_000;
/// Clients side by side.
const WORKERS: usize = 8;
const SEED: u64 = 29;

/// When a client leaves.
#[derive(Debug, Clone, Copy)]
enum Leave {
    /// With so many thousandths of its request sent.
    Sending(usize),
    /// With the request sent, after so many turns of other tasks.
    Sent(usize),
    /// While the provider thinks.
    Asked,
    /// With so many bytes of the answer read.
    Reading(usize),
    /// With the whole answer.
    Done,
}

/// One run, the same for every test of this seed.
#[derive(Debug, Clone, Copy)]
struct Plan {
    leave: Leave,
    stream: bool,
    h2: bool,
    /// HTTP/1.1: by a reset in place of an orderly close.
    reset: bool,
}

impl Plan {
    fn of(run: usize) -> Self {
        let mut draws = draws(SEED ^ run as u64);
        let mut draw = |below: usize| (draws.next().expect("draws never end") % below as u64) as usize;
        let leave = match draw(16) {
            0..2 => Leave::Sending(draw(1_000)),
            2..5 => Leave::Sent(draw(300)),
            5..9 => Leave::Asked,
            9..15 => Leave::Reading(1 + draw(1_500)),
            _ => Leave::Done,
        };
        let h2 = draw(3) == 0 && !matches!(leave, Leave::Sending(_) | Leave::Done);
        Self { leave, stream: draw(4) != 0, h2, reset: draw(3) == 0 }
    }

    /// What the provider does: what leaves early is never answered in full.
    fn script(self) -> Script {
        match self.leave {
            Leave::Done => Script::chat("Hello", Usage::of(7, 3)),
            Leave::Sending(_) | Leave::Sent(_) | Leave::Asked => Script::default().step(Step::Stall),
            Leave::Reading(_) if self.stream => Script::stream((0..9).map(|_| text_event())).step(Step::Stall),
            // Of a whole answer nothing is passed on before all of it is there.
            Leave::Reading(_) => {
                Script::default().head(200, &[("content-type", "application/json")]).body("{").step(Step::Stall)
            }
        }
    }

    fn is_read(self) -> bool {
        matches!(self.leave, Leave::Reading(_)) && self.stream
    }
}

/// Numbers that look random (splitmix64).
fn draws(seed: u64) -> impl Iterator<Item = u64> {
    (1..).map(move |n: u64| {
        let z = seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

fn text_event() -> String {
    chunk(MODEL, &json!([{"index": 0, "delta": {"content": "word "}, "finish_reason": null}]), &Value::Null)
}

fn name(run: usize) -> String {
    format!("run-{run}")
}

fn run_of(record: &Record) -> usize {
    let body = record.json();
    let user = body["user"].as_str().and_then(|user| user.strip_prefix("run-")).and_then(|run| run.parse().ok());
    user.expect("every request says which run it is of")
}

/// What all clients share.
struct Shared {
    client: Client,
    asked: Vec<Notify>,
    /// When each run's client left.
    left: Mutex<Vec<Option<Instant>>>,
}

impl Shared {
    async fn run(&self, run: usize, h2: &mut Option<Sender>) {
        let plan = Plan::of(run);
        let mut body = chat(&name(run));
        body["user"] = json!(name(run));
        body["stream"] = json!(plan.stream);
        if matches!(plan.leave, Leave::Done) {
            let reply = self.client.post("/v1/chat/completions", &body).await;
            assert_eq!(reply.status, 200);
        } else if plan.h2 {
            let left = self.leave_h2(run, plan, body.to_string(), h2).await;
            self.left.lock().expect("no holder panics")[run] = Some(left);
        } else {
            let left = self.leave_h1(run, plan, &body.to_string()).await;
            self.left.lock().expect("no holder panics")[run] = Some(left);
        }
    }

    async fn leave_h1(&self, run: usize, plan: Plan, body: &str) -> Instant {
        let mut socket = TcpStream::connect(self.client.address()).await.expect("the gateway accepts a connection");
        socket.set_nodelay(true).expect("a socket can be set");
        let length = body.len();
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: weir\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let sent = match plan.leave {
            Leave::Sending(part) => request.len() * part / 1_000,
            Leave::Sent(_) | Leave::Asked | Leave::Reading(_) | Leave::Done => request.len(),
        };
        socket.write_all(&request.as_bytes()[..sent]).await.expect("the gateway reads");
        match plan.leave {
            Leave::Reading(bytes) if plan.stream => {
                let mut answer = vec![0; bytes];
                socket.read_exact(&mut answer).await.expect("the answer has begun");
                assert!("HTTP/1.1 200".as_bytes().starts_with(&answer[..bytes.min(12)]));
            }
            Leave::Reading(_) | Leave::Asked => self.asked[run].notified().await,
            Leave::Sent(turns) => give_way(turns).await,
            Leave::Sending(_) | Leave::Done => {}
        }
        if plan.reset {
            socket.set_zero_linger().expect("a socket can be set");
        }
        let left = Instant::now();
        drop(socket);
        left
    }

    /// Leaves one stream of a connection that goes on.
    async fn leave_h2(&self, run: usize, plan: Plan, body: String, h2: &mut Option<Sender>) -> Instant {
        if h2.is_none() {
            *h2 = Some(self.client.connect_h2().await.expect("the gateway accepts a connection"));
        }
        let sender = h2.as_mut().expect("it was opened");
        let request = self.client.request(Method::POST, "/v1/chat/completions", Bytes::from(body));
        let mut asking = Box::pin(sender.send(request));
        match plan.leave {
            Leave::Reading(bytes) if plan.stream => {
                let mut answer = asking.await.expect("an answer begins").into_body();
                let mut read = 0;
                while read < bytes.min(text_event().len() * 9) {
                    let frame = answer.frame().await.expect("the answer goes on").expect("it is not cut");
                    read += frame.into_data().map_or(0, |data| data.len());
                }
                let left = Instant::now();
                drop(answer);
                return left;
            }
            Leave::Sent(turns) => tokio::select! {
                biased;
                answer = &mut asking => panic!("nothing is answered: {answer:?}"),
                () = give_way(turns) => {}
            },
            Leave::Reading(_) | Leave::Asked | Leave::Sending(_) | Leave::Done => tokio::select! {
                answer = &mut asking => panic!("nothing is answered: {answer:?}"),
                () = self.asked[run].notified() => {}
            },
        }
        let left = Instant::now();
        drop(asking);
        left
    }
}

async fn give_way(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// A gateway that ends nothing by itself within the test.
async fn patient_gateway(upstream: &Provider) -> Gateway {
    let mut object = provider("default", "upstream", &upstream.url(), MODEL);
    object["spec"]["timeouts"] = json!({"firstToken": "30m", "streamIdle": "30m"});
    let mut route = open_route("default", "chat", "run-*", &["upstream"]);
    route["spec"]["rules"][0]["targets"][0]["model"] = json!(MODEL);
    // Whatever a drain waits for outlasts the test's patience.
    Gateway::up_with(&file(&[object, route]), &[("WEIR_DRAIN_DELAY", "0s"), ("WEIR_DRAIN_TIMEOUT", "600s")]).await
}

fn runs() -> usize {
    std::env::var("WEIR_TESTS_LEAVING").map_or(RUNS, |runs| runs.parse().expect("WEIR_TESTS_LEAVING is a number"))
}

/// Sockets of a process.
fn sockets(gateway: &Gateway) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", gateway.process().id())).expect("the process lives");
    let is_socket = |file: &std::fs::DirEntry| {
        std::fs::read_link(file.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
    };
    files.flatten().filter(is_socket).count()
}

fn resident_kb(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.process().id())).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel counts pages");
    line.trim().trim_end_matches(" kB").parse().expect("a count is a number")
}

/// Everything that the provider was asked, by run; each run once at most.
fn asked(records: &[Arc<Record>]) -> BTreeMap<usize, Arc<Record>> {
    let by_run: BTreeMap<_, _> = records.iter().map(|record| (run_of(record), Arc::clone(record))).collect();
    assert_eq!(by_run.len(), records.len(), "no request was sent twice");
    by_run
}

/// Waits until all early leavers are gone from the provider, and prints how long that took.
async fn cancelled(shared: &Shared, asked: &BTreeMap<usize, Arc<Record>>) {
    let mut took: Vec<Duration> = Vec::new();
    for (run, record) in asked {
        let left = shared.left.lock().expect("no holder panics")[*run];
        if let Some(left) = left {
            took.push(record.gone_after(left).await);
        }
    }
    took.sort_unstable();
    let at = |percent: usize| took[took.len() * percent / 100];
    println!("{} cancelled: p50 {:?}, p99 {:?}, slowest {:?}", took.len(), at(50), at(99), took[took.len() - 1]);
}

/// Of each run at most one line, of each run that was asked or read exactly one, with the attempts that were made.
async fn settled_once(gateway: &Gateway, asked: &BTreeMap<usize, Arc<Record>>, runs: usize) {
    let admin = gateway.admin();
    wait::until_true("nothing is in flight", || async { admin.metric("weir_requests_in_flight").await == 0.0 }).await;
    assert_eq!(admin.metric("weir_log_lines_dropped_total").await, 0.0);
    assert_eq!(admin.metric("weir_panics_total").await, 0.0);
    let metrics = String::from_utf8_lossy(&admin.get("/metrics").await.body).into_owned();
    let counts = metrics.lines().filter(|line| line.starts_with("weir_requests_total{"));
    let settled: f64 = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
    let lines = gateway.access_log(settled as usize).await;
    assert_eq!(lines.len(), settled as usize);
    let mut by_run: BTreeMap<String, &Value> = BTreeMap::new();
    for line in &lines {
        let attempts = line["attempts"].as_u64().expect("attempts are counted");
        assert!(attempts <= 1 && line.get("failed_attempts").is_none(), "leaving is no failure: {line}");
        if let Some(model) = line["request_model"].as_str().filter(|model| model.starts_with("run-")) {
            assert!(by_run.insert(model.to_owned(), line).is_none(), "{model} is settled twice");
        }
    }
    for run in 0..runs {
        let (plan, line) = (Plan::of(run), by_run.get(&name(run)));
        let status = line.map(|line| line["status"].as_u64().expect("a status"));
        if asked.contains_key(&run) {
            assert_eq!(line.expect("what was asked is settled")["attempts"], 1);
        }
        match plan.leave {
            Leave::Done => assert_eq!(status, Some(200)),
            Leave::Reading(_) if plan.is_read() => assert_eq!(status, Some(200), "{run}"),
            Leave::Reading(_) | Leave::Asked => assert_eq!(status, Some(499), "{run}"),
            Leave::Sending(_) | Leave::Sent(_) => assert!(status.is_none_or(|status| status == 499), "{run}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f29_a_client_that_leaves_at_any_moment_is_cancelled_settled_once_and_forgotten() {
    let runs = runs();
    let upstream = Provider::start().await;
    let gateway = patient_gateway(&upstream).await;
    assert_eq!(gateway.client().chat("run-warm").await.status, 200);
    let warm = upstream.requests().len();
    let (sockets_before, kb_before) = (sockets(&gateway), resident_kb(&gateway));
    let shared = Arc::new(Shared {
        client: gateway.client(),
        asked: (0..runs).map(|_| Notify::new()).collect(),
        left: Mutex::new(vec![None; runs]),
    });
    let told = Arc::clone(&shared);
    upstream.respond(move |record| {
        let run = run_of(record);
        told.asked[run].notify_one();
        Plan::of(run).script()
    });
    let workers = (0..WORKERS).map(|worker| {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut h2 = None;
            for run in (worker..runs).step_by(WORKERS) {
                let left = tokio::time::timeout(wait::PATIENCE, shared.run(run, &mut h2)).await;
                left.unwrap_or_else(|_| panic!("run {run} never came as far as {:?}", Plan::of(run)));
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.expect("no client is stuck");
    }
    let asked = asked(&upstream.requests()[warm..]);
    cancelled(&shared, &asked).await;
    settled_once(&gateway, &asked, runs).await;
    // Idle connections to the provider may stay, one for each client that was answered in full.
    wait::until_true("no connection is left", || async { sockets(&gateway) <= sockets_before + WORKERS }).await;
    println!("{runs} runs: {kb_before} kB resident before, {} kB after", resident_kb(&gateway));
    gateway.process().signal("TERM");
    assert!(gateway.process().exit().await.success(), "the drain finds nothing to wait for");
}
