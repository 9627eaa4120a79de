//! With the ledger in Redis, what is spent stays spent when its leader dies, when Redis does, and when it comes back
//! with what it kept or with nothing.

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use weir_tests::client::Client;
use weir_tests::fleet::Fleet;
use weir_tests::helm::NAMESPACE;
use weir_tests::manifests::{budget, cent, open_route, secret};
use weir_tests::redis::Redis;
use weir_tests::till::Till;
use weir_tests::wait;

/// The Budget in cents.
const BUDGET: usize = 1_000;
/// Between two requests to each pod, so that no money runs out before the test does.
const PACE: Duration = Duration::from_millis(20);

/// A fleet that spends, and what its Budget showed last.
struct Spending {
    fleet: Fleet,
    redis: Redis,
    clients: Vec<Client>,
    till: Till,
    shown: usize,
}

impl Spending {
    async fn start(redis: Redis) -> Self {
        let fleet = Fleet::install_with(&json!({"ledger": {"redisSecretName": "ledger"}})).await;
        fleet.apply(&[secret(NAMESPACE, "ledger", "url", &redis.url())]);
        let fleet = fleet.run(2).await;
        let route = open_route(NAMESPACE, "chat", "m", &["cent"]);
        fleet.apply(&[cent(NAMESPACE, "cent"), route, budget(NAMESPACE, "team", "10")]);
        fleet.wait_ready("budget/team", NAMESPACE);
        fleet.wait_ready("llmroute/chat", NAMESPACE);
        let clients = fleet.clients();
        Self { fleet, redis, clients, till: Till::default(), shown: 0 }
    }

    /// Looks at status, which never shows that less was spent than before, nor more than the Budget.
    fn look(&mut self) -> Value {
        let status = self.fleet.stored("budget/team", NAMESPACE)["status"].clone();
        let cents = |field: &str| {
            let dollars: f64 = status[field].as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
            (dollars * 100.0).round() as usize
        };
        let spent = cents("spent");
        assert!((self.shown..=BUDGET).contains(&spent), "{} cents were spent: {status}", self.shown);
        self.shown = spent;
        status
    }

    /// Spends in an even flow, until so many more requests are answered.
    async fn spend(&mut self, more: usize) {
        let goal = self.till.answered() + more;
        wait::until_true("requests are answered", || async {
            let mut pace = tokio::time::interval(PACE);
            for _ in 0..10 {
                pace.tick().await;
                self.till.race(&self.clients, self.clients.len()).await;
            }
            self.till.answered() >= goal
        })
        .await;
        self.look();
    }

    /// Whether status tells of so many cents, those counted that a killed pod may have spent.
    fn fleet_has_spent(&self, cents: usize) -> bool {
        let status = self.fleet.stored("budget/team", NAMESPACE)["status"].clone();
        let dollars: [Option<f64>; 2] =
            ["spent", "unaccounted"].map(|field| status[field].as_str().and_then(|text| text.parse().ok()));
        dollars.into_iter().map(Option::unwrap_or_default).sum::<f64>() * 100.0 >= cents as f64 - 0.5
    }

    /// Kills who leads; another one will.
    async fn kill_leader(&self) {
        let leader = self.fleet.leader().await;
        self.fleet.operators[leader].process.kill();
    }

    /// What is left is answered, and nothing more.
    async fn spend_all(mut self) {
        println!("before the end {:?}", self.till.counts());
        let deadline = Instant::now() + wait::PATIENCE;
        loop {
            self.till.race(&self.clients, 20).await;
            let status = self.look();
            assert!(Instant::now() < deadline, "{:?} and {status}", self.till.counts());
            if status["state"] == "Exhausted" && status["spent"] == "10" {
                break;
            }
            assert!(self.till.answered() <= BUDGET, "{:?}", self.till.counts());
        }
        println!("in the end {:?}", self.till.counts());
        self.till.race(&self.clients, 100).await;
        assert_eq!(self.till.answered(), BUDGET, "{:?}", self.till.counts());
        assert!(self.till.counts().keys().all(|status| [200, 429, 503].contains(status)), "{:?}", self.till.counts());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_cover_a_redis_that_is_away_and_it_comes_back_with_what_it_kept() {
    let mut spending = Spending::start(Redis::start(true)).await;
    spending.spend(100).await;
    spending.kill_leader().await;
    spending.spend(100).await;
    spending.redis.kill();
    spending.spend(50).await;
    spending.redis.resume();
    spending.spend(100).await;
    spending.spend_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_comes_back_empty_is_filled_again_by_the_leader_f53() {
    let mut spending = Spending::start(Redis::start(false)).await;
    spending.spend(200).await;
    spending.redis.kill();
    spending.spend(50).await;
    spending.redis.resume();
    spending.spend(200).await;
    spending.kill_leader().await;
    spending.spend(100).await;
    spending.spend_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_redis_and_a_new_leader_learn_from_the_pods_what_is_spent_f53() {
    let mut spending = Spending::start(Redis::start(false)).await;
    spending.spend(300).await;
    spending.redis.kill();
    spending.kill_leader().await;
    spending.redis.resume();
    spending.spend(100).await;
    spending.spend_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_cluster_goes_on_with_the_ledger_of_the_one_before_it() {
    let mut before = Spending::start(Redis::start(true)).await;
    before.spend(100).await;
    let Spending { fleet, redis, shown, .. } = before;
    // Its Lease counts from the beginning again, as the one before it did.
    drop(fleet);
    let mut after = Spending { shown, ..Spending::start(redis).await };
    after.spend(100).await;
    wait::until_true("what both spent is told", || async { after.fleet_has_spent(200) }).await;
}
