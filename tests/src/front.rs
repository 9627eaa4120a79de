//! A way to the API server that can be made to fail: lists that break, watches that expire, writes that are late, no
//! way at all.
//!
//! What is not told to fail is passed on as it is, but for the size of pages, which the front chooses.

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::tls::Authority;
use crate::wait::PATIENCE;

/// What an API server says where a watch asks for what it no longer has.
const EXPIRED: &str = r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","reason":"Expired","code":410,"message":"too old resource version"}}"#;
const FAILED: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","reason":"InternalError","code":500,"message":"etcdserver: leader changed"}"#;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Body = BoxBody<Bytes, Error>;

/// How a page of a list breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// It is answered with 500.
    Refused,
    /// It ends in the middle, and the connection with it.
    Cut,
}

/// Which pages of which lists break.
#[derive(Debug, Clone, Copy)]
struct Fault {
    resource: &'static str,
    first: bool,
    how: Break,
}

/// The front's end of a write that is to be held.
struct Hold {
    caught: oneshot::Sender<()>,
    go: oneshot::Receiver<()>,
    answered: oneshot::Sender<u16>,
}

/// A write of status that is held before it reaches the API server.
pub struct Held {
    caught: oneshot::Receiver<()>,
    go: oneshot::Sender<()>,
    answered: oneshot::Receiver<u16>,
}

impl Held {
    /// Waits until there is one.
    pub async fn caught(&mut self) {
        let caught = tokio::time::timeout(PATIENCE, &mut self.caught).await;
        caught.expect("a status is written in time").expect("the front runs");
    }

    /// Lets it go, and says with which status the API server answers it.
    pub async fn release(self) -> u16 {
        self.go.send(()).expect("the front holds it");
        let answered = tokio::time::timeout(PATIENCE, self.answered).await;
        answered.expect("it is answered in time").expect("the API server answers it")
    }
}

/// A reverse proxy in front of an API server; it ends when dropped.
pub struct Front {
    address: SocketAddr,
    ca: String,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

struct State {
    server: SocketAddr,
    tls: TlsConnector,
    page: usize,
    fault: Mutex<Option<Fault>>,
    hold: Mutex<Option<Hold>>,
    broken: AtomicUsize,
    expired: broadcast::Sender<&'static str>,
    cut: watch::Sender<bool>,
}

impl Front {
    /// Stands before the API server at `server`, whose certificate is in the file `ca`; lists come in pages of
    /// `page` objects.
    pub async fn before(server: SocketAddr, ca: &Path, page: usize) -> Self {
        let listener = TcpListener::bind((server.ip(), 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let authority = Authority::default();
        let acceptor = authority.acceptor(&[&address.ip().to_string()], &[b"http/1.1"]);
        let state = Arc::new(State {
            server,
            tls: connector(ca),
            page,
            fault: Mutex::default(),
            hold: Mutex::default(),
            broken: AtomicUsize::new(0),
            expired: broadcast::channel(16).0,
            cut: watch::Sender::new(false),
        });
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, state) = (acceptor.clone(), Arc::clone(&shared));
                let mut cut = state.cut.subscribe();
                let serving = async move {
                    let Ok(stream) = acceptor.accept(socket).await else { return };
                    let service = service_fn(|request| answer(Arc::clone(&state), request));
                    // A client that leaves, or an answer that is broken on purpose.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                };
                tokio::spawn(async move {
                    tokio::select! {
                        _ = cut.wait_for(|cut| *cut) => {}
                        () = serving => {}
                    }
                });
            }
        });
        Self { address, ca: authority.pem(), state, accepting }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The certificate to trust.
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// From now on every list of this resource breaks: whole, or after its first page.
    pub fn break_lists(&self, resource: &'static str, first: bool, how: Break) {
        *self.state.fault.lock().expect("no holder panics") = Some(Fault { resource, first, how });
        self.state.broken.store(0, Ordering::SeqCst);
    }

    /// From now on nobody reaches the API server by it; connections end in the middle of whatever they carry.
    pub fn cut(&self) {
        self.state.cut.send_replace(true);
    }

    /// Lists are whole again, and connections last.
    pub fn heal(&self) {
        self.state.cut.send_replace(false);
        *self.state.fault.lock().expect("no holder panics") = None;
    }

    /// Pages that broke since they were told to.
    pub fn broken(&self) -> usize {
        self.state.broken.load(Ordering::SeqCst)
    }

    /// Holds the next write of a status; later ones pass.
    pub fn hold_next_status(&self) -> Held {
        let (caught, go, answered) = (oneshot::channel(), oneshot::channel(), oneshot::channel());
        let hold = Hold { caught: caught.0, go: go.1, answered: answered.0 };
        *self.state.hold.lock().expect("no holder panics") = Some(hold);
        Held { caught: caught.1, go: go.0, answered: answered.1 }
    }

    /// Tells every watch of this resource that it is too old, so that everything is listed anew.
    pub fn expire_watches(&self, resource: &'static str) {
        // Nobody may be watching.
        let _ = self.state.expired.send(resource);
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn connector(ca: &Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).expect("the API server's certificate is there") {
        roots.add(certificate.expect("it is PEM")).expect("it is a certificate");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Error> {
    let writes_status = request.method() == Method::PATCH && request.uri().path().ends_with("/status");
    let hold = if writes_status { state.hold.lock().expect("no holder panics").take() } else { None };
    match hold {
        Some(hold) => held(&state, hold, request).await,
        None => pass(&state, request).await,
    }
}

/// Reads it whole, so that its sender is no longer needed, and sends it when it is let go.
async fn held(state: &State, hold: Hold, request: Request<Incoming>) -> Result<Response<Body>, Error> {
    let (head, body) = request.into_parts();
    let body = Full::new(body.collect().await?.to_bytes()).map_err(|never| match never {}).boxed();
    // A test that has ended waits for nothing.
    let _ = hold.caught.send(());
    hold.go.await?;
    let answer = send(state, Request::from_parts(head, body)).await?;
    let _ = hold.answered.send(answer.status().as_u16());
    Ok(answer.map(|body| body.map_err(Error::from).boxed()))
}

async fn pass(state: &State, mut request: Request<Incoming>) -> Result<Response<Body>, Error> {
    let query = request.uri().query().unwrap_or_default();
    let resource = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let watches = query.contains("watch=true").then(|| state.expired.subscribe());
    let (lists, later) = (query.contains("limit="), query.contains("continue="));
    let fault = *state.fault.lock().expect("no holder panics");
    let breaks = fault.filter(|fault| lists && fault.resource == resource && (fault.first || later));
    if breaks.is_some() {
        state.broken.fetch_add(1, Ordering::SeqCst);
    }
    if breaks.is_some_and(|fault| fault.how == Break::Refused) {
        let body = Full::new(Bytes::from(FAILED)).map_err(|never| match never {}).boxed();
        return Ok(Response::builder().status(500).header("content-type", "application/json").body(body)?);
    }
    *request.uri_mut() = paged(request.uri(), state.page)?;
    let answer = send(state, request.map(|body| body.map_err(Error::from).boxed())).await?;
    let (mut head, body) = answer.into_parts();
    let body = match watches {
        Some(expired) => expiring(body, expired, resource),
        None if breaks.is_some() => {
            head.headers.remove("content-length");
            cut(&body.collect().await?.to_bytes())
        }
        None => body.map_err(Error::from).boxed(),
    };
    Ok(Response::from_parts(head, body))
}

/// The same with pages of that size.
fn paged(uri: &Uri, page: usize) -> Result<Uri, Error> {
    let Some(query) = uri.query() else { return Ok(uri.clone()) };
    let parameters = query.split('&').map(|parameter| match parameter.starts_with("limit=") {
        true => format!("limit={page}"),
        false => parameter.to_owned(),
    });
    Ok(format!("{}?{}", uri.path(), parameters.collect::<Vec<_>>().join("&")).parse()?)
}

async fn send(state: &State, request: Request<Body>) -> Result<Response<Incoming>, Error> {
    let socket = TcpStream::connect(state.server).await?;
    let name = ServerName::from(state.server.ip());
    let stream = state.tls.connect(name, socket).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// Half of it, then the end of the connection.
fn cut(whole: &Bytes) -> Body {
    let half = whole.slice(..whole.len() / 2);
    let frames = [Ok(Frame::data(half)), Err(Error::from("cut on purpose"))];
    BodyExt::boxed(StreamBody::new(stream::iter(frames)))
}

/// A watch until it is told that it has expired.
fn expiring(body: Incoming, expired: broadcast::Receiver<&'static str>, resource: String) -> Body {
    let frames = stream::unfold(Some((body, expired, resource)), |watching| async {
        let (mut body, mut expired, resource) = watching?;
        loop {
            tokio::select! {
                frame = body.frame() => {
                    let frame = frame?.map_err(Error::from);
                    return Some((frame, Some((body, expired, resource))));
                }
                told = expired.recv() => if told.is_ok_and(|told| told == resource) {
                    return Some((Ok(Frame::data(Bytes::from(format!("{EXPIRED}\n")))), None));
                }
            }
        }
    });
    BodyExt::boxed(StreamBody::new(frames))
}
