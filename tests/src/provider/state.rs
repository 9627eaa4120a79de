//! What the connections of a provider share: the scripts to come and the requests so far.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::record::Record;
use super::script::Script;

/// Answers requests that no script was queued for.
pub(super) type Respond = dyn Fn(&Record) -> Script + Send + Sync;

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// It is served.
    Serve,
    /// It is reset at once.
    Reset,
    /// It is held open and nothing is read or written, not even of a TLS handshake.
    Silent,
    /// Its TLS handshake stands still after the first bytes of the server's answer.
    HalfShaken,
}

/// The state of one provider.
pub(super) struct State {
    inner: Mutex<Inner>,
}

struct Inner {
    queue: VecDeque<Script>,
    otherwise: Arc<Respond>,
    accepts: VecDeque<Accept>,
    records: Vec<Arc<Record>>,
    connections: u64,
    handshakes: u64,
}

impl State {
    pub(super) fn new(otherwise: Script) -> Self {
        let otherwise: Arc<Respond> = Arc::new(move |_: &Record| otherwise.clone());
        let (queue, accepts, records) = Default::default();
        Self { inner: Mutex::new(Inner { queue, otherwise, accepts, records, connections: 0, handshakes: 0 }) }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock().expect("no holder panics"))
    }

    pub(super) fn queue(&self, script: Script) {
        self.with(|inner| inner.queue.push_back(script));
    }

    pub(super) fn otherwise(&self, respond: Arc<Respond>) {
        self.with(|inner| inner.otherwise = respond);
    }

    pub(super) fn queue_accept(&self, accept: Accept) {
        self.with(|inner| inner.accepts.push_back(accept));
    }

    pub(super) fn records(&self) -> Vec<Arc<Record>> {
        self.with(|inner| inner.records.clone())
    }

    pub(super) fn connections(&self) -> u64 {
        self.with(|inner| inner.connections)
    }

    pub(super) fn handshakes(&self) -> u64 {
        self.with(|inner| inner.handshakes)
    }

    pub(super) fn shook_hands(&self) {
        self.with(|inner| inner.handshakes += 1);
    }

    /// Counts a connection and says its number and what becomes of it.
    pub(super) fn accept(&self) -> (u64, Accept) {
        self.with(|inner| {
            inner.connections += 1;
            (inner.connections, inner.accepts.pop_front().unwrap_or(Accept::Serve))
        })
    }

    /// Keeps the request and says how it is answered.
    pub(super) fn receive(&self, record: Record) -> (Arc<Record>, Script) {
        let (queued, otherwise) = self.with(|inner| (inner.queue.pop_front(), Arc::clone(&inner.otherwise)));
        let script = queued.unwrap_or_else(|| otherwise(&record)).for_request(&record);
        let record = Arc::new(record);
        self.with(|inner| inner.records.push(Arc::clone(&record)));
        (record, script)
    }
}
