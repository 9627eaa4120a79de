//! An API server of memory alone: lists in pages, watches over its history, faults by lot.
//!
//! What it does to a watch an API server may do: it repeats, delays, mixes objects, breaks off, or says that it
//! has forgotten, never leaving out an event without a word.

use fastrand::Rng;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::{Request, Response};
use kube::Client;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tonic::codegen::{Bytes, Service};

type Fault = Box<dyn std::error::Error + Send + Sync>;
type Body = BoxBody<Bytes, Fault>;
/// Plural, namespace, name.
type Key = (String, String, String);

/// The server; its clones are the same one.
#[derive(Clone)]
pub(super) struct Server {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
}

struct State {
    version: u64,
    objects: BTreeMap<Key, Value>,
    history: Vec<Change>,
    /// The rest of lists that are read page by page, by their token.
    rest: BTreeMap<String, Vec<Value>>,
    rng: Rng,
    faulty: bool,
    /// How long a list of what has a name takes.
    slow: Duration,
}

#[derive(Clone)]
struct Change {
    version: u64,
    kind: &'static str,
    key: Key,
    object: Value,
}

impl Server {
    /// An empty one that draws its faults from `seed`.
    pub(super) fn new(seed: u64) -> Self {
        let state = State {
            version: 1,
            objects: BTreeMap::new(),
            history: Vec::new(),
            rest: BTreeMap::new(),
            rng: Rng::with_seed(seed),
            faulty: false,
            slow: Duration::ZERO,
        };
        Self { state: Arc::new(Mutex::new(state)), changed: watch::Sender::new(0) }
    }

    /// A client of it.
    pub(super) fn client(&self) -> Client {
        Client::new(self.clone(), "default")
    }

    /// Whether it fails from now on.
    pub(super) fn set_faulty(&self, faulty: bool) {
        self.state.lock().unwrap().faulty = faulty;
    }

    /// How long a list of what has a name takes from now on.
    pub(super) fn set_slow(&self, slow: Duration) {
        self.state.lock().unwrap().slow = slow;
    }

    /// Creates or replaces an object.
    pub(super) fn put(&self, plural: &str, mut object: Value) {
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        let version = state.version;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = (plural.to_owned(), text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
        let before = state.objects.get(&key).map(|before| before["metadata"].clone());
        object["metadata"]["uid"] = before.as_ref().map_or(json!(format!("uid-{version}")), |old| old["uid"].clone());
        object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        object["metadata"]["generation"] = json!(version);
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        state.objects.insert(key.clone(), object.clone());
        state.history.push(Change { version, kind, key, object });
        drop(state);
        self.changed.send_replace(version);
    }

    /// Deletes an object, if it is there.
    pub(super) fn delete(&self, plural: &str, namespace: &str, name: &str) {
        let mut state = self.state.lock().unwrap();
        let key = (plural.to_owned(), namespace.to_owned(), name.to_owned());
        let Some(mut object) = state.objects.remove(&key) else { return };
        state.version += 1;
        let version = state.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        state.history.push(Change { version, kind: "DELETED", key, object });
        drop(state);
        self.changed.send_replace(version);
    }

    fn answer(&self, path: &str, query: &BTreeMap<String, String>) -> Result<Response<Body>, Fault> {
        match path {
            "/.well-known/openid-configuration" => return whole(200, &json!({"issuer": "https://cluster.test"})),
            "/openid/v1/jwks" => return whole(200, &json!({"keys": []})),
            _ => {}
        }
        let asked = Asked::of(path, query);
        if query.contains_key("watch") {
            let from = query["resourceVersion"].parse::<u64>()?;
            let watching = Watching { server: self.clone(), changed: self.changed.subscribe(), asked, seen: from };
            let frames = stream::unfold(Some(watching), |watching| async move { watching?.next().await });
            return Ok(Response::new(BodyExt::boxed(StreamBody::new(frames))));
        }
        self.list(&asked, query.get("continue"))
    }

    fn list(&self, asked: &Asked, token: Option<&String>) -> Result<Response<Body>, Fault> {
        let mut state = self.state.lock().unwrap();
        if state.faulty {
            match state.rng.u8(..10) {
                0 => return Err("the connection broke".into()),
                1 => return whole(500, &status(500, "InternalError")),
                2 if token.is_some() => return whole(410, &status(410, "Expired")),
                _ => {}
            }
        }
        let mut items = match token {
            Some(token) => state.rest.remove(token).ok_or("a token is used once")?,
            None => {
                let chosen = state.objects.iter().filter(|(key, object)| asked.wants(key, object));
                chosen.map(|(_, object)| object.clone()).collect()
            }
        };
        let page = if state.faulty { state.rng.usize(1..4) } else { 500 };
        let rest = items.split_off(page.min(items.len()));
        let mut metadata = json!({"resourceVersion": state.version.to_string()});
        if !rest.is_empty() {
            // The version of a list is that of its first page, however long its reading takes.
            let version =
                token.and_then(|token| token.split('-').next()).map_or(state.version.to_string(), str::to_owned);
            let next = format!("{version}-{}", state.rng.u64(..));
            metadata = json!({"resourceVersion": version, "continue": next});
            state.rest.insert(next, rest);
        } else if let Some(version) = token.and_then(|token| token.split('-').next()) {
            metadata = json!({"resourceVersion": version});
        }
        whole(200, &json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items}))
    }
}

impl Service<Request<kube::client::Body>> for Server {
    type Response = Response<Body>;
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Fault>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let pairs = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        let query: BTreeMap<String, String> =
            pairs.map(|(name, value)| (name.to_owned(), value.replace("%3D", "=").replace("%2F", "/"))).collect();
        // Pods are listed by labels too, but no object names them.
        let named = query.contains_key("fieldSelector") || query.contains_key("labelSelector");
        let is_list = named && !query.contains_key("watch") && !request.uri().path().ends_with("/pods");
        let slow = if is_list { self.state.lock().unwrap().slow } else { Duration::ZERO };
        let (server, path) = (self.clone(), request.uri().path().to_owned());
        Box::pin(async move {
            if slow > Duration::ZERO {
                tokio::time::sleep(slow).await;
            }
            server.answer(&path, &query)
        })
    }
}

/// Which objects a list or watch is of.
struct Asked {
    plural: String,
    namespace: Option<String>,
    name: Option<String>,
    label: Option<(String, String)>,
}

impl Asked {
    fn of(path: &str, query: &BTreeMap<String, String>) -> Self {
        let parts: Vec<_> = path.split('/').collect();
        let namespace = parts.iter().position(|part| *part == "namespaces").filter(|at| at + 2 < parts.len());
        let label = query.get("labelSelector").and_then(|label| label.split_once('='));
        Self {
            plural: parts[parts.len() - 1].to_owned(),
            namespace: namespace.map(|at| parts[at + 1].to_owned()),
            name: query.get("fieldSelector").and_then(|field| field.strip_prefix("metadata.name=")).map(str::to_owned),
            label: label.map(|(name, value)| (name.to_owned(), value.to_owned())),
        }
    }

    fn wants(&self, (plural, namespace, name): &Key, object: &Value) -> bool {
        *plural == self.plural
            && self.namespace.as_ref().is_none_or(|wanted| wanted == namespace)
            && self.name.as_ref().is_none_or(|wanted| wanted == name)
            && self.label.as_ref().is_none_or(|(label, value)| object["metadata"]["labels"][label] == *value)
    }
}

/// One watch.
struct Watching {
    server: Server,
    changed: watch::Receiver<u64>,
    asked: Asked,
    /// Version of the last change that was told.
    seen: u64,
}

type Told = (Result<Frame<Bytes>, Fault>, Option<Watching>);

impl Watching {
    /// The next piece of the answer; `None` at its end.
    async fn next(mut self) -> Option<Told> {
        loop {
            self.changed.borrow_and_update();
            let (told, pause) = self.draw();
            tokio::time::sleep(pause).await;
            match told {
                Draw::Tell(lines) => return Some((Ok(Frame::data(lines.into())), Some(self))),
                Draw::Forget => return Some((Ok(Frame::data(error().into())), None)),
                Draw::Break => return Some((Err("the connection broke".into()), None)),
                Draw::End => return None,
                // The driver of a simulation outlives its watches.
                Draw::Wait => self.changed.changed().await.ok()?,
            }
        }
    }

    fn draw(&mut self) -> (Draw, Duration) {
        let (old, new, draw, pause) = {
            let mut state = self.server.state.lock().unwrap();
            let wanted = |change: &&Change| self.asked.wants(&change.key, &change.object);
            let (old, new): (Vec<_>, Vec<_>) =
                state.history.iter().filter(wanted).cloned().partition(|change| change.version <= self.seen);
            (old, new, state.faulty.then(|| state.rng.u8(..20)), Duration::from_millis(state.rng.u64(..200)))
        };
        let Some(draw) = draw else { return (self.tell(&new), Duration::ZERO) };
        let told = match (draw, new.as_slice()) {
            (0, _) => Draw::End,
            (1, _) => Draw::Break,
            // Some were told to nobody, and that is said.
            (2, _) => Draw::Forget,
            // Everything from some way back once more.
            (3..5, _) if !old.is_empty() => {
                let back = old.len().min(usize::from(draw));
                self.seen = old[old.len() - back].version - 1;
                return (self.draw().0, pause);
            }
            (5..8, [first, second, ..]) if first.key != second.key => {
                let lines = [line(second), line(first)].concat();
                // What was told last is what a client resumes from, so the other one comes twice.
                self.seen = first.version;
                Draw::Tell(lines)
            }
            (8..12, [first, ..]) => self.tell(std::slice::from_ref(first)),
            (_, new) => self.tell(new),
        };
        (told, pause)
    }

    fn tell(&mut self, changes: &[Change]) -> Draw {
        let Some(last) = changes.last() else { return Draw::Wait };
        self.seen = last.version;
        Draw::Tell(changes.iter().map(line).collect())
    }
}

enum Draw {
    Tell(String),
    Forget,
    Break,
    End,
    Wait,
}

fn line(change: &Change) -> String {
    format!("{}\n", json!({"type": change.kind, "object": change.object}))
}

fn error() -> String {
    format!("{}\n", json!({"type": "ERROR", "object": status(410, "Expired")}))
}

fn status(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason})
}

fn whole(code: u16, body: &Value) -> Result<Response<Body>, Fault> {
    let body = Full::new(Bytes::from(body.to_string())).map_err(|never| match never {}).boxed();
    Ok(Response::builder().status(code).header("content-type", "application/json").body(body)?)
}
