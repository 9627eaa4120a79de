//! One leader's time: messages in, messages out, writes on their way, until it is over.

use crate::costs::{Keeper, Said};
use crate::meters::{Meters, Term};
use crate::store::Store;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use weir_lease::{Leader, Limit, Now, Outcome, Settings, View, Write};
use weir_snapshot::ledger::{FromPod, Shard, ToPod, from_pod, to_pod};

/// Between two looks at what time alone changes.
const TICK: Duration = Duration::from_millis(100);
/// Between two pictures of what is spent.
const VIEW: Duration = Duration::from_millis(500);
/// Commands that wait; pods wait with what they say next. Of the largest, parts of what pods hold, some 50 MB.
const QUEUE: usize = 64;
/// So many are taken before anything is sent.
const AT_ONCE: usize = 64;
/// Parts of an answer that wait for a pod to read; the next one is made once there are fewer.
const AHEAD: usize = 4;
/// Between two looks whether it has read them.
const AHEAD_LOOK: Duration = Duration::from_millis(5);
/// How long the last writes may take.
const HAND_OVER: Duration = Duration::from_secs(2);

/// What a leader is told.
pub enum Command {
    /// A start of a pod's process opened a stream.
    Enter {
        /// The start's name.
        incarnation: String,
        /// UID of its Pod.
        pod: String,
        /// Which stream, in the order in which they were opened: a start has one, and another while it redials.
        stream: u64,
        /// Where its messages go.
        outgoing: mpsc::Sender<ToPod>,
    },
    /// It said something.
    Message {
        /// The start's name.
        incarnation: String,
        /// UID of its Pod.
        pod: String,
        /// What it said.
        message: FromPod,
    },
    /// Its stream ended.
    Left {
        /// The start's name.
        incarnation: String,
        /// The stream.
        stream: u64,
    },
    /// These Pods run, and no others.
    Running(BTreeSet<String>),
    /// What may be spent.
    Limits(Vec<(Arc<str>, Limit)>),
}

/// How long a leader may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenure {
    /// There is no other.
    Open,
    /// Until then, if it is not renewed. Past it the leader is adrift, for another one may have followed.
    Until(Instant),
    /// It ends in order.
    Over,
}

/// How a leader's time ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was told to stop, and handed over.
    Stopped,
    /// A later leader has written to the store.
    Deposed,
}

/// The way to whoever leads now.
#[derive(Clone)]
pub struct Office {
    epoch: u64,
    commands: mpsc::Sender<Command>,
}

impl Office {
    /// Number of the leader's term.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Tells the leader, as soon as it has time; false if it leads no more.
    pub async fn tell(&self, command: Command) -> bool {
        self.commands.send(command).await.is_ok()
    }
}

/// One leader's time.
pub struct Lead {
    leader: Leader,
    store: Arc<Store>,
    commands: mpsc::Receiver<Command>,
    streams: HashMap<Arc<str>, (u64, mpsc::Sender<ToPod>)>,
    writing: JoinSet<(usize, u64, Outcome)>,
    views: watch::Sender<Arc<View>>,
    /// What requests cost goes to its keeper.
    costs: mpsc::Sender<Said>,
    keeper: JoinHandle<()>,
    term: Term,
    zero: Instant,
}

impl Lead {
    /// A leader that goes on from what the store has; `running` are the Pods that run.
    pub fn new(
        settings: Settings,
        store: Arc<Store>,
        stored: Vec<(usize, Shard)>,
        running: &BTreeSet<String>,
        views: watch::Sender<Arc<View>>,
        meters: &Meters,
    ) -> (Self, Office) {
        let (sender, commands) = mpsc::channel(QUEUE);
        let zero = Instant::now();
        let term = Term::begin(meters.clone(), settings.epoch);
        let leader = Leader::new(settings, stored, running, now(zero));
        let (costs, keeping) = Keeper::start(Arc::clone(&store));
        let keeper = tokio::spawn(keeping);
        let (streams, writing) = (HashMap::new(), JoinSet::new());
        let lead = Self { leader, store, commands, streams, writing, views, costs, keeper, term, zero };
        (lead, Office { epoch: settings.epoch, commands: sender })
    }

    /// Leads until its tenure is over.
    pub async fn run(mut self, mut tenure: watch::Receiver<Tenure>) -> End {
        let mut ticks = tokio::time::interval(TICK);
        let mut views = tokio::time::interval(VIEW);
        loop {
            let due = self.leader.next_due().map(|at| self.zero + Duration::from_millis(at));
            let goes_on = self.tell_more();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.take(command),
                    None => return self.hand_over().await,
                },
                Some(Ok((shard, sequence, outcome))) = self.writing.join_next() => {
                    if !self.leader.written(shard, sequence, outcome, now(self.zero)) {
                        return End::Deposed;
                    }
                }
                () = sleep_until(due) => self.leader.tick(now(self.zero)),
                () = tokio::time::sleep(AHEAD_LOOK), if goes_on => {}
                _ = ticks.tick() => self.leader.tick(now(self.zero)),
                _ = views.tick() => self.show(),
                () = over(&mut tenure) => return self.hand_over().await,
            }
            // What else came meanwhile is taken before anything is sent.
            self.take_waiting();
            self.keep_to(*tenure.borrow());
            self.send();
            self.write();
        }
    }

    /// Past its tenure, which nobody needs to tell it, the leader is adrift.
    fn keep_to(&mut self, tenure: Tenure) {
        let adrift = matches!(tenure, Tenure::Until(until) if Instant::now() >= until);
        if !self.leader.set_adrift(adrift) {
            return;
        }
        self.term.adrift(adrift);
        if adrift {
            tracing::warn!("the Lease was not renewed in time; the ledger grants what is stored alone");
        } else {
            tracing::info!("the Lease is renewed; the ledger grants as before");
        }
    }

    fn take_waiting(&mut self) {
        for _ in 0..AT_ONCE {
            let Ok(command) = self.commands.try_recv() else { return };
            self.take(command);
        }
    }

    /// Goes on with answers that come in parts, where the pod has read those before; false if there are none.
    fn tell_more(&mut self) -> bool {
        let telling = self.leader.telling();
        for start in &telling {
            let few_wait = |stream: &mpsc::Sender<ToPod>| stream.max_capacity() - stream.capacity() < AHEAD;
            while self.streams.get(start).is_some_and(|(_, stream)| few_wait(stream))
                && self.leader.tell_more(start, now(self.zero))
            {
                self.send();
            }
        }
        !telling.is_empty()
    }

    fn take(&mut self, command: Command) {
        let now = now(self.zero);
        match command {
            // A start that left a stream at once may have its next one let in first.
            Command::Enter { incarnation, pod: _, stream, outgoing } => {
                if self.streams.get(incarnation.as_str()).is_none_or(|(held, _)| *held <= stream) {
                    self.streams.insert(incarnation.into(), (stream, outgoing));
                }
            }
            Command::Message {
                incarnation, message: FromPod { kind: Some(from_pod::Kind::Costs(report)) }, ..
            } => {
                if let Some((_, answer)) = self.streams.get(incarnation.as_str()) {
                    // What finds no room comes again.
                    let _ = self.costs.try_send(Said { report, answer: answer.clone() });
                }
            }
            Command::Message { incarnation, pod, message } => self.leader.take(&incarnation, &pod, message, now),
            Command::Left { incarnation, stream } => {
                if self.streams.get(incarnation.as_str()).is_some_and(|(held, _)| *held == stream) {
                    self.streams.remove(incarnation.as_str());
                    self.leader.left(&incarnation);
                }
            }
            Command::Running(pods) => {
                let gone: Vec<String> = self.leader.pods().difference(&pods).cloned().collect();
                gone.iter().for_each(|pod| self.leader.gone(pod, now));
            }
            Command::Limits(limits) => self.leader.set_limits(limits),
        }
    }

    /// A start that does not read loses its stream: it says anew what it holds.
    fn send(&mut self) {
        for (to, message) in self.leader.outgoing() {
            if let Some(to_pod::Kind::Answer(answer)) = &message.kind {
                self.term.meters().answered(answer);
            }
            let sent = self.streams.get(&to).is_some_and(|(_, stream)| stream.try_send(message).is_ok());
            if !sent && self.streams.remove(&to).is_some() {
                self.leader.left(&to);
            }
        }
    }

    fn write(&mut self) {
        for write in self.leader.writes(now(self.zero)) {
            self.writing.spawn(store(write, Arc::clone(&self.store), self.term.meters().clone()));
        }
    }

    fn show(&mut self) {
        let view = self.leader.view(now(self.zero));
        self.term.show(&view, self.streams.len());
        self.views.send_if_modified(|held| {
            let changed = **held != view;
            if changed {
                *held = Arc::new(view);
            }
            changed
        });
    }

    /// Writes what is taken, so that the next leader has nothing to wait for.
    async fn hand_over(mut self) -> End {
        self.take_waiting();
        drop(self.costs);
        let writes = async {
            let mut end = End::Stopped;
            while let Some(landed) = self.writing.join_next().await {
                if let Ok((shard, sequence, outcome)) = landed
                    && !self.leader.written(shard, sequence, outcome, now(self.zero))
                {
                    end = End::Deposed;
                }
            }
            // What a later leader has written is not written over.
            if end == End::Stopped {
                for write in self.leader.hand_over() {
                    self.writing.spawn(store(write, Arc::clone(&self.store), self.term.meters().clone()));
                }
            }
            while self.writing.join_next().await.is_some() {}
            let _ = self.keeper.await;
            end
        };
        tokio::time::timeout(HAND_OVER, writes).await.unwrap_or_else(|_| {
            tracing::warn!(
                "the ledger was not handed over in time; the next leader counts what it cannot know as spent"
            );
            End::Stopped
        })
    }
}

/// What became of a write: of which part, by its sequence.
async fn store(write: Write, store: Arc<Store>, meters: Meters) -> (usize, u64, Outcome) {
    let began = Instant::now();
    let outcome = store.write(write.shard, &write.body).await;
    meters.wrote(&outcome, began.elapsed().as_secs_f64());
    (write.shard, write.body.sequence, outcome)
}

fn now(zero: Instant) -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let mono = u64::try_from(zero.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1);
    Now { mono, unix: i64::try_from(unix).unwrap_or(i64::MAX) }
}

async fn over(tenure: &mut watch::Receiver<Tenure>) {
    let _ = tenure.wait_for(|tenure| *tenure == Tenure::Over).await;
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_snapshot::ledger::Hello;

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_let_in_after_a_later_one_of_its_start_takes_no_words_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::file(&folder.path().join("ledger.redb")).unwrap());
        let (views, _views) = watch::channel(Arc::new(View::default()));
        let meters = Meters::new().unwrap();
        let settings = store.settings(1, 1);
        let (lead, office) = Lead::new(settings, store, Vec::new(), &BTreeSet::new(), views, &meters);
        let (_tell, tenure) = watch::channel(Tenure::Open);
        let leading = tokio::spawn(lead.run(tenure));
        let (early, _) = mpsc::channel(8);
        let (late, mut words) = mpsc::channel(8);
        let (start, pod) = (|| "start".to_owned(), || "pod".to_owned());
        for (stream, outgoing) in [(2, late), (1, early)] {
            office.tell(Command::Enter { incarnation: start(), pod: pod(), stream, outgoing }).await;
        }
        office.tell(Command::Left { incarnation: start(), stream: 1 }).await;
        let hello = from_pod::Kind::Hello(Hello { incarnation: start(), ..Hello::default() });
        let message = FromPod { kind: Some(hello) };
        office.tell(Command::Message { incarnation: start(), pod: pod(), message }).await;
        let word = words.recv().await.and_then(|word| word.kind);
        assert!(matches!(word, Some(to_pod::Kind::Round(_))), "{word:?}");
        drop(office);
        assert_eq!(leading.await.unwrap(), End::Stopped);
    }
}
